/* SPDX-License-Identifier: Apache-2.0 */
/* What probes and hooks do: a GET or a connect from the node, a command in the container, a sleep. */
#include "lab/node.h"

#include "core/addr.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { OUTPUT_MAX = 4096 };

struct mesh_action {
	struct mesh_loop *loop;
	struct mesh_timer timer; /* time-out, a sleep's end, or a failure to tell */
	struct mesh_io io;       /* socket or pidfd */
	mesh_action_fn *fn;
	void *arg;
	pid_t pid;         /* exec */
	int output;        /* exec: what it said */
	bool http, sleeps; /* what it is */
	char target[MESH_ADDR_TEXT], *url, *error;
	struct mesh_buf request, answer;
};

void mesh_action_cancel(struct mesh_action *a)
{
	if (!a)
		return;
	mesh_timer_remove(a->loop, &a->timer);
	mesh_io_remove(a->loop, &a->io);
	mesh_cleanup_fd(&a->io.fd);
	mesh_cleanup_fd(&a->output);
	if (a->pid > 0) {
		kill(-a->pid, SIGKILL);
		kill(a->pid, SIGKILL);
		waitpid(a->pid, NULL, 0);
	}
	mesh_buf_free(&a->request);
	mesh_buf_free(&a->answer);
	free(a->url);
	free(a->error);
	free(a);
}

static void finish(struct mesh_action *a, const char *error)
{
	mesh_action_fn *fn = a->fn;
	void *arg = a->arg;
	mesh_auto_free char *text = error ? mesh_xstrdup(error) : NULL;

	mesh_action_cancel(a);
	fn(arg, text);
}

static void failed(struct mesh_action *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void failed(struct mesh_action *a, const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	finish(a, text.data);
}

static void timed_out(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_action *a = mesh_container_of(timer, struct mesh_action, timer);

	(void)loop;
	if (a->sleeps)
		finish(a, NULL);
	else if (a->error)
		finish(a, a->error);
	else if (a->http)
		failed(a, "Get \"%s\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
		       a->url);
	else if (a->pid)
		failed(a, "command timed out");
	else
		failed(a, "dial tcp %s: i/o timeout", a->target);
}

static void net_failed(struct mesh_action *a, int e)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", strerror(e));
	text[0] = text[0] >= 'A' && text[0] <= 'Z' ? (char)(text[0] | 32) : text[0];
	if (a->http)
		failed(a, "Get \"%s\": dial tcp %s: connect: %s", a->url, a->target, text);
	else
		failed(a, "dial tcp %s: connect: %s", a->target, text);
}

static void http_read(struct mesh_action *a)
{
	char *room = mesh_buf_room(&a->answer, 4096);
	ssize_t n = recv(a->io.fd, room, 4096, 0);
	int status;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		a->answer.len += (size_t)n;
	if (a->answer.data)
		a->answer.data[a->answer.len] = 0;
	if (n > 0 && !strstr(a->answer.data, "\r\n") && a->answer.len < 65536)
		return;
	if (a->answer.len == 0 || sscanf(a->answer.data, "HTTP/1.%*d %d", &status) != 1)
		failed(a, "Get \"%s\": %s", a->url, a->answer.len ? "malformed HTTP response" : "EOF");
	else if (status < 200 || status >= 400)
		failed(a, "HTTP probe failed with statuscode: %d", status);
	else
		finish(a, NULL);
}

static void socket_ready(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_action *a = mesh_container_of(io, struct mesh_action, io);
	socklen_t len = sizeof(int);
	int e = 0;

	if (!(events & EPOLLOUT) || io->events == EPOLLIN) {
		if (a->http)
			http_read(a);
		return;
	}
	getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &e, &len);
	if (e) {
		net_failed(a, e);
	} else if (!a->http) {
		finish(a, NULL);
	} else if (send(io->fd, a->request.data, a->request.len, MSG_NOSIGNAL) < 0) {
		net_failed(a, errno);
	} else {
		mesh_io_set(loop, io, EPOLLIN);
	}
}

static void later(struct mesh_action *a, char *error)
{
	a->error = error;
	mesh_timer_set(a->loop, &a->timer, 0);
}

