/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pods.h"

#include "agent/pod.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>

#define LINGER_NS MESH_MS(500)
#define RETIRE_NS MESH_SEC(60)
/* Namespaces that an earlier agent captured and that nobody claims are let go after this time. */
#define ORPHAN_NS MESH_SEC(5)

static void drop_retired(struct mesh_pods *pods)
{
	uint64_t now = mesh_now_ns();

	while (pods->retired.count && now - pods->retired.items[0]->retired_ns > RETIRE_NS) {
		free(pods->retired.items[0]);
		mesh_vec_remove(&pods->retired, 0);
	}
}

static bool is_ours(const struct mesh_pods *pods, const struct mesh_snapshot *snap, const struct mesh_workload *w)
{
	return !w->partial && w->node && strcmp(w->node, pods->opts.node) == 0 && !w->host_network && !w->finished &&
	       mesh_map_get_str(&snap->members, w->ns);
}

bool mesh_pods_wants(const struct mesh_pods *pods, const struct mesh_snapshot *snap, const struct mesh_workload *w)
{
	return w->ip_count > 0 && is_ours(pods, snap, w);
}

bool mesh_pods_awaits(const struct mesh_pods *pods, const struct mesh_snapshot *snap, const struct mesh_workload *w)
{
	return w->ip_count == 0 && is_ours(pods, snap, w);
}

static bool same_addresses(const struct mesh_agent_pod *pod, const struct mesh_workload *w)
{
	if (pod->ip_count != w->ip_count)
		return false;
	for (size_t i = 0; i < w->ip_count; i++)
		if (!mesh_addr_ip_eq(&pod->ips[i], &w->ips[i]))
			return false;
	return true;
}

/* Whether the API's addresses are those of another namespace than the one that CNI told, so CNI's is the older. */
static bool has_moved(struct mesh_pods *pods, const struct mesh_agent_pod *pod, const struct mesh_workload *w)
{
	bool moved = false;

	for (size_t i = 0; !moved && i < w->ip_count; i++) {
		struct mesh_dp_found found = {.netns_fd = -1};

		for (size_t k = 0; k < pod->ip_count; k++)
			if (mesh_addr_ip_eq(&pod->ips[k], &w->ips[i]))
				return false;
		if (mesh_dp_find(pods->opts.dp, &w->ips[i], pod->uid, &found) < 0)
			continue;
		moved = found.netns_cookie != pod->netns_cookie;
		mesh_dp_found_free(&found);
	}
	return moved;
}

enum fate { FATE_STAYS, FATE_LEAVES, FATE_GONE };

/* Of a pod that CNI told. The API may not know it yet, or still have the addresses of its last sandbox. */
static enum fate fate_by_cni(struct mesh_pods *pods, const struct mesh_snapshot *snap, struct mesh_agent_pod *pod,
			     const struct mesh_workload *w)
{
	bool same = w && strcmp(pod->uid, mesh_agent_pod_uid(w)) == 0;

	if (!same)
		return pod->seen ? FATE_GONE : mesh_map_get_str(&snap->members, pod->ns) ? FATE_STAYS : FATE_LEAVES;
	pod->seen = true;
	if (w->finished || has_moved(pods, pod, w))
		return FATE_GONE;
	return is_ours(pods, snap, w) ? FATE_STAYS : FATE_LEAVES;
}

static enum fate fate_of(struct mesh_pods *pods, const struct mesh_snapshot *snap, struct mesh_agent_pod *pod)
{
	const struct mesh_workload *w = mesh_snapshot_workload(snap, pod->ns, pod->name);

	if (w && w->partial)
		w = NULL;
	if (pod->container)
		return fate_by_cni(pods, snap, pod, w);
	if (!w || w->finished || strcmp(pod->uid, mesh_agent_pod_uid(w)) != 0 || !same_addresses(pod, w))
		return FATE_GONE;
	return mesh_pods_wants(pods, snap, w) ? FATE_STAYS : FATE_LEAVES;
}

