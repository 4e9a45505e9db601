/* SPDX-License-Identifier: Apache-2.0 */
/* Options, and what TCP tells of a connection. */
#include "sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/sockios.h>
#include <linux/tcp.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	return info;
}

/* An int option: set, and read back, on both ends. */
static const struct int_option {
	const char *name;
	int level, option, value;
} settable[] = {
	{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1},
	{"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 5},
	{"SO_MARK", SOL_SOCKET, SO_MARK, 0x77},
	{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 70000},
	{"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 70000},
	{"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 3},
	{"SO_BUSY_POLL", SOL_SOCKET, SO_BUSY_POLL, 10},
	{"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1},
	{"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, 0},
	{"IP_TOS", IPPROTO_IP, IP_TOS, 0x10},
	{"IP_TTL", IPPROTO_IP, IP_TTL, 33},
	{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
	{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 11},
	{"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 12},
	{"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 4},
	{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 12345},
	{"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 5},
	{"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 3},
	{"TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, 30000},
	{"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1},
	{"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 20000},
	{"TCP_THIN_LINEAR_TIMEOUTS", IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1},
	{"TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN, 1},
};

static void set_options(const struct sc *x)
{
	struct sc_pair p;
	char key[80];

	sc_pair(x, &p);
	for (int end = 0; end < 2; end++)
		for (size_t i = 0; i < sizeof(settable) / sizeof(settable[0]); i++) {
			const struct int_option *o = &settable[i];
			int fd = end ? p.s : p.c, r = sc_set(fd, o->level, o->option, o->value);

			snprintf(key, sizeof(key), "%s: %s", end ? "server" : "client", o->name);
			sc_see(x, key, "%s, %d", sc_error_name(-r), sc_option(fd, o->level, o->option));
		}
	sc_see(x, "afterwards", "%s",
	       sc_put(p.c, x->seed, 0, 300) && sc_take(p.s, x->seed, 0, 300) ? "works" : "broken");
}

/* What a socket says of itself. */
static void facts(const struct sc *x)
{
	static const struct int_option rows[] = {{"SO_TYPE", SOL_SOCKET, SO_TYPE, 0},
						 {"SO_DOMAIN", SOL_SOCKET, SO_DOMAIN, 0},
						 {"SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, 0},
						 {"SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, 0},
						 {"SO_ERROR", SOL_SOCKET, SO_ERROR, 0},

						 {"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 0},
						 {"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 0},
						 {"IP_TTL", IPPROTO_IP, IP_TTL, 0},
						 {"IP_MTU", IPPROTO_IP, IP_MTU, 0},
						 {"IP_TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT, 0}};
	char text[64] = "", key[80];
	struct sc_pair p;
	socklen_t len;

	sc_pair(x, &p);
	for (int end = 0; end < 2; end++) {
		int fd = end ? p.s : p.c;
		uint64_t cookie = 0, ns = 0;

		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			snprintf(key, sizeof(key), "%s: %s", end ? "server" : "client", rows[i].name);
			sc_see(x, key, "%d", sc_option(fd, rows[i].level, rows[i].option));
		}
		len = sizeof(text);
		sc_see(x, "TCP_CONGESTION", "%s", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len) ? "?" : text);
		len = sizeof(cookie);
		getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
		getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &ns, &len);
		sc_see(x, "cookies", "%s", cookie && ns ? "there" : "missing");
	}
	sc_see(x, "TCP_ULP tls", "%s", sc_error_name(setsockopt(p.c, IPPROTO_TCP, TCP_ULP, "tls", 3) < 0 ? errno : 0));
	sc_see(x, "TCP_CONGESTION reno", "%s",
	       sc_error_name(setsockopt(p.c, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) < 0 ? errno : 0));
	sc_see(x, "afterwards", "%s",
	       sc_put(p.c, x->seed, 0, 300) && sc_take(p.s, x->seed, 0, 300) ? "works" : "broken");
}

static void cork(const struct sc *x)
{
	bool held = false;
	uint64_t at = 0;
	struct sc_pair p;

	sc_pair(x, &p);
	for (int i = 0; i < 5 && !held;
	     i++, at += 300) { /* it is let go after 200 ms: an idle machine is fast enough */
		uint64_t began = sc_now_ms();

		sc_set(p.c, IPPROTO_TCP, TCP_CORK, 1);
		sc_put(p.c, x->seed, at, 100);
		sc_put(p.c, x->seed, at + 100, 200);
		held = !sc_poll(p.s, POLLIN, 40);
		if (!held && sc_now_ms() - began < 100)
			i = 5;
		sc_set(p.c, IPPROTO_TCP, TCP_CORK, 0);
		sc_must(x, sc_take(p.s, x->seed, at, 300), "corked bytes are wrong");
	}
	sc_see(x, "held back", "%s", held ? "yes" : "no");
}

static void info(const struct sc *x)
{
	struct tcp_info c0, s0, c1, s1;
	uint64_t end = sc_now_ms() + 3000;
	struct sc_pair p;

	sc_pair(x, &p);
	c0 = info_of(p.c);
	s0 = info_of(p.s);
	for (uint64_t at = 0; at < 100; at++)
		sc_need(x,
			sc_put(p.c, x->seed, at * 1000, 1000) && sc_take(p.s, x->seed, at * 1000, 1000) &&
				sc_put(p.s, x->seed, at * 300, 300) && sc_take(p.c, x->seed, at * 300, 300),
			"bytes are wrong");
	do {
		sc_sleep_ms(5);
		c1 = info_of(p.c);
		s1 = info_of(p.s);
	} while ((c1.tcpi_bytes_acked - c0.tcpi_bytes_acked < 100000 || s1.tcpi_unacked || c1.tcpi_unacked) &&
		 sc_now_ms() < end);
	sc_see(x, "client: bytes_sent", "%lld", (long long)(c1.tcpi_bytes_sent - c0.tcpi_bytes_sent));
	sc_see(x, "client: bytes_acked", "%lld", (long long)(c1.tcpi_bytes_acked - c0.tcpi_bytes_acked));
	sc_see(x, "client: bytes_received", "%lld", (long long)(c1.tcpi_bytes_received - c0.tcpi_bytes_received));
	sc_see(x, "server: bytes_sent", "%lld", (long long)(s1.tcpi_bytes_sent - s0.tcpi_bytes_sent));
	sc_see(x, "server: bytes_received", "%lld", (long long)(s1.tcpi_bytes_received - s0.tcpi_bytes_received));
	sc_see(x, "client: data segments out", "%s",
	       c1.tcpi_data_segs_out - c0.tcpi_data_segs_out >= 50 ? "many" : "few");
	sc_see(x, "server: data segments in", "%s", s1.tcpi_data_segs_in - s0.tcpi_data_segs_in >= 50 ? "many" : "few");
	sc_see(x, "client: unacked, notsent, retransmits", "%u %u %u", c1.tcpi_unacked, c1.tcpi_notsent_bytes,
	       c1.tcpi_total_retrans);
	sc_see(x, "client: rtt measured", "%s", c1.tcpi_rtt > 0 ? "yes" : "no");
	sc_see(x, "client: last data sent", "%s", c1.tcpi_last_data_sent < 2500 ? "just now" : "long ago");
	sc_see(x, "server: last data received", "%s", s1.tcpi_last_data_recv < 2500 ? "just now" : "long ago");
}

/* Idle detection by TCP_INFO, as a server's reaper does it: busy connections must not look idle. */
static void idle_clock(const struct sc *x)
{
	uint64_t end = sc_now_ms() + 1200, at = 0;
	struct tcp_info i;
	struct sc_pair p;

	sc_pair(x, &p);
	for (; sc_now_ms() < end; at += 10, sc_sleep_ms(5))
		sc_need(x, sc_put(p.c, x->seed, at, 10) && sc_take(p.s, x->seed, at, 10), "bytes are wrong");
	i = info_of(p.s);
	sc_see(x, "server: last data received", "%s", i.tcpi_last_data_recv < 700 ? "just now" : "long ago");
	i = info_of(p.c);
	sc_see(x, "client: last data sent", "%s", i.tcpi_last_data_sent < 700 ? "just now" : "long ago");
}

static void keep_alive(const struct sc *x)
{
	struct tcp_info i;
	struct sc_pair p;

	sc_pair(x, &p);
	for (int end = 0; end < 2; end++) {
		int fd = end ? p.s : p.c;

		sc_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
		sc_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
		sc_set(fd, IPPROTO_TCP, TCP_KEEPCNT, 2);
		sc_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	sc_put(p.c, x->seed, 0, 100);
	sc_take(p.s, x->seed, 0, 100);
	sc_sleep_ms(5500); /* longer than a dead peer would be borne */
	sc_see(x, "idle for 5.5 s", "%s", sc_events(sc_poll(p.c, POLLIN | POLLOUT | POLLRDHUP, 0)));
	sc_see(x, "the server", "%s", sc_events(sc_poll(p.s, POLLIN | POLLOUT | POLLRDHUP, 0)));
	i = info_of(p.c);
	sc_see(x, "probes are answered", "%s", i.tcpi_last_ack_recv < 3000 ? "yes" : "no");
	sc_see(x, "then", "%s", sc_put(p.c, x->seed, 100, 100) && sc_take(p.s, x->seed, 100, 100) ? "works" : "broken");
}

static void small_buffers(const struct sc *x)
{
	int l = sc_listen(x, &(struct sc_listen){.port = x->port, .rcvbuf = 2048});
	struct sc_pair p;
	uint64_t taken;

	sc_need(x, l >= 0, "no listener: %s", strerror(-l));
	sc_pair_from(x, l, &p);
	sc_set(p.c, SOL_SOCKET, SO_SNDBUF, 2048);
	sc_set(p.c, SOL_SOCKET, SO_RCVBUF, 2048);
	sc_set(p.s, SOL_SOCKET, SO_SNDBUF, 2048);
	sc_see(x, "SO_SNDBUF", "%d", sc_option(p.c, SOL_SOCKET, SO_SNDBUF));
	sc_see(x, "SO_RCVBUF", "%d", sc_option(p.s, SOL_SOCKET, SO_RCVBUF));
	sc_stream(x, "up", p.c, p.s, x->full ? 200000 : 30000, 10000);
	sc_stream(x, "down", p.s, p.c, x->full ? 200000 : 30000, 10000);
	taken = sc_stuff(p.c, x->seed, 0, 1000, 8 << 20);
	sc_note(x, "taken unread", "%llu", (unsigned long long)taken);
	sc_see(x, "taken unread, less than 64 KiB", "%s", taken < 65536 ? "yes" : "no");
}

/* Writable only while little is unsent. */
static void unsent_low(const struct sc *x)
{
	struct sc_pair p;
	int unsent = 0;

	sc_pair(x, &p);
	sc_set(p.c, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
	sc_nonblocking(p.c, true);
	for (uint64_t at = 0, end = sc_now_ms() + 5000; sc_poll(p.c, POLLOUT, 200) && sc_now_ms() < end; at += 4096)
		sc_put(p.c, x->seed, at, 4096);
	ioctl(p.c, SIOCOUTQNSD, &unsent);
	sc_see(x, "unsent", "%s", unsent <= 16384 + 4096 ? "little" : "much");
	sc_see(x, "poll", "%s", sc_events(sc_poll(p.c, POLLOUT, 0)));
}

static void filters(const struct sc *x)
{
	struct sock_filter keep[] = {{BPF_RET | BPF_K, 0, 0, 0xffffffff}};
	struct sock_fprog program = {1, keep};
	struct sc_pair p;

	sc_pair(x, &p);
	sc_result(x, "SO_ATTACH_FILTER", setsockopt(p.s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	sc_see(x, "with it", "%s",
	       sc_put(p.c, x->seed, 0, 3000) && sc_take(p.s, x->seed, 0, 3000) ? "works" : "broken");
	sc_result(x, "SO_DETACH_FILTER", sc_set(p.s, SOL_SOCKET, SO_DETACH_FILTER, 0));
	sc_see(x, "without", "%s",
	       sc_put(p.c, x->seed, 0, 3000) && sc_take(p.s, x->seed, 0, 3000) ? "works" : "broken");
}

static const struct sc_case rows[] = {
	SC_CASE("options", "options set on both ends of a connection, and read back", set_options, SC_ALL),
	SC_CASE("facts", "what sockets say of themselves; TCP_ULP, TCP_CONGESTION", facts, SC_ALL),
	SC_CASE("cork", "TCP_CORK holds data back", cork, SC_ALL),
	SC_CASE("tcp-info", "TCP_INFO's counters and clocks", info, SC_ALL),
	SC_CASE("idle-clock", "a busy connection does not look idle in TCP_INFO", idle_clock, SC_ALL),
	SC_CASE("keepalive", "SO_KEEPALIVE's probes are answered", keep_alive, SC_ALL, .full_only = true),
	SC_CASE("small-buffers", "the smallest buffers", small_buffers, SC_ALL),
	SC_CASE("notsent-lowat", "TCP_NOTSENT_LOWAT", unsent_low, SC_ALL),
	SC_CASE("filter", "SO_ATTACH_FILTER on a connection", filters, SC_ALL),
};

const struct sc_group sc_options = SC_GROUP(rows);
