/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client [-c CONNECTIONS] [-n] [-t FILE] HOST:PORT[/PATH]
 * A closed-loop HTTP/1.1 client that works in slices, so that several of them can take short turns on one machine: for
 * each line "MS" on stdin it sends requests for that many milliseconds, waits for the answers that are under way, and
 * prints "REQUESTS FAILED BUSY_US WALL_US SWITCHES": BUSY_US is what all CPUs of the machine worked meanwhile, SWITCHES
 * how often they went from one task to another. Connections stay open from one slice to the next; -n opens one for each
 * request. FILE: addresses to connect to in HOST's stead, drawn at random. Ends with stdin.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum { CONNS_MAX = 1024, HEAD_MAX = 16384, READ_SIZE = 65536, SERVERS_MAX = 65536 };

struct conn {
	int fd;
	int waiting; /* for an answer, or to be connected */
	size_t head_len;
	long long body; /* bytes still to come; -1: the head is not whole yet */
	char head[HEAD_MAX];
};

static struct conn conns[CONNS_MAX];
static int conn_count = 1, under_way, ep;
static int one_each; /* a connection for each request */
static union {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
} servers[SERVERS_MAX];
static uint32_t server_count, drawn = 1;
static char request[1024];
static size_t request_len;
static uint64_t done, failed;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static double stolen_us(double *idle_us)
{
	unsigned long long idle = 0, iowait = 0, steal = 0;
	double tick = 1e6 / (double)sysconf(_SC_CLK_TCK);
	FILE *f = fopen("/proc/stat", "re");

	if (f && fscanf(f, "cpu %*u %*u %*u %llu %llu %*u %*u %llu", &idle, &iowait, &steal) != 3)
		idle = iowait = steal = 0;
	if (f)
		fclose(f);
	*idle_us = (double)(idle + iowait) * tick;
	return (double)steal * tick;
}

static unsigned long long task_switches(void)
{
	unsigned long long n = 0;
	char line[4096];
	FILE *f = fopen("/proc/stat", "re");

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "ctxt %llu", &n) != 1)
		;
	if (f)
		fclose(f);
	return n;
}

/* How long that CPU has idled, to the nanosecond; -1: the kernel does not say. */
static double cpu_idle_us(int cpu)
{
	FILE *f = fopen("/proc/timer_list", "re");
	unsigned long long ns, sum = 0;
	char line[256];
	int at = -1, found = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "cpu: ", 5) == 0)
			at = atoi(line + 5);
		else if (at == cpu && (sscanf(line, " .idle_sleeptime : %llu", &ns) == 1 ||
				       sscanf(line, " .iowait_sleeptime: %llu", &ns) == 1))
			sum += ns, found = 1;
	}
	if (f)
		fclose(f);
	return found ? (double)sum / 1e3 : -1;
}

/*
 * What all CPUs have worked. Each is asked from itself, for the idle time that one is just in is not in its sum: also
 * those that this process is kept from. Where there is no such list, by the idle columns: exact where the tick is
 * stopped (samples are not), but of 10 ms.
 */
static double machine_busy_us(void)
{
	double idle = 0, coarse, steal;
	cpu_set_t mine, one;

	sched_getaffinity(0, sizeof(mine), &mine);
	for (int cpu = 0; cpu < get_nprocs_conf() && idle >= 0; cpu++) {
		double us;

		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0)
			continue; /* offline */
		us = cpu_idle_us(cpu);
		idle = us < 0 ? -1 : idle + us;
	}
	sched_setaffinity(0, sizeof(mine), &mine);
	steal = stolen_us(&coarse);
	return (double)now_us() * (double)sysconf(_SC_NPROCESSORS_ONLN) - (idle < 0 ? coarse : idle) - steal;
}

static void conn_send(struct conn *c)
{
	c->waiting = 1;
	c->head_len = 0;
	c->body = -1;
	if (write(c->fd, request, request_len) != (ssize_t)request_len)
		shutdown(c->fd, SHUT_RDWR); /* the end of it is seen by the next read */
}

/* xorshift: the same servers in the same order in every run. */
static const struct sockaddr *next_server(void)
{
	drawn ^= drawn << 13;
	drawn ^= drawn >> 17;
	drawn ^= drawn << 5;
	return &servers[drawn % server_count].any;
}

static int conn_open(struct conn *c)
{
	const struct sockaddr *to = next_server();
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
	int one = 1;

	c->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if ((connect(c->fd, to, sizeof(servers[0])) < 0 && errno != EINPROGRESS) ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
		close(c->fd);
		c->fd = -1;
		return -1;
	}
	c->waiting = 1;
	return 0;
}

/* A connection that could not be made is a failed request; it is tried again in the next slice. */
static void conn_start(struct conn *c)
{
	under_way++;
	if (c->fd >= 0) {
		conn_send(c);
	} else if (conn_open(c) < 0) {
		under_way--;
		failed++;
	}
}

static void conn_close(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
	c->waiting = 0;
}

static void request_end(struct conn *c, int good, int again)
{
	under_way--;
	c->waiting = 0;
	*(good ? &done : &failed) += 1;
	if (!good || one_each)
		conn_close(c);
	if (again)
		conn_start(c);
}

/* Takes in what came; returns 1 at the end of an answer, 0 before it, -1 if this is no answer with a Content-Length and
 * 200. */
