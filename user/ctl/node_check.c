/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/node_check.h"

#include "core/mem.h"
#include "core/netns.h"
#include "ctl/node.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

enum { FILES_WANTED = 16384, FILES_NEEDED = 4096, CONF_MAX = 1 << 20 };

bool mesh_kernel_parse(const char *release, unsigned *major, unsigned *minor)
{
	return sscanf(release, "%u.%u", major, minor) == 2;
}

void mesh_node_check_kernel(json_t *rows, const char *release, const char *machine)
{
	static const char why[] =
		"what the data plane asks of the kernel: cgroup and sk_lookup programs, batched maps, "
		"bpf_set_retval or its stand-in";
	unsigned major = 0, minor = 0;
	bool new_enough = mesh_kernel_parse(release, &major, &minor) &&
			  (major > MESH_KERNEL_MAJOR || (major == MESH_KERNEL_MAJOR && minor >= MESH_KERNEL_MINOR));

	mesh_verdict_add(rows, new_enough ? MESH_VERDICT_OK : MESH_VERDICT_FAIL, "kernel", why, "a kernel from 5.15 on",
			 "Linux %s on %s", release, machine);
}

static void check_btf(json_t *rows)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";
	struct stat st;

	if (stat(path, &st) == 0)
		mesh_verdict_add(rows, MESH_VERDICT_OK, "BTF", "fitting the programs to this kernel", NULL,
				 "%s, %lld KiB", path, (long long)st.st_size / 1024);
	else
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "BTF", "fitting the programs to this kernel",
				 "a kernel built with CONFIG_DEBUG_INFO_BTF=y", "%s: %s", path, strerror(errno));
}

static void check_cgroup(json_t *rows)
{
	static const char why[] = "the programs are attached to the cgroup that has the node's pods";
	const char *mount = mesh_cgroup2_mount();

	if (mount)
		mesh_verdict_add(rows, MESH_VERDICT_OK, "cgroup v2", why, NULL, "mounted at %s%s", mount,
				 strcmp(mount, "/sys/fs/cgroup") == 0 ? "" : " (hybrid: version 1 beside it)");
	else
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "cgroup v2", why,
				 "mount it: systemd.unified_cgroup_hierarchy=1 on the kernel's command line, or "
				 "mount -t cgroup2 none /sys/fs/cgroup/unified",
				 "mounted nowhere that can be seen here");
}

static void check_bpffs(json_t *rows)
{
	static const char why[] = "programs and maps that outlive the agent are pinned there";
	static const char path[] = "/sys/fs/bpf";
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "bpffs", why, "mount -t bpf bpf /sys/fs/bpf on the node",
				 "%s: %s", path, strerror(errno));
	else if ((unsigned long)fs.f_type != BPF_FS_MAGIC)
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "bpffs", why, "mount -t bpf bpf /sys/fs/bpf on the node",
				 "%s is no bpf file system", path);
	else if (access(path, W_OK) < 0)
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "bpffs", why, "mount it so that root may write", "%s: %s",
				 path, strerror(errno));
	else
		mesh_verdict_add(rows, MESH_VERDICT_OK, "bpffs", why, NULL, "%s", path);
}

void mesh_node_check_capabilities(json_t *rows, uint64_t effective)
{
	static const struct {
		unsigned bit;
		const char *name, *why;
	} wanted[] = {
		{CAP_BPF, "CAP_BPF", "load the programs, make and pin the maps"},
		{CAP_NET_ADMIN, "CAP_NET_ADMIN",
		 "attach the programs to cgroups and pods' devices; speak to connection tracking; end flows whose "
		 "endpoint is gone"},
		{CAP_PERFMON, "CAP_PERFMON",
		 "the iterator over a namespace's TCP sockets; pointer arithmetic in programs"},
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "enter the network namespaces of the node's pods (setns)"},
		{CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "find pods by /proc/PID/ns and /proc/PID/cgroup of other users"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(wanted); i++) {
		bool has = effective >> wanted[i].bit & 1;

		mesh_verdict_add(rows, has ? MESH_VERDICT_OK : MESH_VERDICT_FAIL, wanted[i].name, wanted[i].why,
				 "let the agent's pod have it (deploy/agent.yaml asks for it; a policy or the runtime "
				 "takes it away); on one machine: be root",
				 "%s", has ? wanted[i].why : "missing here");
	}
}

static uint64_t effective_capabilities(void)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	unsigned long long bits = 0;
	const char *line;

	if (mesh_file_read("/proc/self/status", CONF_MAX, &text) < 0)
		return 0;
	line = strstr(text.data, "\nCapEff:");
	if (line)
		sscanf(line, "\nCapEff: %llx", &bits);
	return bits;
}

static void check_files(json_t *rows)
{
	static const char why[] =
		"one descriptor for each connection that is routed by request, and a few for each pod";
	enum mesh_verdict v = MESH_VERDICT_OK;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	if (r.rlim_max < FILES_WANTED)
		v = r.rlim_max < FILES_NEEDED ? MESH_VERDICT_FAIL : MESH_VERDICT_WARN;
	mesh_verdict_add(rows, v, "open files", why, "raise the runtime's limit (LimitNOFILE= of containerd's service)",
			 "at most %llu", (unsigned long long)r.rlim_max);
}

/* CNI */

