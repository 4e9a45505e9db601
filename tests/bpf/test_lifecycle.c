/* SPDX-License-Identifier: Apache-2.0 */
/* Finding, capturing and releasing pods; an agent that is killed and one that takes over; removal. */
#include "traffic.h"
#include "core/version.h"
#include "dataplane/dp.h"

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/syscall.h>
#include "mesh/abi.h"

static int apply_weights(struct world *w, struct mesh_dp *dp, uint32_t a, uint32_t b)
{
	struct mesh_l4_image image = {.version = a};
	struct mesh_l4_service *s = add_service(&image, "10.99.0.1:80", IPPROTO_TCP, MESH_TIER_L4);

	add_dest(s, a, 1, (struct mesh_addr[]){with_port(w->pods[1].ip4, 8080)});
	add_dest(s, b, 1, (struct mesh_addr[]){with_port(w->pods[2].ip4, 8080)});
	add_service(&image, "10.99.0.2:80", IPPROTO_TCP, MESH_TIER_L7);
	return world_apply(dp, &image);
}

TEST(find)
{
	struct mesh_addr nobody = at("10.77.0.99:0");
	struct mesh_dp_found f = {0};
	struct world w;

	CHECK_INT(world_of_three(&w), 0);
	CHECK_INT(mesh_dp_find(w.dp, &nobody, NULL, &f), -ENOENT);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(mesh_dp_find(w.dp, i == 1 ? &w.pods[i].ip6 : &w.pods[i].ip4, NULL, &f), 0);
		CHECK_INT(f.pid, w.pods[i].pid);
		CHECK_INT(f.netns_cookie, w.pods[i].cookie);
		CHECK(strstr(f.cgroup, i == 0 ? "/pods/pod1" : i == 1 ? "/pods/pod2" : "/pods/pod3") != NULL);
		close(f.netns_fd);
		free(f.cgroup);
	}
	/* An address that moves: the pod that has it now is found, though the other is remembered. */
	run("nsenter -t %d -n ip addr del 10.77.0.2/24 dev eth0", w.pods[1].pid);
	CHECK_INT(mesh_dp_find(w.dp, &w.pods[1].ip4, NULL, &f), -ENOENT);
	run("nsenter -t %d -n ip addr add 10.77.0.2/24 dev eth0", w.pods[2].pid);
	CHECK_INT(mesh_dp_find(w.dp, &w.pods[1].ip4, NULL, &f), 0);
	CHECK_INT(f.pid, w.pods[2].pid);
	close(f.netns_fd);
	free(f.cgroup);
	world_free(&w);
}

