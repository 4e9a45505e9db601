/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pods.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/vec.h"

#include <errno.h>

enum { LISTENERS_MAX = MESH_KEEPER_FDS };

/* What a worker thread needs to ask for an original destination. Outlives its pod by a while. */
struct origdst_key {
	struct mesh_dp *dp;
	uint64_t netns_cookie;
	uint64_t retired_ns;
};

struct agent_pod {
	char *ns, *name, *uid, *workload;
	struct mesh_labels labels;
	struct mesh_addr *ips;
	size_t ip_count;
	bool captured, wanted;
	uint64_t since_ns, next_try_ns, captured_ns;
	char *trouble; /* why capture failed last, or NULL */
	int netns_fd;
	uint64_t netns_cookie;
	struct origdst_key *key;
	struct mesh_proxy_listener *listeners[LISTENERS_MAX];
	size_t listener_count;
};

struct mesh_pods {
	struct mesh_pods_opts opts;
	struct mesh_map by_name; /* "NS/NAME" -> struct agent_pod * */
	struct mesh_timer retry, orphans;
	MESH_VEC(struct origdst_key *) retired;
	MESH_VEC(struct agent_pod *) leaving; /* released; listeners open a moment for connects decided before */
	bool updated;
};

#define RETRY_NS  MESH_MS(20)
#define LINGER_NS MESH_MS(500)
#define RETIRE_NS MESH_SEC(60)
/* Namespaces that an earlier agent captured and that nobody claims are let go after this time. */
#define ORPHAN_NS MESH_SEC(5)

static int on_origdst(void *arg, int fd, const struct mesh_addr *local, const struct mesh_addr *peer,
		      struct mesh_addr *ret)
{
	const struct origdst_key *key = arg;

	(void)fd;
	return mesh_dp_origdst(key->dp, key->netns_cookie, local, peer, ret);
}

static struct mesh_labels labels_copy(const struct mesh_labels *labels)
{
	struct mesh_labels copy = {.items = mesh_xcalloc(labels->count + 1, sizeof(*copy.items)),
				   .count = labels->count};

	for (size_t i = 0; i < labels->count; i++) {
		copy.items[i].key = mesh_xstrdup(labels->items[i].key);
		copy.items[i].value = mesh_xstrdup(labels->items[i].value);
	}
	return copy;
}

/* "catalog-v1" of "catalog-v1-6d6b478456-9vsm2"; a pod without a template hash is its own workload. */
static char *workload_name(const struct mesh_workload *w)
{
	const char *hash = mesh_labels_get(&w->labels, "pod-template-hash");
	mesh_auto_free char *middle = hash ? mesh_xasprintf("-%s-", hash) : NULL;
	const char *at = middle ? strstr(w->name, middle) : NULL;

	return at ? mesh_xstrndup(w->name, (size_t)(at - w->name)) : mesh_xstrdup(w->name);
}

static struct mesh_proxy_client client_of(const struct agent_pod *pod)
{
	return (struct mesh_proxy_client){
		.ns = pod->ns, .pod = pod->name, .workload = pod->workload, .labels = pod->labels};
}

static void pod_free(struct agent_pod *pod)
{
	if (pod->netns_fd >= 0)
		close(pod->netns_fd);
	mesh_labels_free(&pod->labels);
	free(pod->trouble);
	free(pod->ns);
	free(pod->name);
	free(pod->uid);
	free(pod->workload);
	free(pod->ips);
	free(pod);
}

static struct agent_pod *pod_new(const struct mesh_workload *w)
{
	struct agent_pod *pod = mesh_xcalloc(1, sizeof(*pod));

	pod->ns = mesh_xstrdup(w->ns);
	pod->name = mesh_xstrdup(w->name);
	pod->uid = mesh_xstrdup(w->uid);
	pod->workload = workload_name(w);
	pod->labels = labels_copy(&w->labels);
	pod->ips = mesh_xcalloc(w->ip_count, sizeof(*pod->ips));
	memcpy(pod->ips, w->ips, w->ip_count * sizeof(*pod->ips));
	pod->ip_count = w->ip_count;
	pod->since_ns = mesh_now_ns();
	pod->netns_fd = -1;
	return pod;
}

