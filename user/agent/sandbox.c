/* SPDX-License-Identifier: Apache-2.0 */
/* Pods as CNI tells them: each ADD is a sandbox with a namespace of its own, whatever ran under that name before. */
#include "agent/pod.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/netns.h"

#include <errno.h>

static struct mesh_slice key_of(char *buf, size_t size, const struct mesh_sandbox *s)
{
	return mesh_snapshot_key(buf, size, s->ns, s->name, NULL);
}

/* The pod that is captured with this namespace, and where it is in the table. */
static struct mesh_agent_pod *by_cookie(const struct mesh_pods *pods, uint64_t cookie, struct mesh_slice *key)
{
	mesh_map_each (e, &pods->by_name) {
		struct mesh_agent_pod *pod = e->value;

		if (!pod->captured || pod->netns_cookie != cookie)
			continue;
		*key = mesh_slice_of(e->key, e->key_len);
		return pod;
	}
	return NULL;
}

/* What stands in the way: the same pod's last sandbox, or a namespace that was thought to be another pod's. */
static void make_way(struct mesh_pods *pods, struct mesh_slice key, uint64_t cookie)
{
	struct mesh_agent_pod *old = mesh_map_remove(&pods->by_name, key);
	struct mesh_slice other;

	if (old)
		mesh_agent_pod_release(pods, old, old->netns_cookie != cookie);
	old = by_cookie(pods, cookie, &other);
	if (!old)
		return;
	mesh_map_remove(&pods->by_name, other);
	mesh_agent_pod_release(pods, old, false);
}

int mesh_pods_add(struct mesh_pods *pods, const struct mesh_sandbox *s, const struct mesh_workload *w,
		  struct mesh_errs *errs)
{
	struct mesh_dp_found found = {.netns_fd = -1};
	struct mesh_agent_pod *pod;
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_slice key = key_of(buf, sizeof(buf), s);
	int r;

	r = mesh_dp_look(pods->opts.dp, s->netns_fd, s->ips, s->ip_count, &found, errs);
	if (r < 0)
		return r;
	pod = mesh_map_get(&pods->by_name, key);
	if (pod && pod->captured && pod->container && strcmp(pod->container, s->container) == 0 &&
	    pod->netns_cookie == found.netns_cookie) {
		mesh_dp_found_free(&found); /* the runtime asks again */
		return 0;
	}
	make_way(pods, key, found.netns_cookie);
	pod = mesh_agent_pod_new(s->ns, s->name, s->uid, s->ips, s->ip_count, w);
	pod->container = mesh_xstrdup(s->container);
	pod->seen = w != NULL;
	r = mesh_agent_pod_capture(pods, pod, &found);
	mesh_dp_found_free(&found);
	if (r < 0) {
		mesh_errs_add(errs, "%s", pod->trouble ? pod->trouble : strerror(-r));
		mesh_agent_pod_free(pod);
		return r;
	}
	mesh_map_put(&pods->by_name, key, pod);
	return 0;
}

static struct mesh_agent_pod *find(const struct mesh_pods *pods, const struct mesh_sandbox *s, char *buf, size_t size,
				   struct mesh_slice *key)
{
	struct mesh_agent_pod *pod;
	uint64_t cookie;

	*key = key_of(buf, size, s);
	pod = mesh_map_get(&pods->by_name, *key);
	if (pod && pod->container)
		return strcmp(pod->container, s->container) == 0 ? pod : NULL;
	if (!pod || s->netns_fd < 0 || mesh_netns_cookie(s->netns_fd, &cookie) < 0)
		return NULL;
	return pod->captured && pod->netns_cookie == cookie ? pod : NULL;
}

static void remove_pod(struct mesh_pods *pods, struct mesh_slice key, struct mesh_agent_pod *pod)
{
	mesh_auto_free struct mesh_addr *ips = mesh_steal(pod->ips);
	size_t count = pod->ip_count;

	pod->ip_count = 0;
	mesh_map_remove(&pods->by_name, key);
	mesh_agent_pod_release(pods, pod, true);
	/* CNI frees the addresses after this: none of them can be another pod's yet. */
	for (size_t i = 0; i < count; i++)
		mesh_pods_end_flows(pods, &ips[i], NULL);
}

bool mesh_pods_remove(struct mesh_pods *pods, const struct mesh_sandbox *s)
{
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_slice key;
	struct mesh_agent_pod *pod = find(pods, s, buf, sizeof(buf), &key);

	if (pod)
		remove_pod(pods, key, pod);
	return pod != NULL;
}

bool mesh_pods_has(const struct mesh_pods *pods, const struct mesh_sandbox *s)
{
	char buf[MESH_SNAPSHOT_KEY];
	struct mesh_slice key;
	const struct mesh_agent_pod *pod = find(pods, s, buf, sizeof(buf), &key);

	return pod && pod->captured;
}

size_t mesh_pods_collect(struct mesh_pods *pods, const char *const *valid, size_t count)
{
	size_t n = 0;

	mesh_map_each (e, &pods->by_name) {
		struct mesh_agent_pod *pod = e->value;
		bool is_valid = !pod->container;

		for (size_t i = 0; !is_valid && i < count; i++)
			is_valid = strcmp(pod->container, valid[i]) == 0;
		if (is_valid)
			continue;
		mesh_info("pod %s/%s: its sandbox is gone", pod->ns, pod->name);
		remove_pod(pods, mesh_slice_of(e->key, e->key_len), pod);
		n++;
	}
	return n;
}