static const char *first_dir(const char *const *dirs)
{
	struct stat st;

	for (; *dirs; dirs++)
		if (stat(*dirs, &st) == 0 && S_ISDIR(st.st_mode))
			return *dirs;
	return NULL;
}

static int is_conf(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return dot && (strcmp(dot, ".conflist") == 0 || strcmp(dot, ".conf") == 0 || strcmp(dot, ".json") == 0);
}

/* The first by name, as runtimes choose. Caller frees; NULL: none. */
static char *first_conf(const char *dir)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_conf, alphasort);
	char *path = n > 0 ? mesh_xasprintf("%s/%s", dir, names[0]->d_name) : NULL;

	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return path;
}

/* "bridge, portmap, sockmesh-cni" */
static void plugin_chain(const json_t *conf, struct mesh_buf *out, bool *ours)
{
	const json_t *plugins = json_object_get(conf, "plugins"), *p;
	const char *type = json_string_value(json_object_get(conf, "type"));
	size_t i;

	*ours = false;
	if (!plugins && type)
		mesh_buf_str(out, type);
	json_array_foreach(plugins, i, p)
	{
		type = json_string_value(json_object_get(p, "type"));
		mesh_buf_printf(out, "%s%s", i ? ", " : "", type ? type : "?");
		*ours |= type && strcmp(type, "sockmesh-cni") == 0;
	}
}

static void check_conf(json_t *rows, const char *path)
{
	static const char why[] =
		"sockmesh-cni is chained behind the cluster's plugin, so that a pod is in the mesh before "
		"its first connection";
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0}, chain = {0};
	json_t *conf;
	bool ours;

	if (mesh_file_read(path, CONF_MAX, &text) < 0 || !(conf = json_loadb(text.data, text.len, 0, NULL))) {
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "CNI configuration", why, "make it valid JSON",
				 "%s cannot be read", path);
		return;
	}
	plugin_chain(conf, &chain, &ours);
	mesh_verdict_add(rows, MESH_VERDICT_OK, "CNI configuration", why, NULL, "%s: %s%s", path,
			 chain.data ? chain.data : "no plugin", ours ? "" : " (sockmesh-cni is not in it yet)");
	json_decref(conf);
}

void mesh_node_check_cni(json_t *rows, const char *const *conf_dirs, const char *const *bin_dirs)
{
	static const char why[] =
		"sockmesh-cni is chained behind the cluster's plugin, so that a pod is in the mesh before "
		"its first connection";
	const char *conf = first_dir(conf_dirs), *bin = first_dir(bin_dirs);
	mesh_auto_free char *first = conf ? first_conf(conf) : NULL;

	if (first)
		check_conf(rows, first);
	else
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "CNI configuration", why,
				 "install a network plugin, or say where its configuration is: --set cni.confDir=DIR",
				 "none in %s", conf ? conf : conf_dirs[0]);
	if (bin)
		mesh_verdict_add(rows, MESH_VERDICT_OK, "CNI programs", why, NULL, "%s", bin);
	else
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, "CNI programs", why,
				 "say where the runtime looks for them: --set cni.binDir=DIR", "there is no %s",
				 bin_dirs[0]);
}

void mesh_node_check_clock(json_t *rows, double seconds)
{
	enum { FAIL_SECONDS = 20, WARN_SECONDS = 3 };
	double off = seconds < 0 ? -seconds : seconds;
	enum mesh_verdict v = off >= FAIL_SECONDS   ? MESH_VERDICT_FAIL
			      : off >= WARN_SECONDS ? MESH_VERDICT_WARN
						    : MESH_VERDICT_OK;

	mesh_verdict_add(rows, v, "clock",
			 "Leases tell by the time whether an agent is alive, and certificates are valid by it",
			 "synchronise the clocks of the nodes", "%.1f s %s the API server's", off,
			 seconds < 0 ? "behind" : "before");
}

json_t *mesh_node_check(bool with_cni)
{
	static const char *const conf_dirs[] = {"/host/etc/cni/net.d", "/etc/cni/net.d", NULL};
	static const char *const bin_dirs[] = {"/host/opt/cni/bin", "/opt/cni/bin", "/usr/lib/cni", NULL};
	json_t *rows = json_array();
	struct utsname u;

	if (uname(&u) == 0)
		mesh_node_check_kernel(rows, u.release, u.machine);
	check_btf(rows);
	check_cgroup(rows);
	check_bpffs(rows);
	mesh_node_check_capabilities(rows, effective_capabilities());
	mesh_node_check_bpf(rows);
	mesh_node_check_splice(rows);
	mesh_node_check_uplink(rows);
	check_files(rows);
	if (with_cni)
		mesh_node_check_cni(rows, conf_dirs, bin_dirs);
	return rows;
}

/* The hidden verb: run in an agent's pod or a probe's. */
int mesh_ctl_run_node_check(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	struct timespec now;
	json_t *out;
	char *text;

	(void)ctl;
	(void)f;
	clock_gettime(CLOCK_REALTIME, &now);
	out = json_pack("{s:f, s:o}", "time", (double)now.tv_sec + (double)now.tv_nsec / 1e9, "rows",
			mesh_node_check(true));
	text = json_dumps(out, JSON_COMPACT);
	puts(text);
	free(text);
	json_decref(out);
	return 0;
}
