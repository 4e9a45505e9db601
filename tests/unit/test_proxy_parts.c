/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's own containers: pipes and lists of timeouts. */
#include "core/mem.h"
#include "proxy/pipe.h"
#include "proxy/timeout.h"
#include "test.h"

static struct mesh_pipe_cache cache = {.size = 16, .max = 2};

static bool pending_is(const struct mesh_pipe *p, const char *want)
{
	return mesh_pipe_pending(p) == strlen(want) && memcmp(p->data + p->sent, want, strlen(want)) == 0;
}

TEST(pipe_buffers_are_reused)
{
	struct mesh_pipe a = {0}, b = {0}, c = {0};
	char *first;

	mesh_pipe_hold(&a, &cache);
	mesh_pipe_hold(&b, &cache);
	mesh_pipe_hold(&c, &cache);
	first = a.data;
	mesh_pipe_hold(&a, &cache);
	CHECK(a.data == first);
	mesh_pipe_drop(&a, &cache);
	CHECK(a.data == NULL);
	CHECK_INT(mesh_pipe_room(&a), 0);
	mesh_pipe_drop(&b, &cache);
	mesh_pipe_drop(&c, &cache);
	mesh_pipe_drop(&c, &cache);
	CHECK_INT(cache.count, 2);
	mesh_pipe_hold(&a, &cache);
	CHECK_INT(cache.count, 1);
	mesh_pipe_drop(&a, &cache);
	mesh_pipe_cache_free(&cache);
	CHECK_INT(cache.count, 0);
}

TEST(pipe_keeps_what_was_sent_for_a_replay)
{
	struct mesh_http1_body body = {.framing = MESH_HTTP1_LENGTH, .left = 6};
	struct mesh_pipe p = {0};

	mesh_pipe_hold(&p, &cache);
	CHECK_INT(mesh_pipe_add(&p, "HEADabcdefNEXT", 14), 14);
	mesh_pipe_skip(&p, 4);
	CHECK_INT(mesh_pipe_decode(&p, &body, false), MESH_HTTP1_DONE);
	CHECK(pending_is(&p, "abcdef"));
	CHECK_INT(mesh_pipe_unread(&p), 4);
	mesh_pipe_sent(&p, 5, true);
	CHECK(pending_is(&p, "f"));
	mesh_pipe_rewind(&p);
	CHECK(pending_is(&p, "abcdef"));
	mesh_pipe_sent(&p, 6, true);
	mesh_pipe_forget(&p);
	CHECK_INT(p.scan - p.start, 0);
	CHECK_INT(mesh_pipe_unread(&p), 4);
	CHECK(!mesh_pipe_full(&p));
	CHECK_INT(mesh_pipe_room(&p), 12);
	CHECK(memcmp(p.data + p.scan, "NEXT", 4) == 0);
	mesh_pipe_drop(&p, &cache);
	mesh_pipe_cache_free(&cache);
}

TEST(pipe_takes_chunks_apart)
{
	static const char text[] = "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\nX";
	struct mesh_http1_body body = {.framing = MESH_HTTP1_CHUNKED};
	enum mesh_http1_result r = MESH_HTTP1_MORE;
	struct mesh_pipe p = {0};
	char out[32];
	size_t len = 0, at = 0;

	mesh_pipe_hold(&p, &cache);
	while (r == MESH_HTTP1_MORE) { /* a full pipe each time, all sent */
		size_t n = mesh_pipe_add(&p, text + at, sizeof(text) - 1 - at);

		CHECK(n > 0);
		at += n;
		r = mesh_pipe_decode(&p, &body, true);
		memcpy(out + len, p.data + p.sent, mesh_pipe_pending(&p));
		len += mesh_pipe_pending(&p);
		mesh_pipe_sent(&p, mesh_pipe_pending(&p), false);
	}
	CHECK_INT(r, MESH_HTTP1_DONE);
	CHECK_INT(len, 5);
	CHECK(memcmp(out, "abcde", 5) == 0);
	CHECK_INT(mesh_pipe_unread(&p), 1);
	mesh_pipe_drop(&p, &cache);
	mesh_pipe_cache_free(&cache);
}