static void start_socket(struct mesh_action *a, const char *ip, unsigned port)
{
	struct sockaddr_storage ss;
	struct mesh_addr addr;
	socklen_t len;

	if (port == 0 || mesh_addr_parse(mesh_slice_str(ip), (uint16_t)port, &addr) < 0) {
		later(a, mesh_xasprintf("cannot probe %s port %u", ip, port));
		return;
	}
	mesh_addr_text(&addr, a->target);
	len = mesh_addr_to_sock(&addr, &ss);
	a->io.fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	a->io.fn = socket_ready;
	if (a->io.fd < 0 || (connect(a->io.fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) ||
	    mesh_io_set(a->loop, &a->io, EPOLLOUT) < 0)
		later(a, mesh_xasprintf("dial tcp %s: connect: %s", a->target, strerror(errno)));
}

/* A number, or the name of one of the container's ports. */
static unsigned port_of(const struct mesh_container *c, const json_t *port)
{
	if (json_is_integer(port))
		return (unsigned)json_integer_value(port);
	if (!json_is_string(port))
		return 0;
	return (unsigned)mesh_lab_int(
		mesh_lab_item(mesh_lab_at(mesh_container_spec(c), "ports"), "name", json_string_value(port)),
		"containerPort", atoi(json_string_value(port)));
}

static void start_http(struct mesh_action *a, const struct mesh_container *c, const json_t *get)
{
	const char *host = mesh_lab_text(get, "host"), *path = mesh_lab_text(get, "path");
	unsigned port = port_of(c, json_object_get(get, "port"));
	bool has_host = false;
	json_t *header;
	size_t i;

	host = *host ? host : c->pod->sandbox.ip;
	a->http = true;
	a->url = mesh_xasprintf("http://%s:%u%s%s", host, port, path[0] == '/' ? "" : "/", path);
	mesh_buf_printf(&a->request, "GET %s%s HTTP/1.1\r\n", path[0] == '/' ? "" : "/", path);
	json_array_foreach(json_object_get(get, "httpHeaders"), i, header)
	{
		mesh_buf_printf(&a->request, "%s: %s\r\n", mesh_lab_text(header, "name"),
				mesh_lab_text(header, "value"));
		has_host |= strcasecmp(mesh_lab_text(header, "name"), "Host") == 0;
	}
	if (!has_host)
		mesh_buf_printf(&a->request, "Host: %s:%u\r\n", host, port);
	mesh_buf_str(&a->request, "User-Agent: kube-probe/1.34\r\nAccept: */*\r\nConnection: close\r\n\r\n");
	start_socket(a, host, port);
}

static void exec_done(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_action *a = mesh_container_of(io, struct mesh_action, io);
	char out[OUTPUT_MAX + 1];
	int status = 0;
	ssize_t n;

	(void)loop;
	(void)events;
	waitpid(a->pid, &status, 0);
	a->pid = 0;
	n = read(a->output, out, OUTPUT_MAX);
	out[n > 0 ? n : 0] = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		finish(a, NULL);
	else if (*out)
		failed(a, "%s", out);
	else
		failed(a, "command ended with status %d",
		       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static char **strings(const json_t *list)
{
	char **all = mesh_xcalloc(json_array_size(list) + 1, sizeof(char *));
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) all[i] = mesh_xstrdup(json_string_value(item) ? json_string_value(item) : "");
	return all;
}

static void strings_free(char **all)
{
	for (char **s = all; *s; s++)
		free(*s);
	free(all);
}

static void __attribute__((noreturn)) exec_child(const struct mesh_lab_launch *l, int output)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int r;

	setpgid(0, 0);
	dup2(null, 0);
	dup2(output, 1);
	dup2(output, 2);
	r = mesh_lab_enter(l);
	dprintf(2, "exec: \"%s\": %s\n", l->argv[0], strerror(-r));
	_exit(127);
}

static void start_exec(struct mesh_action *a, const struct mesh_container *c, const json_t *exec)
{
	mesh_auto_free char *cgroup = mesh_container_cgroup(c);
	struct mesh_lab_launch l = {
		.pause = c->pod->sandbox.pause, .beside = c->process, .cgroup = cgroup, .uid = -1, .gid = -1};
	struct mesh_lab_pid pid;
	int out[2];

	if (json_array_size(json_object_get(exec, "command")) == 0 || pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0) {
		later(a, mesh_xstrdup("no command"));
		return;
	}
	l.argv = strings(json_object_get(exec, "command"));
	l.envp = strings(c->env);
	a->pid = fork();
	if (a->pid == 0)
		exec_child(&l, out[1]);
	strings_free(l.argv);
	strings_free(l.envp);
	close(out[1]);
	a->output = out[0];
	pid.pid = a->pid;
	pid.start = 0;
	if (a->pid > 0)
		mesh_lab_pid_of(a->pid, &pid);
	a->io.fd = mesh_lab_pid_open(&pid);
	a->io.fn = exec_done;
	if (a->io.fd < 0 || mesh_io_set(a->loop, &a->io, EPOLLIN) < 0)
		later(a, mesh_xstrdup("cannot start a process"));
}

struct mesh_action *mesh_action_start(struct mesh_container *c, const json_t *what, unsigned timeout_s,
				      mesh_action_fn *fn, void *arg)
{
	struct mesh_action *a = mesh_xcalloc(1, sizeof(*a));
	const json_t *sleep_s = mesh_lab_at(what, "sleep.seconds");

	a->loop = c->pod->node->loop;
	a->io.fd = a->output = -1;
	a->fn = fn;
	a->arg = arg;
	a->timer.fn = timed_out;
	a->sleeps = sleep_s != NULL;
	mesh_timer_set(a->loop, &a->timer, sleep_s ? MESH_SEC(json_integer_value(sleep_s)) : MESH_SEC(timeout_s));
	if (json_object_get(what, "httpGet"))
		start_http(a, c, json_object_get(what, "httpGet"));
	else if (json_object_get(what, "tcpSocket"))
		start_socket(a,
			     *mesh_lab_text(what, "tcpSocket.host") ? mesh_lab_text(what, "tcpSocket.host")
								    : c->pod->sandbox.ip,
			     port_of(c, mesh_lab_at(what, "tcpSocket.port")));
	else if (json_object_get(what, "exec"))
		start_exec(a, c, json_object_get(what, "exec"));
	else if (!sleep_s)
		later(a, mesh_xstrdup("a kind of probe that a lab does not have"));
	return a;
}
