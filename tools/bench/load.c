/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load [-c CONNECTIONS] [-r PER_SECOND] [-d SECONDS] [-u FILE] [-o LOG] [-f FAILED] [-k KEY] HOST:PORT[/PATH]
 * An open-loop HTTP/1.1 client: requests leave on a fixed schedule over kept connections, one in flight on each;
 * when it falls due and no connection is idle, a request waits and its time counts from when it was due.
 * LOG gets a struct record per request; FAILED a line for each that failed: when it was due and when it ended
 * (CLOCK_MONOTONIC ns), its status, and what was answered or how the connection ended. Ends on SIGTERM or once FILE
 * exists as well; then prints counts as JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { CONNS_MAX = 1024, BUF = 65536 };

/*
 * What the log holds: CLOCK_MONOTONIC nanoseconds, the status (0: failed), and the digit after "catalog v" or, with
 * -k KEY, the FNV-1a hash of the text that the JSON body has for KEY.
 */
struct record {
	uint64_t start_ns, end_ns;
	uint32_t status, version;
};

struct conn {
	int fd;
	int busy;
	uint64_t start;
	size_t len;
	char buf[BUF];
};

static struct conn conns[CONNS_MAX];
static struct conn *idle[CONNS_MAX];
static int conn_count = 16, idle_count, ep;
static struct sockaddr_storage server;
static socklen_t server_len;
static char request[1024];
static FILE *log_file, *failed_file;
static char why[128]; /* of what ends without a status */
static const char *until;
static char key[64]; /* "KEY": as it stands in the body */
static uint64_t total, failed, by_status[6], versions[10], reconnects, slowest;
static volatile sig_atomic_t stop;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static int conn_open(struct conn *c)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	struct timeval patience = {.tv_sec = 2};
	int one = 1;

	c->fd = socket(server.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -1;
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* also connect()'s */
	if (connect(c->fd, (struct sockaddr *)&server, server_len) < 0) {
		close(c->fd);
		c->fd = -1;
		return -1;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	c->len = 0;
	return epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}

static void conn_close(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->len = 0;
}

static uint32_t hash_of_value(const char *body)
{
	const char *p = body ? strstr(body, key) : NULL;
	uint32_t h = 2166136261u;

	if (!p)
		return 0;
	for (p += strlen(key); *p == ' ' || *p == '"'; p++)
		;
	for (; *p && *p != '"'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return h;
}

static void say_failed(const struct conn *c, const struct record *r)
{
	fprintf(failed_file, "%lu %lu %u ", r->start_ns, r->end_ns, r->status);
	if (!r->status)
		fputs(why, failed_file);
	for (size_t i = 0; r->status && i < c->len && i < 1024; i++)
		fputc(c->buf[i] >= ' ' ? c->buf[i] : c->buf[i] == '\n' ? '|' : ' ', failed_file);
	fputc('\n', failed_file);
	fflush(failed_file);
}

static void finish(struct conn *c, uint32_t status, const char *body)
{
	struct record r = {.start_ns = c->start, .end_ns = now_ns(), .status = status};
	const char *v = body ? strstr(body, "catalog v") : NULL;

	if (v && v[9] >= '0' && v[9] <= '9')
		r.version = (uint32_t)(v[9] - '0');
	total++;
	failed += status != 200;
	by_status[status / 100 < 6 ? status / 100 : 0]++;
	versions[r.version]++;
	if (*key)
		r.version = hash_of_value(body);
	if (r.end_ns - r.start_ns > slowest)
		slowest = r.end_ns - r.start_ns;
	if (log_file)
		fwrite(&r, sizeof(r), 1, log_file);
	if (failed_file && status != 200)
		say_failed(c, &r);
	c->busy = 0;
	c->len = 0;
	idle[idle_count++] = c;
}

static void because(const char *what)
{
	snprintf(why, sizeof(why), "%s: %s", what, strerror(errno));
}

static void start(struct conn *c, uint64_t due)
{
	size_t n = strlen(request);

	c->busy = 1;
	c->start = due;
	if (c->fd < 0 && conn_open(c) < 0) {
		because("connect");
		finish(c, 0, NULL);
		conn_close(c);
		return;
	}
	if (send(c->fd, request, n, MSG_NOSIGNAL) == (ssize_t)n)
		return;
	/* The other side closed it while it was idle: that is its right. Once more on a new one. */
	conn_close(c);
	reconnects++;
	if (conn_open(c) < 0 || send(c->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n) {
		because("connect or send, again");
		finish(c, 0, NULL);
		conn_close(c);
	}
}

/* Whether a whole answer is there; *closes if the connection ends with it. */
static int whole(struct conn *c, uint32_t *status, const char **body, int *closes)
{
	char *end = strstr(c->buf, "\r\n\r\n"), *p;
	size_t length = 0;

	if (!end)
		return 0;
	*status = (uint32_t)atoi(c->buf + 9);
	*body = end + 4;
	*closes = 0;
	for (p = strstr(c->buf, "\r\n"); p && p < end; p = strstr(p + 2, "\r\n")) {
		if (strncasecmp(p + 2, "content-length:", 15) == 0)
			length = strtoul(p + 17, NULL, 10);
		if (strncasecmp(p + 2, "connection: close", 17) == 0)
			*closes = 1;
	}
	return c->len >= (size_t)(end + 4 - c->buf) + length;
}

static void readable(struct conn *c)
{
	const char *body = NULL;
	uint32_t status = 0;
	int closes = 0;
	ssize_t n = recv(c->fd, c->buf + c->len, BUF - 1 - c->len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		int was_busy = c->busy, first = c->len == 0;

		snprintf(why, sizeof(why), "after %zu bytes: %s", c->len, n < 0 ? strerror(errno) : "closed");
		conn_close(c);
		if (!was_busy)
			return;
		/* An idle close may cross the request: RFC 9112 9.3.1 lets a GET be sent again. */
		if (first && n == 0 && conn_open(c) == 0 && send(c->fd, request, strlen(request), MSG_NOSIGNAL) > 0) {
			reconnects++;
			return;
		}
		finish(c, 0, NULL);
		return;
	}
	c->len += (size_t)n;
	c->buf[c->len] = '\0';
	if (!whole(c, &status, &body, &closes)) {
		if (c->len == BUF - 1) {
			snprintf(why, sizeof(why), "longer than %d bytes", BUF);
			finish(c, 0, NULL);
			conn_close(c);
		}
		return;
	}
	finish(c, status, body);
	if (closes)
		conn_close(c);
}

static int resolve(char *target)
{
	char *path = strchr(target, '/'), *port;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: load\r\n\r\n",
		 path ? path : "/", (int)(path ? path - target : (long)strlen(target)), target);
	if (path)
		*path = '\0';
	port = strrchr(target, ':');
	if (port)
		*port++ = '\0';
	if (getaddrinfo(target, port ? port : "80", &hints, &ai) != 0)
		return -1;
	memcpy(&server, ai->ai_addr, ai->ai_addrlen);
	server_len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

static void run(double rate, double seconds)
{
	uint64_t gap = (uint64_t)(1e9 / rate), begin = now_ns(), due = begin;
	uint64_t end = begin + (uint64_t)(seconds * 1e9), drain = 0;
	uint64_t look = begin;
	struct epoll_event evs[64];

	for (;;) {
		uint64_t now = now_ns();
		int n, wait_ms = 1;

		if (until && now >= look) {
			look = now + 50000000;
			stop |= access(until, F_OK) == 0;
		}

		if ((stop || now >= end) && !drain)
			drain = now + 5000000000ULL;
		if (drain && (idle_count == conn_count || now >= drain))
			return;
		for (; !drain && due <= now && idle_count > 0; due += gap)
			start(idle[--idle_count], due);
		if (!drain && due <= now + 1000000)
			wait_ms = idle_count > 0 ? 0 : 1;
		n = epoll_wait(ep, evs, 64, wait_ms);
		for (int i = 0; i < n; i++)
			readable(evs[i].data.ptr);
		if (n == 0 && wait_ms == 0) {
			struct timespec nap = {.tv_nsec = 100000};

			nanosleep(&nap, NULL);
		}
	}
}

int main(int argc, char **argv)
{
	double rate = 2000, seconds = 10;
	int opt;

	while ((opt = getopt(argc, argv, "c:r:d:o:u:k:f:")) >= 0) {
		if (opt == 'c')
			conn_count = atoi(optarg);
		else if (opt == 'r')
			rate = atof(optarg);
		else if (opt == 'd')
			seconds = atof(optarg);
		else if (opt == 'u')
			until = optarg;
		else if (opt == 'o')
			log_file = fopen(optarg, "we");
		else if (opt == 'f')
			failed_file = fopen(optarg, "we");
		else if (opt == 'k')
			snprintf(key, sizeof(key), "\"%s\":", optarg);
		else
			return 2;
	}
	if (optind + 1 != argc || conn_count < 1 || conn_count > CONNS_MAX || rate <= 0) {
		fputs("usage: load [-c CONNECTIONS] [-r PER_SECOND] [-d SECONDS] [-u FILE] [-o LOG] [-f FAILED] [-k "
		      "KEY] "
		      "HOST:PORT[/PATH]\n",
		      stderr);
		return 2;
	}
	if (resolve(argv[optind]) < 0) {
		fprintf(stderr, "load: cannot resolve %s\n", argv[optind]);
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < conn_count; i++) {
		conns[i].fd = -1;
		idle[idle_count++] = &conns[i];
	}
	run(rate, seconds);
	failed += (uint64_t)(conn_count - idle_count); /* never answered */
	if (log_file)
		fclose(log_file);
	if (failed_file)
		fclose(failed_file);
	printf("{\"requests\":%lu,\"failed\":%lu,\"2xx\":%lu,\"4xx\":%lu,\"5xx\":%lu,\"none\":%lu,\"v1\":%lu,\"v2\":%"
	       "lu,\"v3\":%lu,"
	       "\"reconnects\":%lu,\"slowest_us\":%lu}\n",
	       total, failed, by_status[2], by_status[4], by_status[5], by_status[0], versions[1], versions[2],
	       versions[3], reconnects, slowest / 1000);
	return failed ? 1 : 0;
}