static int conn_take(struct conn *c, const char *buf, size_t len)
{
	char *end, *length;
	size_t n = len < HEAD_MAX - 1 - c->head_len ? len : HEAD_MAX - 1 - c->head_len, past;

	if (c->body >= 0) {
		c->body -= (long long)len;
		return c->body == 0 ? 1 : c->body < 0 ? -1 : 0;
	}
	memcpy(c->head + c->head_len, buf, n);
	c->head_len += n;
	c->head[c->head_len] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return c->head_len == HEAD_MAX - 1 ? -1 : 0;
	past = c->head_len - (size_t)(end + 4 - c->head);
	end[2] = '\0';
	length = strcasestr(c->head, "\ncontent-length:");
	if (!length || strncmp(c->head + 8, " 200", 4) != 0)
		return -1;
	c->body = atoll(length + 16) - (long long)(past + len - n);
	return c->body == 0 ? 1 : c->body < 0 ? -1 : 0;
}

static void on_event(struct conn *c, uint32_t events, int again)
{
	static char buf[READ_SIZE];
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	ssize_t n;
	int r;

	if (c->fd >= 0 && (events & EPOLLOUT) && !(events & (EPOLLERR | EPOLLHUP))) {
		epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
		conn_send(c);
		return;
	}
	if (c->fd < 0)
		return;
	n = read(c->fd, buf, sizeof(buf));
	if (n < 0 && errno == EAGAIN)
		return;
	if (!c->waiting && !(events & EPOLLOUT)) { /* the other side closed an idle connection */
		conn_close(c);
		return;
	}
	r = n <= 0 ? -1 : conn_take(c, buf, (size_t)n);
	if (r)
		request_end(c, r > 0, again);
}

static void slice(uint64_t us)
{
	struct epoll_event events[256];
	unsigned long long switches = task_switches();
	double busy = machine_busy_us();
	uint64_t begin = now_us(), until = begin + us, now = begin, patience = until + 2000000;

	done = failed = 0;
	for (int i = 0; i < conn_count; i++)
		conn_start(&conns[i]);
	while (under_way > 0 && now < patience) {
		int n = epoll_wait(ep, events, 256, 100);

		now = now_us();
		for (int i = 0; i < n; i++)
			on_event(events[i].data.ptr, events[i].events, now < until);
	}
	for (int i = 0; i < conn_count && under_way > 0; i++)
		if (conns[i].waiting)
			request_end(&conns[i], 0, 0);
	now = now_us();
	busy = machine_busy_us() - busy;
	printf("%llu %llu %.0f %llu %llu\n", (unsigned long long)done, (unsigned long long)failed, busy,
	       (unsigned long long)(now - begin), task_switches() - switches);
	fflush(stdout);
}

static int target(char *where)
{
	char *path = strchr(where, '/'), *host = where, *port;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	char given[256];

	snprintf(given, sizeof(given), "%.*s", path ? (int)(path - where) : (int)strlen(where), where);
	request_len = (size_t)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n",
				       path ? path : "/", given, one_each ? "Connection: close\r\n" : "");
	if (path)
		*path = '\0';
	port = strrchr(host, ':');
	if (!port || request_len >= sizeof(request))
		return -1;
	*port++ = '\0';
	if (*host == '[') {
		host++;
		host[strcspn(host, "]")] = '\0';
	}
	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -1;
	memcpy(&servers[0], found->ai_addr, found->ai_addrlen);
	server_count = 1;
	freeaddrinfo(found);
	return 0;
}

/* Of these one is drawn for each connection: IPv4 addresses, a line each; the port is that of the one named. */
static int read_servers(const char *path)
{
	FILE *f = fopen(path, "re");
	uint16_t port = servers[0].ip4.sin_port;
	char line[64];

	for (server_count = 0; f && server_count < SERVERS_MAX && fgets(line, sizeof(line), f); server_count++) {
		struct sockaddr_in *a = &servers[server_count].ip4;

		line[strcspn(line, "\n")] = '\0';
		a->sin_family = AF_INET;
		a->sin_port = port;
		if (inet_pton(AF_INET, line, &a->sin_addr) != 1) {
			fclose(f);
			return -1;
		}
	}
	if (f)
		fclose(f);
	return server_count ? 0 : -1;
}

int main(int argc, char **argv)
{
	const char *list = NULL;
	char line[32];
	int opt;

	while ((opt = getopt(argc, argv, "c:nt:")) != -1) {
		if (opt == 'c')
			conn_count = atoi(optarg);
		else if (opt == 't')
			list = optarg;
		else if (opt == 'n')
			one_each = 1;
		else
			return 2;
	}
	if (optind + 1 != argc || conn_count < 1 || conn_count > CONNS_MAX) {
		fprintf(stderr,
			"usage: client [-c CONNECTIONS] [-n] [-t FILE] HOST:PORT[/PATH]  (1 to %d connections)\n",
			CONNS_MAX);
		return 2;
	}
	if (target(argv[optind]) < 0) {
		fprintf(stderr, "client: %s is not HOST:PORT[/PATH] or cannot be resolved\n", argv[optind]);
		return 1;
	}
	if (list && read_servers(list) < 0) {
		fprintf(stderr, "client: %s is no list of IPv4 addresses\n", list);
		return 1;
	}
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < conn_count; i++)
		conns[i].fd = -1;
	while (fgets(line, sizeof(line), stdin))
		slice(strtoull(line, NULL, 10) * 1000);
	return 0;
}