/* A process below the root in the agent's own namespace is host-network: never found. */
TEST(find_never_the_agents_namespace)
{
	struct mesh_dp_found f = {0};
	struct world w;
	int status;
	pid_t pid;

	CHECK_INT(world_new(&w), 0);
	world_pod(&w);
	world_dp_end(&w);
	/* An agent in the namespace of pod 1. */
	pid = fork();
	if (pid == 0) {
		struct mesh_dp *dp;

		if (setns(w.pods[0].netns_fd, CLONE_NEWNET) < 0 || world_dp(&w, &dp) < 0)
			_exit(2);
		_exit(mesh_dp_find(dp, &w.pods[0].ip4, NULL, &f) == -ENOENT ? 0 : 1);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(WEXITSTATUS(status), 0);
	world_free(&w);
}

static int drop_ptrace(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	data[CAP_SYS_PTRACE / 32].effective &= ~(1U << CAP_SYS_PTRACE % 32);
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* A process of another user, in a cgroup and a namespace of its own. */
static pid_t stranger_start(const char *cgroup)
{
	char procs[512], c = 0;
	int pipes[2];
	pid_t pid;

	mkdir(cgroup, 0755);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
	if (pipe(pipes) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		FILE *file = fopen(procs, "w");

		if (!file || fprintf(file, "%d", getpid()) < 0 || fclose(file) != 0 || unshare(CLONE_NEWNET) < 0 ||
		    setgid(65534) < 0 || setuid(65534) < 0 || write(pipes[1], &c, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(pipes[1]);
	if (read(pipes[0], &c, 1) != 1)
		pid = -1;
	close(pipes[0]);
	return pid;
}

/* Who may not look into other users' processes says so, of the pod that is looked for and no other. */
TEST(find_without_ptrace)
{
	static const char uid[] = "1b4e28ba-2fa1-41d2-883f-0016d3cca427",
			  other[] = "1b4e28ba-2fa1-41d2-883f-0016d3cca428";
	struct mesh_addr nobody = at("10.77.0.99:0");
	struct mesh_dp_found found = {0};
	char cgroup[400];
	struct world w;
	pid_t stranger, pid;
	int status;

	CHECK_INT(world_new(&w), 0);
	snprintf(cgroup, sizeof(cgroup), "%s/pod%s", w.pods_cgroup, uid);
	stranger = stranger_start(cgroup);
	CHECK(stranger > 0);
	CHECK_INT(mesh_dp_find(w.dp, &nobody, uid, &found), -ENOENT);
	pid = fork();
	if (pid == 0) {
		if (drop_ptrace() < 0)
			_exit(2);
		if (mesh_dp_find(w.dp, &nobody, uid, &found) != -EACCES)
			_exit(3);
		_exit(mesh_dp_find(w.dp, &nobody, other, &found) == -ENOENT ? 0 : 4);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(WEXITSTATUS(status), 0);
	kill(stranger, SIGKILL);
	waitpid(stranger, NULL, 0);
	world_free(&w);
}

TEST(release)
{
	struct dial d = {.to = at("10.99.0.1:80")};
	uint64_t *cookies = NULL;
	struct mesh_addr orig;
	struct conn c;
	struct world w;
	size_t n;

	CHECK_INT(world_of_three(&w), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(apply_weights(&w, w.dp, 1, 0), 0);
	CHECK_INT(mesh_dp_captured(w.dp, &cookies, &n), 0);
	CHECK_INT(n, 1);
	CHECK_INT(cookies[0], w.pods[0].cookie);
	free(cookies);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(c.error, 0);
	CHECK_INT(pod_name(&w.pods[0], c.fd), 'a');
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), -ENOENT);
	CHECK_INT(mesh_dp_captured(w.dp, &cookies, &n), 0);
	CHECK_INT(n, 0);
	free(cookies);
	/* New ones are untouched, the old one goes on. */
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 1).failed, 1);
	CHECK(pod_echo(&w.pods[0], c.fd));
	/* And back, while the first listeners are still open: other ports, same outcome. */
	{
		int old[4];
		size_t old_count = w.pods[0].listener_count;

		memcpy(old, w.pods[0].listeners, sizeof(old));
		CHECK_INT(world_capture(&w, &w.pods[0]), 0);
		for (size_t i = 0; i < old_count; i++)
			close(old[i]);
	}
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 1).by_name['a'], 1);
	d.to = at("10.99.0.2:80");
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(c.error, 0);
	n = (size_t)accept_origdst(w.dp, &w.pods[0], &orig);
	CHECK((int)n >= 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	close((int)n);
	world_free(&w);
}

/* An app that has the listeners' port already: the next one serves. */
TEST(port_taken_by_an_app)
{
	struct dial d = {.to = at("10.99.0.2:80")};
	struct mesh_addr orig;
	struct conn c;
	struct world w;
	int fd;

	CHECK_INT(world_of_three(&w), 0);
	pod_serve(&w.pods[0], at("0.0.0.0:15001"), 'x');
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(apply_weights(&w, w.dp, 1, 0), 0);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(c.error, 0);
	fd = accept_origdst(w.dp, &w.pods[0], &orig);
	CHECK(fd >= 0);
	CHECK(mesh_addr_eq(&orig, &d.to));
	close(fd);
	world_free(&w);
}

/* Starts another agent that captures the client, applies and waits to be killed; or applies for ever. */
static pid_t start_agent(struct world *w, bool busy)
{
	int ready[2];
	pid_t pid;
	char byte;

	if (pipe(ready) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		struct mesh_dp *dp;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (world_dp(w, &dp) < 0)
			_exit(1);
		w->dp = dp;
		if (world_capture(w, &w->pods[0]) < 0 || apply_weights(w, dp, 1, 0) < 0)
			_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (uint32_t i = 1; busy; i++)
			apply_weights(w, dp, 1 + i % 7, 0);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

static void kill_agent(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST(killed_and_adopted)
{
	struct dial d = {.to = at("10.99.0.1:80")}, d7 = {.to = at("10.99.0.2:80")};
	uint64_t *cookies = NULL;
	struct mesh_addr orig;
	struct conn c, c7;
	struct world w;
	pid_t agent;
	size_t n;
	int fd;

	CHECK_INT(world_of_three(&w), 0);
	world_dp_end(&w);
	agent = start_agent(&w, false);
	CHECK(agent > 0);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(c.error, 0);
	CHECK_INT(pod_name(&w.pods[0], c.fd), 'a');
	c7 = pod_dial(&w.pods[0], &d7);
	CHECK_INT(c7.error, 0);
	kill_agent(agent);
	/* With no agent: L4 goes on, old and new; L7 has nobody to go to. */
	CHECK(pod_echo(&w.pods[0], c.fd));
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 50).by_name['a'], 50);
	CHECK_INT(pod_dial(&w.pods[0], &d7).error, ECONNREFUSED);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK(pod_echo(&w.pods[0], c.fd));
	CHECK_INT(mesh_dp_captured(w.dp, &cookies, &n), 0);
	CHECK_INT(n, 1);
	CHECK_INT(cookies[0], w.pods[0].cookie);
	free(cookies);
	CHECK_INT(map_entries(w.dp, "origdst"), 0);
	CHECK_INT(map_entries(w.dp, "dest"), 2);
	/* The same configuration changes nothing; another one does. */
	CHECK_INT(apply_weights(&w, w.dp, 1, 0), 0);
	CHECK_INT(map_entries(w.dp, "dest"), 2);
	CHECK_INT(apply_weights(&w, w.dp, 0, 1), 0);
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 20).by_name['b'], 20);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	c7 = pod_dial(&w.pods[0], &d7);
	CHECK_INT(c7.error, 0);
	fd = accept_origdst(w.dp, &w.pods[0], &orig);
	CHECK(fd >= 0);
	CHECK(mesh_addr_eq(&orig, &d7.to));
	CHECK(mesh_addr_eq(&c7.peer, &d7.to));
	close(fd);
	CHECK(pod_echo(&w.pods[0], c.fd));
	world_free(&w);
}

/* Killed again and again in the middle of applying, under load: no connect fails, nothing is left behind. */
TEST(killed_while_applying)
{
	struct world w;
	struct tally t;

	CHECK_INT(world_of_three(&w), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(apply_weights(&w, w.dp, 1, 0), 0);
	for (size_t i = 0; i < w.pods[0].listener_count; i++)
		close(w.pods[0].listeners[i]);
	w.pods[0].listener_count = 0;
	world_dp_end(&w);
	pod_load_start(&w.pods[0], "10.99.0.1:80");
	for (int i = 0; i < 12; i++) {
		pid_t agent = start_agent(&w, true);

		CHECK(agent > 0);
		usleep((useconds_t)(5000 + rand() % 30000));
		kill_agent(agent);
	}
	t = pod_load_stop(&w.pods[0]);
	CHECK_INT(t.failed, 0);
	CHECK(t.by_name['a'] > 100);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK_INT(map_entries(w.dp, "dest"), 2);
	CHECK_INT(map_entries(w.dp, "ep4"), 2);
	world_free(&w);
}

/* Several nodes on one machine, with the same addresses. */
TEST(several_data_planes)
{
	struct world w[3];

	for (int i = 0; i < 3; i++) {
		CHECK_INT(world_of_three(&w[i]), 0);
		CHECK_INT(world_capture(&w[i], &w[i].pods[0]), 0);
		CHECK_INT(apply_weights(&w[i], w[i].dp, i == 1, i != 1), 0);
	}
	for (int i = 0; i < 3; i++)
		CHECK_INT(pod_burst(&w[i].pods[0], "10.99.0.1:80", 10).by_name[i == 1 ? 'a' : 'b'], 10);
	world_free(&w[1]);
	CHECK_INT(pod_burst(&w[0].pods[0], "10.99.0.1:80", 10).by_name['b'], 10);
	world_free(&w[0]);
	world_free(&w[2]);
}

/* netlink: without the iterator, as on an older kernel. */
static void check_end_flows(bool netlink)
{
	struct dial d = {.to = at("10.99.0.1:80")};
	char home[360];
	struct mesh_addr a;
	struct conn c[4];
	struct world w;

	CHECK_INT(world_of_three(&w), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(apply_weights(&w, w.dp, 1, 0), 0);
	if (netlink)
		mesh_dp_flows_unload(w.dp);
	c[0] = pod_dial(&w.pods[0], &d);
	d.v6_socket = 1;
	c[1] = pod_dial(&w.pods[0], &d);
	/* One of the agent's own, in the pod's namespace. */
	snprintf(home, sizeof(home), "%s/pod1", w.pods_cgroup);
	pod_call(&w.pods[0], do_move, w.agent_cgroup, strlen(w.agent_cgroup) + 1, NULL, 0);
	d.to = with_port(w.pods[1].ip4, 8080);
	c[3] = pod_dial(&w.pods[0], &d);
	pod_call(&w.pods[0], do_move, home, strlen(home) + 1, NULL, 0);
	CHECK_INT(apply_weights(&w, w.dp, 0, 1), 0);
	d.to = at("10.99.0.1:80");
	c[2] = pod_dial(&w.pods[0], &d);
	for (int i = 0; i < 4; i++) {
		CHECK_INT(c[i].error, 0);
		CHECK_INT(pod_name(&w.pods[0], c[i].fd), i == 2 ? 'b' : 'a');
	}
	a = with_port(w.pods[1].ip4, 8080);
	CHECK_INT(mesh_dp_end_flows(w.dp, w.pods[2].netns_fd, &a, NULL), 0);
	CHECK_INT(mesh_dp_end_flows(w.dp, w.pods[0].netns_fd, &a, NULL), 2);
	CHECK_INT(mesh_dp_end_flows(w.dp, w.pods[0].netns_fd, &a, NULL), 0);
	CHECK_INT(pod_echo(&w.pods[0], c[0].fd), 0);
	CHECK_INT(pod_echo(&w.pods[0], c[1].fd), 0);
	CHECK_INT(pod_echo(&w.pods[0], c[2].fd), 1);
	CHECK_INT(pod_echo(&w.pods[0], c[3].fd), 1);
	a = w.pods[2].ip4; /* port 0: all */
	CHECK_INT(mesh_dp_end_flows(w.dp, w.pods[0].netns_fd, &a, NULL), 1);
	CHECK_INT(pod_echo(&w.pods[0], c[2].fd), 0);
	world_free(&w);
}

/* What the kernel lacks is said, with what becomes instead; what it has is not. */
TEST(what_the_kernel_lacks_is_said)
{
	static const char *const names[] = {"setRetval", "sockDestroy"};
	bool no_destroy = libbpf_find_vmlinux_btf_id("bpf_sock_destroy", 0) == -ENOENT;
	json_t *status, *features, *missing, *row;
	size_t i, lacking = 0, said;
	struct world w;

	CHECK_INT(world_new(&w), 0);
	status = mesh_dp_status(w.dp);
	features = json_object_get(status, "features");
	missing = json_object_get(features, "missing");
	CHECK(json_is_boolean(json_object_get(features, "sockDestroy")));
	CHECK_INT(json_is_true(json_object_get(features, "sockDestroy")), !no_destroy);
	for (i = 0; i < MESH_ARRAY_SIZE(names); i++)
		lacking += !json_is_true(json_object_get(features, names[i]));
	CHECK_INT(json_array_size(missing), lacking);
	said = 0;
	json_array_foreach(missing, i, row) said +=
		strstr(json_string_value(json_object_get(row, "reason")), "this kernel has no bpf_") != NULL;
	CHECK_INT(said, lacking);
	json_decref(status);
	world_free(&w);
}

TEST(end_flows)
{
	if (libbpf_find_vmlinux_btf_id("bpf_sock_destroy", 0) == -ENOENT)
		SKIP("this kernel has no bpf_sock_destroy");
	check_end_flows(false);
}

TEST(end_flows_by_netlink)
{
	check_end_flows(true);
}

/* Off is a word that the programs read, and a restarted agent leaves it as it is. */
TEST(off_and_on)
{
	struct world w;

	CHECK_INT(world_of_three(&w), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(apply_weights(&w, w.dp, 1, 0), 0);
	CHECK_INT(mesh_dp_set_off(w.dp, true), 0);
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 1).failed, 1);
	mesh_dp_free(w.dp);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 1).failed, 1);
	CHECK_INT(mesh_dp_set_off(w.dp, false), 0);
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 1).failed, 0);
	world_free(&w);
}