static void release_unwanted(struct mesh_pods *pods, const struct mesh_snapshot *snap)
{
	mesh_map_each (e, &pods->by_name) {
		struct mesh_agent_pod *pod = e->value;
		enum fate fate = fate_of(pods, snap, pod);

		if (fate == FATE_STAYS)
			continue;
		mesh_map_remove(&pods->by_name, mesh_slice_of(e->key, e->key_len));
		mesh_agent_pod_release(pods, pod, fate == FATE_GONE);
	}
}

void mesh_pods_arm(struct mesh_pods *pods)
{
	uint64_t now = mesh_now_ns(), next = UINT64_MAX;

	mesh_map_each (e, &pods->by_name) {
		struct mesh_agent_pod *pod = e->value;

		if (!pod->captured)
			next = MESH_MIN(next, pod->next_try_ns);
	}
	mesh_vec_each (pod, &pods->leaving)
		next = MESH_MIN(next, (*pod)->captured_ns + LINGER_NS);
	if (next != UINT64_MAX)
		mesh_timer_set(pods->opts.loop, &pods->retry, next > now ? next - now : 0);
}

void mesh_pods_update(struct mesh_pods *pods, const struct mesh_snapshot *snap)
{
	if (pods->left)
		return;
	pods->snap = snap;
	release_unwanted(pods, snap);
	mesh_map_each (e, &snap->workloads) {
		const struct mesh_workload *w = e->value;
		struct mesh_agent_pod *pod;

		if (!is_ours(pods, snap, w))
			continue;
		pod = mesh_map_get(&pods->by_name, mesh_slice_of(e->key, e->key_len));
		if (pod && strcmp(pod->uid, mesh_agent_pod_uid(w)) == 0) {
			mesh_agent_pod_relabel(pod, w);
			mesh_agent_pod_splice(pods, pod);
		}
		if (pod || w->ip_count == 0)
			continue;
		pod = mesh_agent_pod_new(w->ns, w->name, mesh_agent_pod_uid(w), w->ips, w->ip_count, w);
		mesh_map_put(&pods->by_name, mesh_slice_of(e->key, e->key_len), pod);
		mesh_agent_pod_try(pods, pod);
	}
	drop_retired(pods);
	mesh_pods_arm(pods);
	if (!pods->updated)
		mesh_timer_set(pods->opts.loop, &pods->orphans, ORPHAN_NS);
	pods->updated = true;
}

static void on_retry(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_pods *pods = mesh_container_of(timer, struct mesh_pods, retry);
	uint64_t now = mesh_now_ns();
	bool settled = false;

	(void)loop;
	mesh_map_each (e, &pods->by_name) {
		struct mesh_agent_pod *pod = e->value;

		if (pod->captured || pod->next_try_ns > now)
			continue;
		mesh_agent_pod_try(pods, pod);
		settled |= pod->captured;
	}
	while (pods->leaving.count && pods->leaving.items[0]->captured_ns + LINGER_NS <= now) {
		struct mesh_agent_pod *pod = pods->leaving.items[0];

		mesh_vec_remove(&pods->leaving, 0);
		mesh_agent_pod_stop_listening(pods, pod, false);
		mesh_agent_pod_free(pod);
	}
	mesh_pods_arm(pods);
	if (settled)
		pods->opts.settled(pods->opts.arg);
}

static bool has_cookie(const struct mesh_pods *pods, uint64_t cookie)
{
	mesh_map_each (e, &pods->by_name) {
		const struct mesh_agent_pod *pod = e->value;

		if (pod->captured && pod->netns_cookie == cookie)
			return true;
	}
	return false;
}

