/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pod.h"

#include "core/log.h"
#include "core/mem.h"

#include <errno.h>

#define RETRY_NS MESH_MS(20)
#define LOST_NS  MESH_SEC(10) /* after that it is said that no process has the pod's address */

static int on_origdst(void *arg, int fd, const struct mesh_addr *local, const struct mesh_addr *peer,
		      struct mesh_addr *ret)
{
	const struct mesh_pod_key *key = arg;

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

static struct mesh_proxy_client client_of(const struct mesh_agent_pod *pod)
{
	return (struct mesh_proxy_client){
		.ns = pod->ns, .pod = pod->name, .workload = pod->workload, .labels = pod->labels};
}

const char *mesh_agent_pod_uid(const struct mesh_workload *w)
{
	const char *file = mesh_labels_get(&w->annotations, "kubernetes.io/config.mirror");

	return file ? file : w->uid ? w->uid : "";
}

void mesh_agent_pod_free(struct mesh_agent_pod *pod)
{
	if (pod->netns_fd >= 0)
		close(pod->netns_fd);
	mesh_labels_free(&pod->labels);
	free(pod->trouble);
	free(pod->ns);
	free(pod->name);
	free(pod->uid);
	free(pod->workload);
	free(pod->container);
	free(pod->ips);
	free(pod);
}

struct mesh_agent_pod *mesh_agent_pod_new(const char *ns, const char *name, const char *uid,
					  const struct mesh_addr *ips, size_t ip_count, const struct mesh_workload *w)
{
	struct mesh_agent_pod *pod = mesh_xcalloc(1, sizeof(*pod));

	pod->ns = mesh_xstrdup(ns);
	pod->name = mesh_xstrdup(name);
	pod->uid = mesh_xstrdup(uid);
	pod->workload = w ? workload_name(w) : mesh_xstrdup(name);
	if (w)
		pod->labels = labels_copy(&w->labels);
	pod->ips = mesh_xcalloc(ip_count + 1, sizeof(*pod->ips));
	memcpy(pod->ips, ips, ip_count * sizeof(*pod->ips));
	pod->ip_count = ip_count;
	pod->since_ns = mesh_now_ns();
	pod->netns_fd = -1;
	return pod;
}

void mesh_agent_pod_stop_listening(struct mesh_pods *pods, struct mesh_agent_pod *pod, bool abort_flows)
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

static void set_trouble(struct mesh_agent_pod *pod, const char *text)
{
	if (!pod->trouble || strcmp(pod->trouble, text) != 0)
		mesh_warn("pod %s/%s is not captured yet: %s", pod->ns, pod->name, text);
	free(pod->trouble);
	pod->trouble = mesh_xstrdup(text);
}

static int listen_all(struct mesh_pods *pods, struct mesh_agent_pod *pod, int fds[MESH_POD_LISTENERS_MAX], size_t count)
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

/* Listeners that linger in the namespace of a pod that comes back are in the way. */
static void end_linger(struct mesh_pods *pods, uint64_t netns_cookie)
{
	for (size_t i = pods->leaving.count; i > 0; i--) {
		struct mesh_agent_pod *pod = pods->leaving.items[i - 1];

		if (pod->netns_cookie != netns_cookie)
			continue;
		mesh_agent_pod_stop_listening(pods, pod, false);
		mesh_vec_remove(&pods->leaving, i - 1);
		mesh_agent_pod_free(pod);
	}
}

/* With the listeners that outlived an earlier agent, where they are still right. Returns how many, 0 if none. */
static size_t recapture(struct mesh_pods *pods, struct mesh_agent_pod *pod, const struct mesh_dp_found *found,
			int fds[MESH_POD_LISTENERS_MAX])
{
	size_t count = mesh_keeper_take(pods->opts.keeper, found->netns_cookie, fds);

	if (count && mesh_dp_recapture(pods->opts.dp, found, pod->ips, pod->ip_count, pod->name, fds, count) == 0)
		return count;
	while (count)
		close(fds[--count]);
	return 0;
}

static int capture(struct mesh_pods *pods, struct mesh_agent_pod *pod, const struct mesh_dp_found *found)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	int fds[MESH_POD_LISTENERS_MAX], r;
	size_t count = recapture(pods, pod, found, fds);

	r = count ? 0 : mesh_dp_capture(pods->opts.dp, found, pod->ips, pod->ip_count, pod->name, fds, &count, &errs);
	if (r < 0) {
		mesh_errs_format(&errs, &text);
		set_trouble(pod, text.len ? mesh_buf_view(&text).ptr : strerror(-r));
		return r;
	}
	if (mesh_keeper_put(pods->opts.keeper, found->netns_cookie, fds, count) < 0)
		mesh_warn("pod %s/%s: its listeners are not held: connects fail while no agent runs", pod->ns,
			  pod->name);
	pod->netns_cookie = found->netns_cookie;
	pod->key = mesh_xcalloc(1, sizeof(*pod->key));
	*pod->key = (struct mesh_pod_key){.dp = pods->opts.dp, .netns_cookie = found->netns_cookie};
	r = listen_all(pods, pod, fds, count);
	if (r < 0) {
		set_trouble(pod, "the proxy cannot listen");
		mesh_dp_release(pods->opts.dp, pod->netns_cookie);
		mesh_agent_pod_stop_listening(pods, pod, true);
	}
	return r;
}