TEST(detach_leaves_nothing)
{
	struct mesh_errs errs = {0};
	struct world w;

	CHECK_INT(world_of_three(&w), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(apply_weights(&w, w.dp, 1, 0), 0);
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 1).failed, 0);
	/* Also while an agent still has everything open. */
	CHECK_INT(mesh_dp_detach(w.pin, &errs), 0);
	CHECK(access(w.pin, F_OK) < 0 && errno == ENOENT);
	CHECK_INT(pod_burst(&w.pods[0], "10.99.0.1:80", 1).failed, 1);
	CHECK_INT(mesh_dp_detach(w.pin, &errs), 0);
	CHECK_INT(errs.list.count, 0);
	world_free(&w);
}

/* A second agent does not touch what the first one works on; when that has ended it takes over. */
TEST(one_agent_at_a_time)
{
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0}, want = {0};
	struct mesh_dp *second = NULL;
	struct mesh_errs errs = {0};
	struct world w;

	CHECK_INT(world_new(&w), 0);
	CHECK_INT(mesh_dp_new(&second,
			      &(struct mesh_dp_opts){
				      .pin_dir = w.pin, .cgroup_root = w.pods_cgroup, .agent_cgroup = w.agent_cgroup},
			      &errs),
		  -EBUSY);
	CHECK(second == NULL);
	mesh_errs_format(&errs, &said);
	mesh_errs_free(&errs);
	mesh_buf_printf(&want,
			"%s is in use by another agent (end that one, or give this one a directory of its own)\n",
			w.pin);
	CHECK_STR(said.data, want.data);
	mesh_dp_free(w.dp);
	CHECK_INT(world_dp(&w, &w.dp), 0);
	world_free(&w);
}

