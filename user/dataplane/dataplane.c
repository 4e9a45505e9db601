/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/dataplane.h"

#include "core/netns.h"
#include "dataplane/bypass.h"
#include "dataplane/splice.h"
#include "dataplane/xdp.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

static int agent_cgroup_id(const struct mesh_dp_opts *opts, uint64_t *ret, char **path_ret, struct mesh_errs *errs)
{
	mesh_auto_free char *own = NULL;
	int r = 0;

	if (!opts->agent_cgroup)
		r = mesh_cgroup_of_pid(getpid(), &own);
	if (r == 0)
		r = mesh_cgroup_id(opts->agent_cgroup ? opts->agent_cgroup : own, ret);
	if (r < 0) {
		const char *path = opts->agent_cgroup ? opts->agent_cgroup : own ? own : "(unknown)";
		struct mesh_err *err = mesh_errs_add(errs, "the agent's cgroup %s: %s", path, strerror(-r));

		if (err && strstr(path, "/.."))
			err->hint =
				mesh_xstrdup("it is outside of this cgroup namespace: start the agent in one inside");
	}
	if (r == 0)
		*path_ret = mesh_xstrdup(opts->agent_cgroup ? opts->agent_cgroup : own);
	return r;
}

void mesh_dp_origdst_drop(struct mesh_dp *dp, mesh_dp_goes_fn *goes)
{
	mesh_dp_drop(dp->maps[MESH_DP_MAP_ORIGDST], sizeof(struct mesh_tuple), sizeof(struct mesh_origdst), goes, dp);
}

size_t mesh_dp_ips_of(const uint8_t ip4[4], const uint8_t ip6[16], struct mesh_addr ret[2])
{
	static const uint8_t none[16];
	size_t n = 0;
	uint32_t v4;

	memcpy(&v4, ip4, sizeof(v4));
	if (v4)
		ret[n++] = mesh_addr_from_v4(v4, 0);
	if (memcmp(ip6, none, sizeof(none)) != 0) {
		ret[n] = (struct mesh_addr){0};
		memcpy(&ret[n++].ip, ip6, sizeof(none));
	}
	return n;
}

static int start(struct mesh_dp *dp, const struct mesh_dp_opts *opts, struct mesh_errs *errs)
{
	int r = agent_cgroup_id(opts, &dp->agent_cgroup, &dp->agent_cgroup_path, errs);

	if (r == 0)
		r = mesh_dp_load(dp, opts, errs);
	if (r < 0)
		return r;
	/* Connections on their way to an earlier agent are gone with its listeners, unless somebody held these. */
	if (dp->adopted && !opts->listeners_held)
		mesh_dp_origdst_drop(dp, NULL);
	r = mesh_dp_table_adopt(dp);
	if (r == 0)
		r = mesh_dp_elsewhere_adopt(dp);
	if (r < 0) {
		mesh_errs_add(errs, "reading the services in force: %s", strerror(-r));
		return r;
	}
	r = mesh_dp_sweep_start(dp);
	if (r < 0) {
		mesh_errs_add(errs, "starting a thread: %s", strerror(-r));
		return r;
	}
	r = mesh_dp_attach(dp, errs);
	if (r < 0)
		return r;
	mesh_dp_bypass_start(dp, opts->uplink, opts->clsact);
	mesh_dp_xdp_start(dp, opts->xdp);
	return mesh_splice_start(dp, errs);
}

int mesh_dp_new(struct mesh_dp **ret, const struct mesh_dp_opts *opts, struct mesh_errs *errs)
{
	struct mesh_dp *dp = mesh_xcalloc(1, sizeof(*dp));
	int r;

	dp->pin_dir = mesh_xstrdup(opts->pin_dir);
	dp->cgroup_root = mesh_xstrdup(opts->cgroup_root);
	dp->host_netns = opts->host_netns;
	dp->next_set = 1;
	dp->watch_stale = opts->watch_stale;
	for (int i = 0; i < MESH_DP_MAP_COUNT; i++)
		dp->older[i] = -1;
	dp->pin_lock = -1;
	pthread_mutex_init(&dp->lock, NULL);
	pthread_mutex_init(&dp->sweeping, NULL);
	pthread_cond_init(&dp->wake, NULL);
	pthread_rwlock_init(&dp->splice_kept, NULL);
	r = start(dp, opts, errs);
	if (r < 0) {
		mesh_dp_free(dp);
		return r;
	}
	*ret = dp;
	return 0;
}

void mesh_dp_free(struct mesh_dp *dp)
{
	if (!dp)
		return;
	mesh_dp_retired_sweep(dp);
	mesh_vec_free(&dp->retired);
	mesh_splice_stop(dp->splice);
	mesh_dp_sweep_stop(dp);
	mesh_dp_xdp_stop(dp);
	mesh_dp_bypass_stop(dp);
	mesh_dp_unload(dp);
	mesh_map_each (e, &dp->services)
		free(e->value);
	mesh_map_free(&dp->services);
	mesh_map_free(&dp->node_ips);
	mesh_vec_free(&dp->garbage);
	mesh_dp_cache_free(dp->cache);
	pthread_cond_destroy(&dp->wake);
	pthread_rwlock_destroy(&dp->splice_kept);
	pthread_mutex_destroy(&dp->lock);
	pthread_mutex_destroy(&dp->sweeping);
	free(dp->pin_dir);
	free(dp->cgroup_root);
	free(dp->agent_cgroup_path);
	free(dp);
}

