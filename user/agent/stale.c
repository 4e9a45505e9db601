/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stale.h"

#include "agent/state.h"
#include "config/condition.h"
#include "core/mem.h"

enum { TRIES_MAX = 30 };
#define BATCH_NS MESH_MS(200) /* changes come in bursts, and to look at all endpoints costs something */
#define AGAIN_NS MESH_SEC(1)

struct doubt {
	struct mesh_addr ip;
	unsigned tries;
};

struct mesh_stale {
	struct mesh_agent *agent;
	struct mesh_timer timer;
	struct mesh_kube_request *request;
	MESH_VEC(struct doubt) doubts;
	uint64_t ended;
	bool compared; /* with what an agent before had in force */
};

/* Addresses that some pod or endpoint has now. */
static void known_ips(const struct mesh_snapshot *snap, struct mesh_map *ret)
{
	mesh_map_each (e, &snap->workloads) {
		const struct mesh_workload *w = e->value;

		for (size_t i = 0; !w->finished && i < w->ip_count; i++)
			mesh_map_put(ret, mesh_ip_key(&w->ips[i]), ret);
	}
	mesh_map_each (e, &snap->endpoints) {
		const struct mesh_endpoints *list = e->value;

		for (size_t i = 0; i < list->count; i++)
			mesh_map_put(ret, mesh_ip_key(&list->items[i].addr), ret);
	}
}

static void ask_next(struct mesh_stale *s);

/* Whether a pod that runs has the address; the answer is a list of those that have it. */
static bool somebody_has(const json_t *body)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(body, "items"), i, item) if (!mesh_pod_over(item)) return true;
	return false;
}

static void on_answer(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_stale *s = arg;
	struct doubt d = s->doubts.items[0];

	s->request = NULL;
	mesh_vec_remove(&s->doubts, 0);
	if (r->status != 200) {
		if (++d.tries < TRIES_MAX)
			mesh_vec_push(&s->doubts, d);
		mesh_timer_set(s->agent->loop, &s->timer, AGAIN_NS);
		return;
	}
	if (!somebody_has(r->body))
		s->ended += mesh_pods_end_flows(s->agent->pods, &d.ip, NULL);
	ask_next(s);
}

static void ask_next(struct mesh_stale *s)
{
	mesh_auto_free char *path = NULL;
	char ip[MESH_ADDR_TEXT];

	if (s->request || s->doubts.count == 0)
		return;
	path = mesh_xasprintf("/api/v1/pods?fieldSelector=status.podIP%%3D%s",
			      mesh_addr_ip_text(&s->doubts.items[0].ip, ip));
	s->request = mesh_kube_send(s->agent->kube, "GET", path, NULL, NULL, NULL, on_answer, s);
}

static void on_timer(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_stale *s = mesh_container_of(timer, struct mesh_stale, timer);
	mesh_auto(mesh_map_free) struct mesh_map known = {0};

	(void)loop;
	if (s->request) /* goes on when that is answered */
		return;
	known_ips(mesh_feed_snapshot(s->agent->feed), &known);
	for (size_t i = s->doubts.count; i > 0; i--)
		if (mesh_map_put(&known, mesh_ip_key(&s->doubts.items[i - 1].ip), &known))
			mesh_vec_remove(&s->doubts, i - 1); /* it lives, or is in the list twice */
	ask_next(s);
}

/* What an agent before had in force, and nobody names now: whether its pod lives is not known. */
static void doubt(struct mesh_stale *s, const struct mesh_addr *ip)
{
	struct doubt d = {.ip = *ip};

	d.ip.port = 0;
	mesh_vec_push(&s->doubts, d);
	if (!s->timer.heap_at)
		mesh_timer_set(s->agent->loop, &s->timer, BATCH_NS);
}

static bool is_to_end(const struct mesh_stale *s, const struct mesh_dp_stale *one)
{
	return one->drain == MESH_L4_DRAIN_END || (one->drain == MESH_L4_DRAIN_DEFAULT && s->agent->opts.drain_end);
}

void mesh_stale_published(struct mesh_stale *s)
{
	struct mesh_dp_stale_list stale = {0};

	mesh_dp_stale(s->agent->dp, &stale);
	mesh_vec_each (one, &stale.list) {
		if (is_to_end(s, one))
			s->ended += mesh_pods_end_flows(s->agent->pods, &one->endpoint, &one->via);
		if (!s->compared)
			doubt(s, &one->endpoint);
	}
	s->compared = true;
	mesh_vec_free(&stale.list);
}

json_t *mesh_stale_status(const struct mesh_stale *s)
{
	return json_pack("{s:I, s:I}", "ended", (json_int_t)s->ended, "doubts", (json_int_t)s->doubts.count);
}

struct mesh_stale *mesh_stale_new(struct mesh_agent *a)
{
	struct mesh_stale *s = mesh_xcalloc(1, sizeof(*s));

	s->agent = a;
	s->timer.fn = on_timer;
	return s;
}

void mesh_stale_free(struct mesh_stale *s)
{
	if (!s)
		return;
	mesh_kube_cancel(s->request);
	mesh_timer_remove(s->agent->loop, &s->timer);
	mesh_vec_free(&s->doubts);
	free(s);
}
