/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel lets us load and attach, and who else is on the same hooks. */
#include "ctl/node_check.h"

#include "core/mem.h"
#include "core/netns.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PROGS_MAX = 64, SCAN_MAX = 100000 };

static const struct {
	const char *name;
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	const char *why;
} kinds[] = {
	{"program type cgroup/connect4", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT,
	 "routing at connect()"},
	{"program type cgroup/connect6", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT,
	 "routing at connect() over IPv6"},
	{"program type cgroup/sendmsg4", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG, "UDP services"},
	{"program type cgroup/getpeername4", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETPEERNAME,
	 "honest names of peers"},
	{"program type sockops", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS,
	 "handing the original destination to the agent"},
};

/* A program that lets everything pass: loaded, never attached. */
static int try_load(enum bpf_prog_type type, enum bpf_attach_type attach)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	int fd = bpf_prog_load(type, "mesh_try", "GPL", pass, MESH_ARRAY_SIZE(pass), &opts);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void check_types(json_t *rows)
{
	mesh_auto(mesh_buf_free) struct mesh_buf good = {0};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(kinds); i++) {
		int r = try_load(kinds[i].type, kinds[i].attach);

		if (r == 0)
			mesh_buf_printf(&good, "%s%s", good.len ? ", " : "", kinds[i].name + strlen("program type "));
		else
			mesh_verdict_add(rows, MESH_VERDICT_FAIL, kinds[i].name, kinds[i].why,
					 r == -EPERM
						 ? "CAP_BPF and CAP_NET_ADMIN, and a seccomp profile that lets bpf() "
						   "pass"
						 : "a kernel with CONFIG_CGROUP_BPF=y",
					 "it cannot be loaded: %s", strerror(-r));
	}
	if (good.len)
		mesh_verdict_add(rows, MESH_VERDICT_OK, "program types", "routing at connect()", NULL, "%s", good.data);
}

static bool prog_info(unsigned id, struct bpf_prog_info *info)
{
	mesh_auto_fd int fd = bpf_prog_get_fd_by_id(id);
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return fd >= 0 && bpf_obj_get_info_by_fd(fd, info, &len) == 0;
}

/* Names that our programs have in the kernel, which keeps 15 characters. */
static bool is_ours(const char *name)
{
	static const char *const ours[] = {"connect4",     "connect6",     "sendmsg4",     "sendmsg6",
					   "recvmsg4",     "recvmsg6",     "getpeername4", "getpeername6",
					   "getsockname4", "getsockname6", "sockops",      "sock_ops",
					   "sk_release",   "sock_release", "post_bind4",   "post_bind6",
					   "mesh_try",     "splice_ops",   "splice_msg",   "splice_leave"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(ours); i++)
		if (strcmp(name, ours[i]) == 0)
			return true;
	return false;
}

struct hook {
	const char *name;
	enum bpf_attach_type type;
};

static void check_hook(json_t *rows, int cgroup, const struct hook *hook, struct mesh_buf *others)
{
	__u32 ids[PROGS_MAX], count = PROGS_MAX, flags = 0;
	struct bpf_prog_info info;

	if (bpf_prog_query(cgroup, hook->type, BPF_F_QUERY_EFFECTIVE, &flags, ids, &count) < 0)
		return;
	for (__u32 i = 0; i < count; i++) {
		if (!prog_info(ids[i], &info) || is_ours(info.name))
			continue;
		mesh_buf_printf(others, "%s%s (id %u) on %s", others->len ? ", " : "", info.name, ids[i], hook->name);
	}
	count = 0;
	flags = 0;
	if (bpf_prog_query(cgroup, hook->type, 0, &flags, NULL, &count) == 0 && count && !(flags & BPF_F_ALLOW_MULTI))
		mesh_verdict_add(rows, MESH_VERDICT_FAIL, hook->name, "several programs on one hook",
				 "have the other program attached with BPF_F_ALLOW_MULTI",
				 "a program is there that allows no other beside it");
}

static void check_hooks(json_t *rows)
{
	static const struct hook hooks[] = {
		{"connect4", BPF_CGROUP_INET4_CONNECT},
		{"connect6", BPF_CGROUP_INET6_CONNECT},
		{"sendmsg4", BPF_CGROUP_UDP4_SENDMSG},
		{"sendmsg6", BPF_CGROUP_UDP6_SENDMSG},
		{"recvmsg4", BPF_CGROUP_UDP4_RECVMSG},
		{"recvmsg6", BPF_CGROUP_UDP6_RECVMSG},
		{"getpeername4", BPF_CGROUP_INET4_GETPEERNAME},
		{"getpeername6", BPF_CGROUP_INET6_GETPEERNAME},
		{"sock_ops", BPF_CGROUP_SOCK_OPS},
		{"sock_release", BPF_CGROUP_INET_SOCK_RELEASE},
	};
	static const char why[] = "connections are routed in these places; who is there before or after sees other "
				  "addresses than it expects";
	const char *mount = mesh_cgroup2_mount();
	mesh_auto_fd int fd = mount ? open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	mesh_auto(mesh_buf_free) struct mesh_buf others = {0};

	if (fd < 0)
		return;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(hooks); i++)
		check_hook(rows, fd, &hooks[i], &others);
	if (others.len)
		mesh_verdict_add(
			rows, MESH_VERDICT_WARN, "other BPF programs", why,
			"if it balances Services (Cilium's socket load balancing, for one), turn that off for pods of "
			"the mesh",
			"%s", others.data);
	else
		mesh_verdict_add(rows, MESH_VERDICT_OK, "other BPF programs", why, NULL,
				 "none on the hooks of the mesh");
}

/* Programs that take part in every send or receive of sockets in a sockmap. */
static void check_sockmaps(json_t *rows)
{
	static const char why[] =
		"a socket can be in one sockmap with programs only: where another's has it, it is not "
		"spliced";
	mesh_auto(mesh_buf_free) struct mesh_buf found = {0};
	struct bpf_prog_info info;
	__u32 id = 0;

	for (int i = 0; i < SCAN_MAX && bpf_prog_get_next_id(id, &id) == 0; i++) {
		if (!prog_info(id, &info) || (info.type != BPF_PROG_TYPE_SK_SKB && info.type != BPF_PROG_TYPE_SK_MSG) ||
		    is_ours(info.name))
			continue;
		mesh_buf_printf(&found, "%s%s (id %u)", found.len ? ", " : "", info.name, id);
	}
	if (found.len)
		mesh_verdict_add(rows, MESH_VERDICT_WARN, "sockmaps", why,
				 "pods whose sockets it takes are not spliced; nothing else changes for them",
				 "used by %s", found.data);
	else
		mesh_verdict_add(rows, MESH_VERDICT_OK, "sockmaps", why, NULL, "used by nobody else");
}

void mesh_node_check_bpf(json_t *rows)
{
	check_types(rows);
	check_hooks(rows);
	check_sockmaps(rows);
}