void mesh_dp_yield(struct mesh_dp *dp)
{
	struct mesh_splice *s;

	mesh_dp_retired_sweep(dp);
	mesh_dp_sweep_stop(dp);
	pthread_rwlock_wrlock(&dp->splice_kept);
	s = mesh_steal(dp->splice);
	pthread_rwlock_unlock(&dp->splice_kept);
	mesh_splice_stop(s);
	mesh_dp_xdp_stop(dp);
	mesh_dp_bypass_stop(dp);
	mesh_cleanup_fd(&dp->pin_lock);
}

bool mesh_dp_kept(const struct mesh_dp *dp)
{
	return dp->kept;
}

void mesh_dp_alone(struct mesh_dp *dp)
{
	if (!dp->agent_before)
		return;
	dp->agent_before = 0;
	mesh_dp_node_write(dp);
}

static int remove_pins(const char *dir, bool links)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, e->d_name);
		struct bpf_link *link;

		if (e->d_name[0] == '.' || e->d_type == DT_DIR)
			continue;
		/* A process that still holds the link must not keep it attached. */
		link = links ? bpf_link__open(path) : NULL;
		if (link) {
			bpf_link__detach(link);
			bpf_link__destroy(link);
		}
		if (unlink(path) < 0)
			r = -errno;
	}
	closedir(d);
	if (rmdir(dir) < 0 && r == 0 && errno != ENOENT)
		r = -errno;
	return r;
}

/* The directory that all nodes of a machine share goes with the last of them. */
static void remove_empty_parent(const char *pin_dir)
{
	mesh_auto_free char *parent = mesh_xstrdup(pin_dir);
	char *slash = strrchr(parent, '/');

	if (!slash || slash == parent)
		return;
	*slash = '\0';
	rmdir(parent); /* fails while there is anything in it, or if it is the file system's root */
}

void mesh_dp_follow_devices(struct mesh_dp *dp, struct mesh_errs *news)
{
	mesh_dp_uplink_follow(dp, news);
	mesh_dp_xdp_follow(dp, news);
}

int mesh_dp_detach(const char *pin_dir, struct mesh_errs *errs)
{
	return mesh_dp_detach_from(pin_dir, 0, errs);
}

int mesh_dp_detach_from(const char *pin_dir, int host_netns, struct mesh_errs *errs)
{
	mesh_auto_free char *links = mesh_xasprintf("%s/links", pin_dir), *next = mesh_xasprintf("%s/next", pin_dir);
	int r;

	mesh_splice_retire(pin_dir);
	r = mesh_dp_bypass_detach(pin_dir, host_netns);

	if (r < 0) {
		mesh_errs_add(errs, "taking the filters off the pods' devices: %s", strerror(-r));
		return r;
	}
	r = remove_pins(links, true);
	if (r == 0)
		r = remove_pins(next, false); /* of a migration that was interrupted */
	if (r == 0)
		r = remove_pins(pin_dir, false);
	if (r == 0)
		remove_empty_parent(pin_dir);
	if (r < 0)
		mesh_errs_add(errs, "removing the pins in %s: %s", pin_dir, strerror(-r));
	return r;
}

void mesh_dp_forget(struct mesh_dp *dp, const struct mesh_addr *ip)
{
	mesh_dp_bypass_forget(dp, ip, 1);
}

int mesh_dp_origdst(struct mesh_dp *dp, uint64_t netns_cookie, const struct mesh_addr *local,
		    const struct mesh_addr *peer, struct mesh_addr *ret)
{
	int fd = dp->maps[MESH_DP_MAP_ORIGDST];
	struct mesh_tuple key = {
		.netns = netns_cookie,
		.sport = peer->port,
		.dport = local->port,
		.family = mesh_addr_is_v4(local) ? AF_INET : AF_INET6,
	};
	struct mesh_origdst value;
	int r;

	memcpy(key.src, &peer->ip, sizeof(key.src));
	memcpy(key.dst, &local->ip, sizeof(key.dst));
	r = bpf_map_lookup_and_delete_elem(fd, &key, &value);
	if (r == -EOPNOTSUPP || r == -524 || r == -EINVAL) { /* before 5.14 */
		r = bpf_map_lookup_elem(fd, &key, &value);
		if (r == 0)
			bpf_map_delete_elem(fd, &key);
	}
	if (r < 0)
		return r;
	*ret = (struct mesh_addr){.port = value.port};
	memcpy(&ret->ip, value.ip, sizeof(ret->ip));
	return 0;
}