static void stop_listening(struct mesh_pods *pods, struct agent_pod *pod, bool abort_flows)
{
	for (size_t i = 0; i < pod->listener_count; i++)
		mesh_proxy_listener_free(pod->listeners[i], abort_flows);
	pod->listener_count = 0;
	if (pod->key) {
		pod->key->retired_ns = mesh_now_ns();
		mesh_vec_push(&pods->retired, pod->key);
		pod->key = NULL;
	}
}

static void drop_retired(struct mesh_pods *pods)
{
	uint64_t now = mesh_now_ns();

	while (pods->retired.count && now - pods->retired.items[0]->retired_ns > RETIRE_NS) {
		free(pods->retired.items[0]);
		mesh_vec_remove(&pods->retired, 0);
	}
}

static void pod_trouble(struct agent_pod *pod, const char *text)
{
	if (!pod->trouble || strcmp(pod->trouble, text) != 0)
		mesh_warn("pod %s/%s is not captured yet: %s", pod->ns, pod->name, text);
	free(pod->trouble);
	pod->trouble = mesh_xstrdup(text);
}

static int listen_all(struct mesh_pods *pods, struct agent_pod *pod, int fds[LISTENERS_MAX], size_t count)
{
	struct mesh_proxy_client client = client_of(pod);
	int failed = 0;

	for (size_t i = 0; i < count; i++) {
		struct mesh_proxy_listen listen = {.fd = fds[i],
						   .upstream_netns_fd = pod->netns_fd,
						   .netns_cookie = pod->netns_cookie,
						   .client = &client,
						   .origdst = on_origdst,
						   .origdst_arg = pod->key};
		int r = mesh_proxy_listen(pods->opts.proxy, &listen, &pod->listeners[pod->listener_count]);

		if (r < 0) {
			close(fds[i]);
			failed = r;
		} else {
			pod->listener_count++;
		}
	}
	return failed;
}

/* With the listeners that outlived an earlier agent, where they are still right. Returns how many, 0 if none. */
static size_t pod_recapture(struct mesh_pods *pods, struct agent_pod *pod, const struct mesh_dp_found *found,
			    int fds[LISTENERS_MAX])
{
	size_t count = mesh_keeper_take(pods->opts.keeper, found->netns_cookie, fds);

	if (count && mesh_dp_recapture(pods->opts.dp, found, pod->ips, pod->ip_count, pod->name, fds, count) == 0)
		return count;
	while (count)
		close(fds[--count]);
	return 0;
}

static int pod_capture(struct mesh_pods *pods, struct agent_pod *pod, const struct mesh_dp_found *found)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	int fds[LISTENERS_MAX], r;
	size_t count = pod_recapture(pods, pod, found, fds);

	r = count ? 0 : mesh_dp_capture(pods->opts.dp, found, pod->ips, pod->ip_count, pod->name, fds, &count, &errs);
	if (r < 0) {
		mesh_errs_format(&errs, &text);
		pod_trouble(pod, text.len ? text.data : strerror(-r));
		return r;
	}
	if (mesh_keeper_put(pods->opts.keeper, found->netns_cookie, fds, count) < 0)
		mesh_warn("pod %s/%s: its listeners are not held: connects fail while no agent runs", pod->ns,
			  pod->name);
	pod->netns_cookie = found->netns_cookie;
	pod->key = mesh_xcalloc(1, sizeof(*pod->key));
	*pod->key = (struct origdst_key){.dp = pods->opts.dp, .netns_cookie = found->netns_cookie};
	r = listen_all(pods, pod, fds, count);
	if (r < 0) {
		pod_trouble(pod, "the proxy cannot listen");
		mesh_dp_release(pods->opts.dp, pod->netns_cookie);
		stop_listening(pods, pod, true);
		return r;
	}
	return 0;
}