static void on_orphans(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_pods *pods = mesh_container_of(timer, struct mesh_pods, orphans);
	mesh_auto_free uint64_t *cookies = NULL;
	size_t count = 0;

	(void)loop;
	mesh_keeper_drop_rest(pods->opts.keeper);
	if (mesh_dp_captured(pods->opts.dp, &cookies, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (has_cookie(pods, cookies[i]))
			continue;
		mesh_info("namespace %llu, captured by an earlier agent, is no pod of the mesh any more: released",
			  (unsigned long long)cookies[i]);
		mesh_dp_release(pods->opts.dp, cookies[i]);
	}
}

struct mesh_pods *mesh_pods_new(const struct mesh_pods_opts *opts)
{
	struct mesh_pods *pods = mesh_xcalloc(1, sizeof(*pods));

	pods->opts = *opts;
	pods->retry.fn = on_retry;
	pods->orphans.fn = on_orphans;
	return pods;
}

void mesh_pods_free(struct mesh_pods *pods)
{
	if (!pods)
		return;
	mesh_timer_remove(pods->opts.loop, &pods->retry);
	mesh_timer_remove(pods->opts.loop, &pods->orphans);
	mesh_map_each (e, &pods->by_name) {
		mesh_agent_pod_stop_listening(pods, e->value, false);
		mesh_agent_pod_free(e->value);
	}
	mesh_map_free(&pods->by_name);
	mesh_vec_each (pod, &pods->leaving) {
		mesh_agent_pod_stop_listening(pods, *pod, false);
		mesh_agent_pod_free(*pod);
	}
	mesh_vec_free(&pods->leaving);
}

void mesh_pods_free_late(struct mesh_pods *pods)
{
	if (!pods)
		return;
	mesh_vec_each (key, &pods->retired)
		free(*key);
	mesh_vec_free(&pods->retired);
	free(pods);
}

struct mesh_proxy_listener *mesh_pods_listener(const struct mesh_pods *pods, uint64_t netns_cookie)
{
	mesh_map_each (e, &pods->by_name) {
		const struct mesh_agent_pod *pod = e->value;

		if (pod->captured && pod->netns_cookie == netns_cookie && pod->listener_count)
			return pod->listeners[0];
	}
	return NULL;
}

void mesh_pods_yield(struct mesh_pods *pods)
{
	pods->left = true;
	mesh_timer_remove(pods->opts.loop, &pods->retry);
	mesh_timer_remove(pods->opts.loop, &pods->orphans);
}

bool mesh_pods_captured(const struct mesh_pods *pods, const struct mesh_addr *ip)
{
	mesh_map_each (e, &pods->by_name) {
		const struct mesh_agent_pod *pod = e->value;

		for (size_t i = 0; pod->captured && i < pod->ip_count; i++)
			if (mesh_addr_ip_eq(&pod->ips[i], ip))
				return true;
	}
	return false;
}

unsigned mesh_pods_end_flows(struct mesh_pods *pods, const struct mesh_addr *ip, const struct mesh_addr *via)
{
	unsigned ended = 0;

	mesh_dp_forget(pods->opts.dp, ip);
	mesh_map_each (e, &pods->by_name) {
		const struct mesh_agent_pod *pod = e->value;
		int n;

		if (!pod->captured)
			continue;
		n = mesh_dp_end_flows(pods->opts.dp, pod->netns_fd, ip, via);
		if (n <= 0)
			continue;
		ended += (unsigned)n;
		mesh_info("pod %s/%s: ended %d flows to an endpoint that %s", pod->ns, pod->name, n,
			  via ? "its service does not use any more" : "is gone");
	}
	return ended;
}

void mesh_pods_leave(struct mesh_pods *pods)
{
	pods->left = true;
	mesh_timer_remove(pods->opts.loop, &pods->orphans);
	mesh_map_each (e, &pods->by_name)
		mesh_agent_pod_release(pods, mesh_map_remove(&pods->by_name, mesh_slice_of(e->key, e->key_len)), false);
	on_orphans(pods->opts.loop, &pods->orphans); /* also those that were captured before us */
	mesh_pods_arm(pods);
}

json_t *mesh_pods_status(const struct mesh_pods *pods)
{
	json_t *ret = json_array();

	mesh_map_each (e, &pods->by_name) {
		const struct mesh_agent_pod *pod = e->value;
		char ip[MESH_ADDR_TEXT];

		json_array_append_new(ret,
				      json_pack("{s:s, s:s, s:s, s:b, s:I, s:s, s:s?, s:s?}", "namespace", pod->ns,
						"name", pod->name, "ip", mesh_addr_ip_text(&pod->ips[0], ip),
						"captured", pod->captured, "netnsCookie", (json_int_t)pod->netns_cookie,
						"by", pod->container ? "cni" : "address", "container", pod->container,
						"trouble", pod->trouble));
	}
	return ret;
}