TEST(pipe_is_bounded)
{
	struct mesh_pipe p = {0};

	mesh_pipe_hold(&p, &cache);
	CHECK_INT(mesh_pipe_add(&p, "0123456789abcdefXYZ", 19), 16);
	CHECK(mesh_pipe_full(&p));
	CHECK_INT(mesh_pipe_add(&p, "XYZ", 3), 0);
	CHECK(mesh_pipe_grow(&p, &cache, 40));
	CHECK_INT(p.capacity, 32);
	CHECK(mesh_pipe_grow(&p, &cache, 40));
	CHECK_INT(p.capacity, 40);
	CHECK(!mesh_pipe_grow(&p, &cache, 40));
	CHECK_INT(mesh_pipe_unread(&p), 16);
	CHECK(memcmp(p.data, "0123456789abcdef", 16) == 0);
	mesh_pipe_drop(&p, &cache);
	CHECK_INT(cache.count, 1); /* the grown one is not kept */
	mesh_pipe_cache_free(&cache);
}

TEST(pipe_widens_for_bulk)
{
	struct mesh_pipe p = {0};

	mesh_pipe_hold(&p, &cache);
	mesh_pipe_took(&p, 15);
	p.start = p.sent = p.ready = p.scan = 15;
	mesh_pipe_forget(&p);
	mesh_pipe_widen(&p, &cache); /* the last read did not fill it */
	CHECK_INT(p.capacity, 16);
	mesh_pipe_took(&p, 16);
	mesh_pipe_widen(&p, &cache); /* it is not empty */
	CHECK_INT(p.capacity, 16);
	p.start = p.sent = p.ready = p.scan = 16;
	mesh_pipe_forget(&p);
	mesh_pipe_widen(&p, &cache);
	CHECK_INT(p.capacity, 64);
	CHECK_INT(mesh_pipe_room(&p), 64);
	mesh_pipe_widen(&p, &cache);
	CHECK_INT(p.capacity, 64);
	mesh_pipe_drop(&p, &cache);
	mesh_pipe_cache_free(&cache);
}

static struct mesh_timeout *ran[8];
static size_t ran_count;

static void run_out(struct mesh_timeout *item)
{
	ran[ran_count++] = item;
}

TEST(timeouts_run_in_order)
{
	struct mesh_timeouts list, other;
	struct mesh_timeout a = {0}, b = {0}, c = {0}, d = {0};
	struct mesh_loop *loop;
	uint64_t begin = mesh_now_ns();

	CHECK(mesh_loop_new(&loop) == 0);
	mesh_timeouts_init(&list, loop, MESH_MS(30), run_out);
	mesh_timeouts_init(&other, loop, MESH_SEC(60), run_out);
	ran_count = 0;
	mesh_timeout_set(&list, &a);
	mesh_timeout_set(&list, &b);
	mesh_timeout_set(&list, &c);
	mesh_timeout_set(&list, &d);
	mesh_timeout_set(&list, &a);  /* again: now the last */
	mesh_timeout_set(&other, &c); /* moved */
	mesh_timeout_clear(&d);
	mesh_timeout_clear(&d);
	while (ran_count < 2 && mesh_now_ns() - begin < MESH_SEC(5))
		CHECK(mesh_loop_once(loop, 100) == 0);
	CHECK_INT(ran_count, 2);
	CHECK(ran[0] == &b && ran[1] == &a);
	CHECK(mesh_now_ns() - begin >= MESH_MS(29));
	CHECK(a.in == NULL && c.in == &other && d.in == NULL);
	mesh_timeout_clear(&c);
	mesh_loop_free(loop);
}

TEST_MAIN()