/* Listeners that linger in the namespace of a pod that comes back are in the way. */
static void end_linger(struct mesh_pods *pods, uint64_t netns_cookie)
{
	for (size_t i = pods->leaving.count; i > 0; i--) {
		struct agent_pod *pod = pods->leaving.items[i - 1];

		if (pod->netns_cookie != netns_cookie)
			continue;
		stop_listening(pods, pod, false);
		mesh_vec_remove(&pods->leaving, i - 1);
		pod_free(pod);
	}
}

static void pod_try(struct mesh_pods *pods, struct agent_pod *pod)
{
	uint64_t now = mesh_now_ns(), waited = now - pod->since_ns;
	struct mesh_dp_found found = {.netns_fd = -1};
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < pod->ip_count; i++)
		r = mesh_dp_find(pods->opts.dp, &pod->ips[i], &found);
	if (r == 0) {
		end_linger(pods, found.netns_cookie);
		pod->netns_fd = found.netns_fd;
		r = pod_capture(pods, pod, &found);
		free(found.cgroup);
	}
	if (r < 0) {
		if (pod->netns_fd >= 0)
			close(pod->netns_fd);
		pod->netns_fd = -1;
		pod->next_try_ns = now + (waited < MESH_SEC(2)    ? RETRY_NS
					  : waited < MESH_SEC(30) ? 10 * RETRY_NS
								  : MESH_SEC(1));
		return;
	}
	pod->captured = true;
	pod->captured_ns = mesh_now_ns();
	free(mesh_steal(pod->trouble));
	mesh_info("pod %s/%s is captured (namespace cookie %llu)", pod->ns, pod->name,
		  (unsigned long long)pod->netns_cookie);
}

/* Takes the pod out of the table's hands. gone: its processes are no more. */
static void pod_release(struct mesh_pods *pods, struct agent_pod *pod, bool gone)
{
	if (!pod->captured) {
		pod_free(pod);
		return;
	}
	mesh_dp_release(pods->opts.dp, pod->netns_cookie);
	mesh_keeper_put(pods->opts.keeper, pod->netns_cookie, NULL, 0);
	mesh_info("pod %s/%s is released", pod->ns, pod->name);
	pod->captured_ns = mesh_now_ns(); /* now: when it left */
	if (gone) {
		stop_listening(pods, pod, true);
		pod_free(pod);
		return;
	}
	mesh_vec_push(&pods->leaving, pod);
	mesh_timer_set(pods->opts.loop, &pods->retry, RETRY_NS);
}

bool mesh_pods_wants(const struct mesh_pods *pods, const struct mesh_snapshot *snap, const struct mesh_workload *w)
{
	return w->node && strcmp(w->node, pods->opts.node) == 0 && !w->host_network && !w->finished &&
	       w->ip_count > 0 && mesh_map_get_str(&snap->members, w->ns);
}

static bool pod_is(const struct agent_pod *pod, const struct mesh_workload *w)
{
	if (strcmp(pod->uid, w->uid ? w->uid : "") != 0 || pod->ip_count != w->ip_count)
		return false;
	for (size_t i = 0; i < w->ip_count; i++)
		if (!mesh_addr_ip_eq(&pod->ips[i], &w->ips[i]))
			return false;
	return true;
}

static void pod_relabel(struct agent_pod *pod, const struct mesh_workload *w)
{
	struct mesh_proxy_client client;

	if (pod->labels.count == w->labels.count && mesh_labels_match(&pod->labels, &w->labels))
		return;
	mesh_labels_free(&pod->labels);
	pod->labels = labels_copy(&w->labels);
	client = client_of(pod);
	for (size_t i = 0; i < pod->listener_count; i++)
		mesh_proxy_listener_client(pod->listeners[i], &client);
}

