/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_internal.h"

#include "core/loop.h"
#include "core/mem.h"
#include "core/time.h"
#include "kube/kube.h"
#include "lab/lab_net.h"
#include "lab/lab_proc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>

enum { UP_TIMEOUT_S = 45 };

struct up {
	struct mesh_lab lab;
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	uint64_t start, end;
};

static void step(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void step(const char *what, const char *fmt, ...)
{
	va_list ap;

	printf("  %-12s ", what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* The last lines of a log, when something did not come up. */
static void show_log(const struct mesh_lab *lab, const char *role)
{
	mesh_auto_free char *path = mesh_lab_path(lab, "logs/%s.log", role);
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	size_t at, lines = 0;

	if (mesh_file_read(path, 64 << 20, &text) < 0 || text.len == 0)
		return;
	for (at = text.len - 1; at > 0; at--)
		if (text.data[at - 1] == '\n' && ++lines == 8)
			break;
	fprintf(stderr, "last of %s:\n%s", path, text.data + at);
}

static bool role_runs(const struct mesh_lab *lab, const char *role)
{
	mesh_auto_free char *path = mesh_lab_path(lab, "pids/%s", role);
	struct mesh_lab_pid pid;

	return mesh_lab_pid_read(path, &pid) == 0 && mesh_lab_pid_alive(&pid);
}

static bool supervisor_runs(const struct mesh_lab *lab)
{
	return role_runs(lab, "supervisor");
}

static int start_supervisor(const struct mesh_lab *lab)
{
	mesh_auto_free char *self = realpath("/proc/self/exe", NULL), *log = mesh_lab_path(lab, "logs/supervisor.log"),
			    *cgroup = mesh_lab_cgroup_path(lab, "supervisor"), *pids = mesh_lab_path(lab, "pids"),
			    *logs = mesh_lab_path(lab, "logs"), *pid_file = mesh_lab_path(lab, "pids/supervisor");
	char *argv[] = {self, (char *)"lab", (char *)"supervise", (char *)"--name", (char *)lab->name, NULL};
	struct mesh_lab_spawn spawn = {.argv = argv, .cgroup = cgroup, .netns_fd = -1, .log = log};
	struct mesh_lab_pid pid;
	int r = mesh_lab_mkdir(pids);

	if (r == 0)
		r = mesh_lab_mkdir(logs);
	if (r == 0)
		r = mesh_lab_spawn(&spawn, &pid);
	return r < 0 ? r : mesh_lab_pid_write(pid_file, &pid);
}

static int fail(const struct up *up, const char *role, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(const struct up *up, const char *role, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "lab '%s': ", up->lab.name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (role)
		show_log(&up->lab, role);
	return -ETIMEDOUT;
}

/* Waits a little; false when the time is over or the supervisor has ended. */
static bool wait_on(const struct up *up)
{
	mesh_loop_once(up->loop, 10);
	usleep(5000);
	return mesh_now_ns() < up->end && supervisor_runs(&up->lab);
}

static int wait_api(struct up *up)
{
	mesh_auto_free char *path = mesh_lab_path(&up->lab, "kubeconfig");
	struct mesh_kube_opts opts = {.kubeconfig = path, .program = "meshctl-lab", .netns_fd = -1};
	char ip[MESH_LAB_TEXT];

	for (;;) {
		if (!up->kube && access(path, R_OK) == 0)
			mesh_kube_new(&up->kube, up->loop, &opts, NULL);
		if (up->kube) {
			json_t *body = NULL;
			int status =
				mesh_kube_call(up->kube, "GET", "/api/v1/namespaces/default", NULL, NULL, &body, NULL);

			json_decref(body);
			if (status == 200)
				break;
		}
		if (!wait_on(up)) {
			fail(up, "supervisor", "the API does not answer");
			show_log(&up->lab, "control");
			return -ETIMEDOUT;
		}
	}
	step("API", "https://%s:%d", mesh_lab_host_ip(&up->lab, ip), MESH_LAB_API_PORT);
	return 0;
}

static bool node_ready(const json_t *node)
{
	json_t *condition;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(node, "status"), "conditions"), i, condition)
	{
		const char *type = json_string_value(json_object_get(condition, "type"));
		const char *status = json_string_value(json_object_get(condition, "status"));

		if (type && status && strcmp(type, "Ready") == 0)
			return strcmp(status, "True") == 0;
	}
	return false;
}

static int wait_nodes(struct up *up)
{
	char role[32];

	for (unsigned n = 1; n <= up->lab.nodes; n++) {
		char path[64];
		bool ready = false;

		snprintf(path, sizeof(path), "/api/v1/nodes/node-%u", n);
		while (!ready) {
			json_t *body = NULL;

			ready = mesh_kube_call(up->kube, "GET", path, NULL, NULL, &body, NULL) == 200 &&
				node_ready(body);
			json_decref(body);
			if (!ready && !wait_on(up)) {
				snprintf(role, sizeof(role), "node-%u", n);
				return fail(up, role, "node-%u does not become Ready", n);
			}
		}
	}
	step("nodes", "%u Ready", up->lab.nodes);
	return 0;
}

/* Has the agent of node n written its lease a short time ago? */
static bool agent_in_force(struct up *up, unsigned n)
{
	char path[128];
	json_t *body = NULL;
	bool ok = false;

	snprintf(path, sizeof(path),
		 "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases/sockmesh-agent-node-%u", n);
	if (mesh_kube_call(up->kube, "GET", path, NULL, NULL, &body, NULL) == 200) {
		const char *text = json_string_value(json_object_get(json_object_get(body, "spec"), "renewTime"));
		int64_t renewed;

		ok = mesh_time_parse(text, &renewed) == 0 && time(NULL) - renewed < 30;
	}
	json_decref(body);
	return ok;
}

static int wait_agents(struct up *up)
{
	mesh_auto_free char *meshd = mesh_lab_program("meshd");

	if (!meshd || !mesh_lab_meshd_has(meshd, "agent")) {
		step("mesh", "none: this meshd has no role 'agent'");
		return 0;
	}
	for (unsigned n = 1; n <= up->lab.nodes; n++) {
		while (!agent_in_force(up, n)) {
			char role[32];

			if (wait_on(up))
				continue;
			snprintf(role, sizeof(role), "node-%u-agent", n);
			return fail(up, role, "the agent of node-%u is not in force", n);
		}
	}
	step("agents", "in force on %u nodes", up->lab.nodes);
	return 0;
}

static int wait_for_all(struct up *up)
{
	int r = mesh_loop_new(&up->loop);

	if (r == 0)
		r = wait_api(up);
	if (r == 0)
		r = wait_nodes(up);
	if (r == 0)
		r = wait_agents(up);
	mesh_kube_free(up->kube);
	mesh_loop_free(up->loop);
	return r;
}

/* The lab of that name, made if it is not there, with what the command line adds; locked. */
static int open_lab(const struct mesh_lab_args *args, struct mesh_lab *ret, int *lock, struct mesh_errs *errs)
{
	const char *name = args->name ? args->name : "default";
	unsigned nodes = args->nodes ? args->nodes : 2;
	struct mesh_lab check = {0};
	int r = 0;

	/* Nothing is made for a command line that cannot be followed. */
	mesh_vec_each (image, &args->images.list)
		r = r < 0 ? r : mesh_lab_add_image(&check, *image, errs);
	mesh_lab_free(&check);
	if (r < 0)
		return r;
	r = mesh_lab_load(name, ret, errs);

	if (r == -ENOENT)
		r = mesh_lab_create(name, nodes, ret, errs);
	if (r == -EEXIST) /* another `up` was faster */
		r = mesh_lab_load(name, ret, errs);
	if (r == -ENOENT)
		mesh_errs_add(errs, "what an unfinished `lab up` left is in the way: meshctl lab down --name %s", name);
	if (r < 0)
		return r;
	*lock = open(ret->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*lock < 0 || flock(*lock, LOCK_EX) < 0)
		return -errno;
	if (args->nodes && args->nodes != ret->nodes) {
		mesh_errs_add(errs, "lab '%s' is there with %u nodes (meshctl lab down --name %s, then up again)", name,
			      ret->nodes, name);
		return -EEXIST;
	}
	mesh_vec_each (image, &args->images.list) {
		r = mesh_lab_add_image(ret, *image, errs);
		if (r < 0)
			return r;
	}
	return args->images.list.count ? mesh_lab_save(ret) : 0;
}

/* Says what is in the way of the two ports on the host, if they are not the lab's. */
static bool port_taken(const struct mesh_lab *lab, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	mesh_auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char ip[MESH_LAB_TEXT];
	int one = 1;

	inet_pton(AF_INET, mesh_lab_host_ip(lab, ip), &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0)
		return false;
	fprintf(stderr, "%s:%u on this machine is taken by another program (ss -ltnp 'sport = %u' shows which)%s\n", ip,
		port, port, port == 80 ? "; all but the router to the ingress gateway works without it" : "");
	return true;
}

static void say_how(const struct up *up)
{
	const struct mesh_lab *lab = &up->lab;

	printf("up in %.1f s\n\n", (double)(mesh_now_ns() - up->start) / 1e9);
	printf("  export KUBECONFIG=%s/kubeconfig\n", lab->dir);
	printf("  kubectl get nodes\n");
	printf("  meshctl lab down --name %s\n", lab->name);
}

static int bring_up(struct up *up, const struct mesh_lab_args *args)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto_fd int lock = -1;
	char ip[MESH_LAB_TEXT];
	bool running;
	int r = open_lab(args, &up->lab, &lock, &errs);

	mesh_vec_each (e, &errs.list)
		fprintf(stderr, "%s\n", e->text);
	if (r < 0 && errs.list.count == 0)
		fprintf(stderr, "%s: %s\n", MESH_LAB_ROOT, strerror(-r));
	if (r < 0)
		return r;
	running = supervisor_runs(&up->lab);
	printf("lab '%s': %u nodes in %s/16%s\n", up->lab.name, up->lab.nodes, mesh_lab_fabric_ip(&up->lab, 0, ip),
	       running ? ", running already" : "");
	fflush(stdout);
	if (running) /* one that was killed just now may still be on its way out */
		usleep(20000);
	if (!supervisor_runs(&up->lab)) {
		if (!role_runs(&up->lab, "router") &&
		    (port_taken(&up->lab, 80), port_taken(&up->lab, MESH_LAB_API_PORT)))
			return -EADDRINUSE;
		r = start_supervisor(&up->lab);
		if (r < 0) {
			fprintf(stderr, "cannot start the supervisor: %s\n", strerror(-r));
			return r;
		}
	}
	r = wait_for_all(up);
	if (r == 0)
		say_how(up);
	return r;
}

int mesh_lab_up(const struct mesh_lab_args *args)
{
	struct up up = {.start = mesh_now_ns()};
	int r;

	up.end = up.start + MESH_SEC(UP_TIMEOUT_S);
	r = bring_up(&up, args);
	mesh_lab_free(&up.lab);
	return r < 0;
}