static int pin_node_map(const char *pin, size_t value_size, uint32_t abi)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/node", pin);
	mesh_auto_fd int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "node", 4, (uint32_t)value_size, 1, NULL);
	mesh_auto_free uint32_t *value = mesh_xcalloc(1, value_size);
	uint32_t zero = 0;

	value[0] = abi;
	if (fd < 0 || bpf_map_update_elem(fd, &zero, value, BPF_ANY) < 0 || bpf_obj_pin(fd, path) < 0)
		return -errno;
	return 0;
}

/* What another version pinned, of the same size or not, is refused and left alone. */
TEST(another_layout_is_refused)
{
	static const struct {
		size_t size;
		uint32_t abi;
	} cases[] = {{sizeof(struct mesh_node), MESH_ABI_VERSION + 1},
		     {4096, MESH_ABI_VERSION + 1},
		     {8, MESH_ABI_VERSION},
		     {24, 1}};
	struct world w;

	CHECK_INT(world_new(&w), 0);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(cases); i++) {
		mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
		mesh_auto_free char *want = NULL;
		struct mesh_dp *dp = NULL;
		struct mesh_errs errs = {0};
		int r;

		world_dp_end(&w);
		CHECK_INT(mesh_dp_detach(w.pin, NULL), 0);
		CHECK_INT(mkdir(w.pin, 0700), 0);
		CHECK_INT(pin_node_map(w.pin, cases[i].size, cases[i].abi), 0);
		r = mesh_dp_new(&dp,
				&(struct mesh_dp_opts){
					.pin_dir = w.pin, .cgroup_root = w.pods_cgroup, .agent_cgroup = w.agent_cgroup},
				&errs);
		mesh_errs_format(&errs, &said);
		mesh_errs_free(&errs);
		CHECK_INT(r, -EPROTO);
		want = cases[i].abi > MESH_ABI_VERSION
			       ? mesh_xasprintf(
					 "%s/node is pinned in layout %u, which is newer than what version %s "
					 "knows (%d) (run the version that pinned it, or let go of the node with "
					 "meshd agent --detach --pin-dir %s)\n",
					 w.pin, cases[i].abi, mesh_version, MESH_ABI_VERSION, w.pin)
			       : mesh_xasprintf("%s/node is pinned in a layout (%u) that version %s (layout %d) does "
						"not know (run the version that pinned it, or let go of the node with "
						"meshd agent --detach --pin-dir %s)\n",
						w.pin, cases[i].abi, mesh_version, MESH_ABI_VERSION, w.pin);
		CHECK_STR(said.data, want);
	}
	world_free(&w);
}