int mesh_agent_pod_capture(struct mesh_pods *pods, struct mesh_agent_pod *pod, struct mesh_dp_found *found)
{
	int r;

	end_linger(pods, found->netns_cookie);
	pod->netns_fd = found->netns_fd;
	r = capture(pods, pod, found);
	if (r < 0) {
		pod->netns_fd = -1;
		return r;
	}
	found->netns_fd = -1; /* the pod's now */
	pod->captured = true;
	pod->captured_ns = mesh_now_ns();
	free(mesh_steal(pod->trouble));
	mesh_agent_pod_splice(pods, pod);
	mesh_info("pod %s/%s is captured (namespace cookie %llu)", pod->ns, pod->name,
		  (unsigned long long)pod->netns_cookie);
	return 0;
}

static void say_not_found(struct mesh_agent_pod *pod, int r, uint64_t waited)
{
	mesh_auto_free char *text = NULL;
	char ip[MESH_ADDR_TEXT];

	if (r == -EACCES) {
		set_trouble(pod,
			    "it ran before this agent, and the network namespace of its processes cannot be read: the "
			    "agent lacks CAP_SYS_PTRACE (or AppArmor forbids it); it is not in the mesh until it is "
			    "made anew");
	} else if (r == -ENOENT && waited > LOST_NS) {
		text = mesh_xasprintf("no process below the cgroup root has its address %s",
				      mesh_addr_ip_text(&pod->ips[0], ip));
		set_trouble(pod, text);
	}
}

void mesh_agent_pod_try(struct mesh_pods *pods, struct mesh_agent_pod *pod)
{
	uint64_t now = mesh_now_ns(), waited = now - pod->since_ns;
	struct mesh_dp_found found = {.netns_fd = -1};
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < pod->ip_count; i++)
		r = mesh_dp_find(pods->opts.dp, &pod->ips[i], pod->uid, &found);
	if (r == 0) {
		r = mesh_agent_pod_capture(pods, pod, &found);
		mesh_dp_found_free(&found);
	} else {
		say_not_found(pod, r, waited);
	}
	if (r < 0)
		pod->next_try_ns = now + (waited < MESH_SEC(2)    ? RETRY_NS
					  : waited < MESH_SEC(30) ? 10 * RETRY_NS
								  : MESH_SEC(1));
}

void mesh_agent_pod_release(struct mesh_pods *pods, struct mesh_agent_pod *pod, bool gone)
{
	if (!pod->captured) {
		mesh_agent_pod_free(pod);
		return;
	}
	mesh_dp_release(pods->opts.dp, pod->netns_cookie);
	mesh_keeper_put(pods->opts.keeper, pod->netns_cookie, NULL, 0);
	mesh_info("pod %s/%s is released", pod->ns, pod->name);
	pod->captured_ns = mesh_now_ns(); /* now: when it left */
	if (gone) {
		mesh_agent_pod_stop_listening(pods, pod, true);
		mesh_agent_pod_free(pod);
		return;
	}
	mesh_vec_push(&pods->leaving, pod);
	mesh_timer_set(pods->opts.loop, &pods->retry, RETRY_NS);
}

void mesh_agent_pod_relabel(struct mesh_agent_pod *pod, const struct mesh_workload *w)
{
	struct mesh_proxy_client client;

	if (pod->labels.count == w->labels.count && mesh_labels_match(&pod->labels, &w->labels))
		return;
	mesh_labels_free(&pod->labels);
	pod->labels = labels_copy(&w->labels);
	free(pod->workload);
	pod->workload = workload_name(w);
	client = client_of(pod);
	for (size_t i = 0; i < pod->listener_count; i++)
		mesh_proxy_listener_client(pod->listeners[i], &client);
}

static enum mesh_splice_wish wish_of(const struct mesh_pods *pods, const struct mesh_agent_pod *pod,
				     const struct mesh_snapshot *snap, const struct mesh_workload *w)
{
	const char *texts[] = {mesh_labels_get(&w->annotations, MESH_SPLICE_ANNOTATION),
			       mesh_map_get_str(&snap->splice, pod->ns)};
	enum mesh_splice_wish wish = pods->opts.splice;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(texts); i++) {
		if (!texts[i])
			continue;
		if (mesh_splice_wish_parse(texts[i], &wish) == 0)
			return wish;
		if (!pod->splice_known)
			mesh_warn("pod %s/%s: annotation " MESH_SPLICE_ANNOTATION
				  "%s is \"%s\", which is none of auto, "
				  "enabled and disabled: taken as disabled",
				  pod->ns, pod->name, i ? " of its namespace" : "", texts[i]);
		return MESH_SPLICE_DISABLED;
	}
	return wish;
}

void mesh_agent_pod_splice(struct mesh_pods *pods, struct mesh_agent_pod *pod)
{
	const struct mesh_workload *w = pods->snap ? mesh_snapshot_workload(pods->snap, pod->ns, pod->name) : NULL;
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	enum mesh_splice_wish wish;

	/* While nobody knows what it asks, it is as captured: not spliced. */
	if (!pod->captured || !w || w->partial || strcmp(pod->uid, mesh_agent_pod_uid(w)) != 0)
		return;
	wish = wish_of(pods, pod, pods->snap, w);
	if (pod->splice_known && wish == pod->splice)
		return;
	pod->splice = wish;
	pod->splice_known = true;
	if (mesh_dp_splice_pod(pods->opts.dp, pod->netns_cookie, wish, &errs) < 0)
		mesh_vec_each (e, &errs.list)
			mesh_warn("pod %s/%s is not spliced: %s", pod->ns, pod->name, e->text);
}