static void release_unwanted(struct mesh_pods *pods, const struct mesh_snapshot *snap)
{
	mesh_map_each (e, &pods->by_name) {
		struct agent_pod *pod = e->value;
		const struct mesh_workload *w = mesh_snapshot_workload(snap, pod->ns, pod->name);
		bool same = w && pod_is(pod, w);

		if (same && mesh_pods_wants(pods, snap, w))
			continue;
		mesh_map_remove(&pods->by_name, mesh_slice_of(e->key, e->key_len));
		pod_release(pods, pod, !same || w->finished);
	}
}

static void arm_retry(struct mesh_pods *pods)
{
	uint64_t now = mesh_now_ns(), next = UINT64_MAX;

	mesh_map_each (e, &pods->by_name) {
		struct agent_pod *pod = e->value;

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
	release_unwanted(pods, snap);
	mesh_map_each (e, &snap->workloads) {
		const struct mesh_workload *w = e->value;
		struct agent_pod *pod;

		if (!mesh_pods_wants(pods, snap, w))
			continue;
		pod = mesh_map_get(&pods->by_name, mesh_slice_of(e->key, e->key_len));
		if (pod) {
			pod_relabel(pod, w);
			continue;
		}
		pod = pod_new(w);
		mesh_map_put(&pods->by_name, mesh_slice_of(e->key, e->key_len), pod);
		pod_try(pods, pod);
	}
	drop_retired(pods);
	arm_retry(pods);
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
		struct agent_pod *pod = e->value;

		if (pod->captured || pod->next_try_ns > now)
			continue;
		pod_try(pods, pod);
		settled |= pod->captured;
	}
	while (pods->leaving.count && pods->leaving.items[0]->captured_ns + LINGER_NS <= now) {
		struct agent_pod *pod = pods->leaving.items[0];

		mesh_vec_remove(&pods->leaving, 0);
		stop_listening(pods, pod, false);
		pod_free(pod);
	}
	arm_retry(pods);
	if (settled)
		pods->opts.settled(pods->opts.arg);
}

static bool is_ours(const struct mesh_pods *pods, uint64_t cookie)
{
	mesh_map_each (e, &pods->by_name) {
		const struct agent_pod *pod = e->value;

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
		if (is_ours(pods, cookies[i]))
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
		stop_listening(pods, e->value, false);
		pod_free(e->value);
	}
	mesh_map_free(&pods->by_name);
	mesh_vec_each (pod, &pods->leaving) {
		stop_listening(pods, *pod, false);
		pod_free(*pod);
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

bool mesh_pods_captured(const struct mesh_pods *pods, const struct mesh_addr *ip)
{
	mesh_map_each (e, &pods->by_name) {
		const struct agent_pod *pod = e->value;

		for (size_t i = 0; pod->captured && i < pod->ip_count; i++)
			if (mesh_addr_ip_eq(&pod->ips[i], ip))
				return true;
	}
	return false;
}

void mesh_pods_end_flows(struct mesh_pods *pods, const struct mesh_addr *ip)
{
	mesh_map_each (e, &pods->by_name) {
		const struct agent_pod *pod = e->value;
		int n;

		if (!pod->captured)
			continue;
		n = mesh_dp_end_flows(pods->opts.dp, pod->netns_fd, pod->netns_cookie, ip);
		if (n > 0)
			mesh_info("pod %s/%s: ended %d flows to an endpoint that is gone", pod->ns, pod->name, n);
	}
}

json_t *mesh_pods_status(const struct mesh_pods *pods)
{
	json_t *ret = json_array();

	mesh_map_each (e, &pods->by_name) {
		const struct agent_pod *pod = e->value;
		char ip[MESH_ADDR_TEXT];

		json_array_append_new(ret, json_pack("{s:s, s:s, s:s, s:b, s:I, s:s?}", "namespace", pod->ns, "name",
						     pod->name, "ip", mesh_addr_ip_text(&pod->ips[0], ip), "captured",
						     pod->captured, "netnsCookie", (json_int_t)pod->netns_cookie,
						     "trouble", pod->trouble));
	}
	return ret;
}