/* A client that closed and was never accepted leaves its original destination: it goes with the next release. */
TEST(origdst_of_a_released_pod_is_dropped)
{
	struct dial d = {.to = at("10.99.0.2:80")};
	struct conn c;
	struct world w;

	CHECK_INT(world_of_three(&w), 0);
	CHECK_INT(apply_weights(&w, w.dp, 1, 0), 0);
	CHECK_INT(world_capture(&w, &w.pods[0]), 0);
	CHECK_INT(world_capture(&w, &w.pods[1]), 0);
	c = pod_dial(&w.pods[0], &d);
	CHECK_INT(c.error, 0);
	pod_close(&w.pods[0], c.fd);
	c = pod_dial(&w.pods[1], &d);
	CHECK_INT(c.error, 0);
	CHECK_INT(map_entries(w.dp, "origdst"), 2);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[0].cookie), 0);
	CHECK_INT(map_entries(w.dp, "origdst"), 2);
	CHECK_INT(mesh_dp_release(w.dp, w.pods[1].cookie), 0);
	CHECK_INT(map_entries(w.dp, "origdst"), 1);
	world_free(&w);
}

TEST(a_bad_place_is_said)
{
	struct mesh_dp_opts opts = {.pin_dir = "/tmp", .cgroup_root = mesh_cgroup2_mount()};
	mesh_auto(mesh_buf_free) struct mesh_buf said = {0};
	struct mesh_errs errs = {0};
	struct mesh_dp *dp = NULL;

	CHECK_INT(mesh_dp_new(&dp, &opts, &errs), -EINVAL);
	CHECK(dp == NULL);
	mesh_errs_format(&errs, &said);
	CHECK_STR(said.data, "/tmp is not in a BPF file system\n");
	mesh_errs_free(&errs);
}

TEST_MAIN_ROOT()
