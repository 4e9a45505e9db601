/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/timeout.h"

#include "core/mem.h"

static void run_out(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_timeouts *list = (struct mesh_timeouts *)timer;
	uint64_t now = mesh_loop_now_ns(loop);

	while (list->ends.next != &list->ends && list->ends.next->due_ns <= now) {
		struct mesh_timeout *item = list->ends.next;

		mesh_timeout_clear(item);
		list->fn(item);
	}
	if (list->ends.next != &list->ends)
		mesh_timer_set(loop, timer, list->ends.next->due_ns - now);
}

void mesh_timeouts_init(struct mesh_timeouts *list, struct mesh_loop *loop, uint64_t delay_ns, mesh_timeout_fn *fn)
{
	*list = (struct mesh_timeouts){.loop = loop, .fn = fn, .delay_ns = delay_ns, .timer.fn = run_out};
	list->ends.prev = list->ends.next = &list->ends;
}

void mesh_timeout_clear(struct mesh_timeout *item)
{
	if (!item->in)
		return;
	item->prev->next = item->next;
	item->next->prev = item->prev;
	item->in = NULL;
}

void mesh_timeout_set(struct mesh_timeouts *list, struct mesh_timeout *item)
{
	mesh_timeout_clear(item);
	item->in = list;
	item->due_ns = mesh_loop_now_ns(list->loop) + list->delay_ns;
	item->next = &list->ends;
	item->prev = list->ends.prev;
	item->prev->next = item;
	list->ends.prev = item;
	if (list->timer.heap_at == 0)
		mesh_timer_set(list->loop, &list->timer, list->delay_ns);
}
