/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "gateway/drain.h"

struct world {
	struct mesh_loop *loop;
	struct mesh_drain *drain;
	uint64_t begun_ns, named_until_ns, come_until_ns, done_ns, came;
	int done;
};

static bool still_named(void *arg)
{
	const struct world *w = arg;

	return mesh_now_ns() < w->named_until_ns;
}

static uint64_t arrived(void *arg)
{
	struct world *w = arg;

	return mesh_now_ns() < w->come_until_ns ? ++w->came : w->came;
}

static void on_done(void *arg)
{
	struct world *w = arg;

	w->done++;
	w->done_ns = mesh_now_ns();
}

/*
 * Drains with an endpoint that stays for named_ms, and clients that come for come_ms; returns after how many ms it was
 * done, -1: not within a second.
 */
static int drained_after(unsigned named_ms, unsigned come_ms)
{
	struct world w = {0};
	const struct mesh_drain_opts opts = {.still_named = still_named,
					     .arrived = arrived,
					     .done = on_done,
					     .arg = &w,
					     .settle_ns = MESH_MS(200),
					     .max_ns = MESH_MS(600)};

	if (mesh_loop_new(&w.loop) < 0)
		return -2;
	w.begun_ns = mesh_now_ns();
	w.named_until_ns = w.begun_ns + MESH_MS(named_ms);
	w.come_until_ns = w.begun_ns + MESH_MS(come_ms);
	mesh_drain_new(&w.drain, w.loop, &opts);
	while (mesh_now_ns() < w.begun_ns + MESH_SEC(1))
		mesh_loop_once(w.loop, 20);
	mesh_drain_free(w.drain);
	mesh_loop_free(w.loop);
	return w.done == 1 ? (int)((w.done_ns - w.begun_ns) / MESH_MS(1)) : -1;
}

TEST(it_serves_on_for_a_while_after_its_endpoint_is_gone)
{
	int ms = drained_after(0, 0);

	CHECK(ms >= 200 && ms < 500);
	ms = drained_after(200, 0);
	CHECK(ms >= 400 && ms < 600);
}

TEST(an_endpoint_that_stays_does_not_hold_it_for_ever)
{
	int ms = drained_after(5000, 0);

	CHECK(ms >= 600 && ms < 900);
}

TEST(it_serves_on_while_clients_come)
{
	int ms = drained_after(0, 250);

	CHECK(ms >= 400 && ms < 600);
	ms = drained_after(0, 5000);
	CHECK(ms >= 600 && ms < 900);
}

TEST_MAIN()
