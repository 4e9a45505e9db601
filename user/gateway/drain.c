/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/drain.h"

#include "core/mem.h"

enum { LOOK_MS = 50 };

struct mesh_drain {
	struct mesh_loop *loop;
	struct mesh_drain_opts opts;
	struct mesh_timer timer;
	uint64_t begun_ns, arrived;
	uint64_t quiet_ns; /* since when no slice names us and nobody came; 0: not now */
};

static void on_look(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_drain *d = mesh_container_of(timer, struct mesh_drain, timer);
	uint64_t now = mesh_now_ns(), arrived = d->opts.arrived(d->opts.arg);

	if (d->opts.still_named(d->opts.arg))
		d->quiet_ns = 0;
	else if (!d->quiet_ns || arrived != d->arrived)
		d->quiet_ns = now;
	d->arrived = arrived;
	if ((d->quiet_ns && now - d->quiet_ns >= d->opts.settle_ns) || now - d->begun_ns >= d->opts.max_ns)
		d->opts.done(d->opts.arg);
	else
		mesh_timer_set(loop, timer, MESH_MS(LOOK_MS));
}

int mesh_drain_new(struct mesh_drain **ret, struct mesh_loop *loop, const struct mesh_drain_opts *opts)
{
	struct mesh_drain *d = mesh_xcalloc(1, sizeof(*d));

	d->loop = loop;
	d->opts = *opts;
	if (!d->opts.settle_ns)
		d->opts.settle_ns = MESH_DRAIN_SETTLE_NS;
	if (!d->opts.max_ns)
		d->opts.max_ns = MESH_DRAIN_MAX_NS;
	d->timer.fn = on_look;
	d->begun_ns = mesh_now_ns();
	mesh_timer_set(loop, &d->timer, 0);
	*ret = d;
	return 0;
}

void mesh_drain_free(struct mesh_drain *d)
{
	if (!d)
		return;
	mesh_timer_remove(d->loop, &d->timer);
	free(d);
}
