/* SPDX-License-Identifier: Apache-2.0 */
/* What recv() and its flags and options give. */
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <linux/tcp.h>

/* A result of recv() of stream bytes: how many, and whether they are right. */
static void see_bytes(const struct sc *x, const char *key, ssize_t n, const char *buf, uint64_t at)
{
	sc_result(x, key, n);
	if (n > 0)
		sc_must(x, sc_wrong(x->seed, at, buf, (size_t)n) < 0, "%s: wrong bytes", key);
}

static void peek(const struct sc *x)
{
	struct sc_pair p;
	char buf[5000];

	sc_pair(x, &p);
	sc_result(x, "nothing there", recv(p.s, buf, 10, MSG_PEEK | MSG_DONTWAIT));
	for (unsigned i = 0; i < 5; i++) /* in pieces: a peek sees across them */
		sc_put(p.c, x->seed, i * 700, 700);
	sc_settle(p.s, 3500);
	see_bytes(x, "some", recv(p.s, buf, 1000, MSG_PEEK), buf, 0);
	see_bytes(x, "the same again", recv(p.s, buf, 1000, MSG_PEEK), buf, 0);
	see_bytes(x, "more than there is", recv(p.s, buf, sizeof(buf), MSG_PEEK), buf, 0);
	see_bytes(x, "read", recv(p.s, buf, 900, 0), buf, 0);
	see_bytes(x, "after a read", recv(p.s, buf, sizeof(buf), MSG_PEEK), buf, 900);
	see_bytes(x, "one byte", recv(p.s, buf, 1, MSG_PEEK), buf, 900);
	see_bytes(x, "read the rest", recv(p.s, buf, sizeof(buf), 0), buf, 900);
	sc_result(x, "nothing left", recv(p.s, buf, 10, MSG_PEEK | MSG_DONTWAIT));
	if (x->via == SC_BODY)
		return;
	shutdown(p.c, SHUT_WR);
	sc_until(p.s, POLLRDHUP);
	sc_result(x, "at the end", recv(p.s, buf, 10, MSG_PEEK | MSG_DONTWAIT));
}

static void peek_offset(const struct sc *x)
{
	struct sc_pair p;
	char buf[2000];

	sc_pair(x, &p);
	sc_see(x, "before", "%d", sc_option(p.s, SOL_SOCKET, SO_PEEK_OFF));
	sc_see(x, "SO_PEEK_OFF", "%s", sc_error_name(-sc_set(p.s, SOL_SOCKET, SO_PEEK_OFF, 0)));
	sc_put(p.c, x->seed, 0, 600);
	sc_put(p.c, x->seed, 600, 600);
	for (uint64_t end = sc_now_ms() + 3000; sc_now_ms() < end; sc_sleep_ms(2)) {
		int there = 0;

		ioctl(p.s, FIONREAD, &there);
		if (there >= 1200)
			break;
	}
	sc_sleep_ms(20);
	see_bytes(x, "first", recv(p.s, buf, 500, MSG_PEEK | MSG_DONTWAIT), buf, 0);
	see_bytes(x, "second", recv(p.s, buf, 500, MSG_PEEK | MSG_DONTWAIT), buf, 500);
	sc_see(x, "offset", "%d", sc_option(p.s, SOL_SOCKET, SO_PEEK_OFF));
	see_bytes(x, "read", recv(p.s, buf, 800, MSG_DONTWAIT), buf, 0);
	sc_see(x, "offset after a read", "%d", sc_option(p.s, SOL_SOCKET, SO_PEEK_OFF));
	see_bytes(x, "third", recv(p.s, buf, 500, MSG_PEEK | MSG_DONTWAIT), buf, 1000);
	sc_result(x, "beyond", recv(p.s, buf, 500, MSG_PEEK | MSG_DONTWAIT));
	sc_set(p.s, SOL_SOCKET, SO_PEEK_OFF, -1);
	see_bytes(x, "rest", recv(p.s, buf, 500, MSG_DONTWAIT), buf, 800);
}

static void wait_all(const struct sc *x)
{
	struct sc_call call = {.len = 5000, .flags = MSG_WAITALL};
	struct sc_pair p;

	sc_pair(x, &p);
	call.fd = p.s;
	sc_call_begin(&call);
	for (unsigned i = 0; i < 5; i++) {
		sc_sleep_ms(15);
		sc_put(p.c, x->seed, i * 1000, 1000);
	}
	sc_call_result(x, "in five pieces", &call, 5000);
	sc_must(x, call.result <= 0 || sc_wrong(x->seed, 0, call.buf, (size_t)call.result) < 0, "wrong bytes");
	if (call.result < 5000)
		return;
	call = (struct sc_call){.fd = p.s, .len = 1000, .flags = MSG_WAITALL | MSG_PEEK};
	sc_call_begin(&call);
	sc_sleep_ms(15);
	sc_put(p.c, x->seed, 5000, 500);
	sc_sleep_ms(15);
	sc_put(p.c, x->seed, 5500, 500);
	sc_call_result(x, "with MSG_PEEK", &call, 5000);
	sc_must(x, sc_take(p.s, x->seed, 5000, 1000), "wrong bytes after the peek");
	sc_timeouts(p.s, 300, 0);
	sc_put(p.c, x->seed, 6000, 400);
	call = (struct sc_call){.fd = p.s, .len = 1000, .flags = MSG_WAITALL};
	sc_call_begin(&call);
	sc_call_result(x, "until SO_RCVTIMEO", &call, 5000);
	if (x->via == SC_BODY)
		return;
	sc_timeouts(p.s, 0, 0);
	sc_put(p.c, x->seed, 6400, 300);
	shutdown(p.c, SHUT_WR);
	call = (struct sc_call){.fd = p.s, .len = 1000, .flags = MSG_WAITALL};
	sc_call_begin(&call);
	sc_call_result(x, "until the end", &call, 5000);
}

static void truncate_it(const struct sc *x)
{
	struct sc_pair p;
	char buf[1000];

	sc_pair(x, &p);
	sc_put(p.c, x->seed, 0, 1000);
	sc_settle(p.s, 1000);
	sc_result(x, "thrown away", recv(p.s, NULL, 300, MSG_TRUNC));
	see_bytes(x, "then", recv(p.s, buf, 200, 0), buf, 300);
	sc_result(x, "with a buffer", recv(p.s, buf, 100, MSG_TRUNC));
	sc_result(x, "more than there is", recv(p.s, NULL, 1000, MSG_TRUNC));
	sc_result(x, "nothing there", recv(p.s, NULL, 1000, MSG_TRUNC | MSG_DONTWAIT));
	sc_put(p.c, x->seed, 1000, 50);
	see_bytes(x, "afterwards", recv(p.s, buf, 100, 0), buf, 1000);
}

static void low_water(const struct sc *x)
{
	struct sc_call call = {.len = 3000};
	struct sc_pair p;
	char buf[2000];

	sc_pair(x, &p);
	sc_see(x, "SO_RCVLOWAT", "%s", sc_error_name(-sc_set(p.s, SOL_SOCKET, SO_RCVLOWAT, 1000)));
	sc_see(x, "read back", "%d", sc_option(p.s, SOL_SOCKET, SO_RCVLOWAT));
	sc_put(p.c, x->seed, 0, 999);
	sc_settle(p.s, 999);
	sc_see(x, "one less: poll", "%s", sc_events(sc_poll(p.s, POLLIN, 50)));
	see_bytes(x, "one less, not blocking", recv(p.s, buf, 100, MSG_DONTWAIT), buf, 0);
	sc_put(p.c, x->seed, 999, 101);
	sc_see(x, "there: poll", "%s", sc_events(sc_poll(p.s, POLLIN, 3000)));
	sc_must(x, sc_take(p.s, x->seed, 100, 1000), "wrong bytes");
	call.fd = p.s;
	sc_call_begin(&call);
	sc_sleep_ms(15);
	sc_put(p.c, x->seed, 1100, 600);
	sc_see(x, "recv with less than that", "%s", sc_call_end(&call, 60) ? "returns" : "waits");
	sc_put(p.c, x->seed, 1700, 600);
	sc_sleep_ms(30);
	sc_see(x, "recv with more", "%s", sc_call_end(&call, 3000) ? "returns" : "waits");
	sc_see(x, "it has", "%s", call.result >= 1000 ? "enough" : "too little");
}

static int inq(int fd, unsigned long request)
{
	int n = -1;

	return ioctl(fd, request, &n) < 0 ? -errno : n;
}

static void queued(const struct sc *x)
{
	uint64_t end = sc_now_ms() + 3000;
	struct sc_pair p;
	char buf[4000];

	sc_pair(x, &p);
	sc_see(x, "nothing there", "%d", inq(p.s, FIONREAD));
	sc_put(p.c, x->seed, 0, 1500);
	sc_put(p.c, x->seed, 1500, 1500);
	sc_settle(p.s, 3000);
	sc_see(x, "FIONREAD", "%d", inq(p.s, FIONREAD));
	sc_see(x, "SIOCINQ", "%d", inq(p.s, SIOCINQ));
	see_bytes(x, "read", recv(p.s, buf, 1000, 0), buf, 0);
	sc_see(x, "FIONREAD after a read", "%d", inq(p.s, FIONREAD));
	recv(p.s, buf, 2000, 0);
	sc_see(x, "FIONREAD with nothing left", "%d", inq(p.s, FIONREAD));
	while (inq(p.c, SIOCOUTQ) != 0 && sc_now_ms() < end)
		sc_sleep_ms(5);
	sc_see(x, "SIOCOUTQ", "%d", inq(p.c, SIOCOUTQ));
	sc_see(x, "SIOCOUTQNSD", "%d", inq(p.c, SIOCOUTQNSD));
	sc_see(x, "SIOCATMARK", "%d", inq(p.s, SIOCATMARK));
	if (x->via == SC_BODY)
		return;
	sc_put(p.c, x->seed, 3000, 10);
	shutdown(p.c, SHUT_WR);
	sc_until(p.s, POLLRDHUP);
	sc_see(x, "FIONREAD before the end", "%d", inq(p.s, FIONREAD));
	recv(p.s, buf, 10, 0);
	sc_see(x, "FIONREAD at the end", "%d", inq(p.s, FIONREAD));
}

static void timeouts(const struct sc *x)
{
	struct sc_pair p;
	uint64_t began;
	char buf[100];
	ssize_t n;

	sc_pair(x, &p);
	sc_timeouts(p.s, 60, 0);
	began = sc_now_ms();
	n = recv(p.s, buf, 10, 0);
	sc_result(x, "SO_RCVTIMEO", n);
	sc_must(x, sc_now_ms() - began >= 55, "recv came back after %llu ms of 60",
		(unsigned long long)(sc_now_ms() - began));
	sc_put(p.c, x->seed, 0, 10);
	see_bytes(x, "with data", recv(p.s, buf, 100, 0), buf, 0);
	sc_stuff(p.c, x->seed, 10, 64 << 10, 64 << 20);
	sc_timeouts(p.c, 0, 60);
	began = sc_now_ms();
	do {
		n = send(p.c, buf, 1, MSG_NOSIGNAL);
	} while (n > 0 && sc_now_ms() - began < 5000);
	sc_result(x, "SO_SNDTIMEO", n);
}

static void message(const struct sc *x)
{
	struct sockaddr_storage from;
	char buf[100], control[200];
	struct iovec iov[2] = {{buf, 30}, {buf + 30, 70}};
	struct msghdr msg = {.msg_name = &from,
			     .msg_namelen = sizeof(from),
			     .msg_iov = iov,
			     .msg_iovlen = 2,
			     .msg_control = control,
			     .msg_controllen = sizeof(control),
			     .msg_flags = -1};
	socklen_t len = sizeof(from);
	struct sc_pair p;

	sc_pair(x, &p);
	sc_put(p.c, x->seed, 0, 80);
	sc_settle(p.s, 80);
	see_bytes(x, "recvmsg", recvmsg(p.s, &msg, 0), buf, 0);
	sc_see(x, "msg_namelen", "%u", msg.msg_namelen);
	sc_see(x, "msg_controllen", "%zu", msg.msg_controllen);
	sc_see(x, "msg_flags", "%#x", msg.msg_flags & ~MSG_CMSG_CLOEXEC);
	sc_put(p.c, x->seed, 80, 20);
	sc_settle(p.s, 20);
	see_bytes(x, "recvfrom", recvfrom(p.s, buf, 100, 0, (struct sockaddr *)&from, &len), buf, 80);
	sc_see(x, "its address", "%u bytes", len);
	len = sc_address(x, AF_INET, 9, &from);
	sc_result(x, "sendto with an address", sendto(p.c, buf, 20, MSG_NOSIGNAL, (struct sockaddr *)&from, len));
	sc_must(x, sc_take(p.s, x->seed, 80, 20), "sendto's bytes are wrong");
	sc_result(x, "error queue", recv(p.s, buf, 10, MSG_ERRQUEUE));
}

static volatile sig_atomic_t urged;

static void on_urg(int sig)
{
	(void)sig;
	urged++;
}

static void urgent(const struct sc *x)
{
	struct sc_pair p;
	char buf[20] = "";

	signal(SIGURG, on_urg);
	sc_pair(x, &p);
	fcntl(p.s, F_SETOWN, getpid());
	sc_result(x, "none there", recv(p.s, buf, 1, MSG_OOB | MSG_DONTWAIT));
	send(p.c, "abc", 3, 0);
	sc_result(x, "send", send(p.c, "d", 1, MSG_OOB));
	sc_see(x, "poll", "%s", sc_events(sc_until(p.s, POLLPRI)));
	sc_see(x, "SIGURG", "%s", urged ? "yes" : "no");
	sc_see(x, "at the mark", "%d", inq(p.s, SIOCATMARK));
	sc_result(x, "before the mark", recv(p.s, buf, 10, MSG_DONTWAIT));
	sc_see(x, "then at the mark", "%d", inq(p.s, SIOCATMARK));
	buf[0] = '-';
	sc_result(x, "the urgent byte", recv(p.s, buf, 1, MSG_OOB | MSG_DONTWAIT));
	sc_see(x, "is", "%c", buf[0]);
	send(p.c, "ef", 2, 0);
	sc_poll(p.s, POLLIN, 3000);
	sc_sleep_ms(10);
	memset(buf, 0, sizeof(buf));
	sc_result(x, "after the mark", recv(p.s, buf, 10, MSG_DONTWAIT));
	sc_see(x, "are", "%s", buf);
	sc_set(p.s, SOL_SOCKET, SO_OOBINLINE, 1);
	send(p.c, "gh", 2, MSG_OOB);
	send(p.c, "i", 1, 0);
	sc_sleep_ms(30);
	memset(buf, 0, sizeof(buf));
	for (ssize_t n = 0, r; n < 3 && sc_poll(p.s, POLLIN, 1000); n += r) {
		r = recv(p.s, buf + n, 10, MSG_DONTWAIT);
		if (r <= 0)
			break;
	}
	sc_see(x, "in line", "%s", buf);
}

/* Bytes with what came beside them. Returns how many control messages of that kind. */
static int control_of(int fd, int level, int type, int flags, int *value)
{
	char buf[100], control[500];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int found = 0;

	if (recvmsg(fd, &msg, flags) < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == level && c->cmsg_type == type) {
			found++;
			if (value)
				memcpy(value, CMSG_DATA(c), sizeof(*value));
		}
	return found;
}

static void timestamps(const struct sc *x)
{
	int want = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_TX_SCHED |
		   SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
	uint64_t end = sc_now_ms() + 2000;
	int told = 0;
	struct sc_pair p;

	sc_pair(x, &p);
	sc_see(x, "SO_TIMESTAMPNS", "%s", sc_error_name(-sc_set(p.s, SOL_SOCKET, SO_TIMESTAMPNS, 1)));
	sc_sleep_ms(5);
	sc_put(p.c, x->seed, 0, 50);
	sc_settle(p.s, 50);
	sc_see(x, "with received bytes", "%d", control_of(p.s, SOL_SOCKET, SCM_TIMESTAMPNS, 0, NULL));
	sc_see(x, "SO_TIMESTAMPING", "%s", sc_error_name(-sc_set(p.c, SOL_SOCKET, SO_TIMESTAMPING, want)));
	sc_put(p.c, x->seed, 50, 50);
	while (told < 3 && sc_now_ms() < end) {
		int n = control_of(p.c, SOL_SOCKET, SCM_TIMESTAMPING, MSG_ERRQUEUE | MSG_DONTWAIT, NULL);

		if (n > 0)
			told += n;
		else
			sc_sleep_ms(5);
	}
	sc_see(x, "for sent bytes", "%d", told);
}

static void inq_message(const struct sc *x)
{
	int left = -1;
	struct sc_pair p;

	sc_pair(x, &p);
	sc_see(x, "TCP_INQ", "%s", sc_error_name(-sc_set(p.s, IPPROTO_TCP, TCP_INQ, 1)));
	sc_put(p.c, x->seed, 0, 300);
	sc_settle(p.s, 300);
	sc_see(x, "messages", "%d", control_of(p.s, IPPROTO_TCP, TCP_CM_INQ, 0, &left));
	sc_see(x, "left", "%d", left);
}

static const struct sc_case rows[] = {
	SC_CASE("peek", "MSG_PEEK, across pieces and after reads", peek, SC_ALL),
	SC_CASE("peek-off", "SO_PEEK_OFF", peek_offset, SC_ALL),
	SC_CASE("waitall", "MSG_WAITALL: in pieces, with MSG_PEEK, until a timeout, until the end", wait_all, SC_ALL),
	SC_CASE("trunc", "MSG_TRUNC throws bytes away", truncate_it, SC_ALL),
	SC_CASE("rcvlowat", "SO_RCVLOWAT, for poll and recv", low_water, SC_ALL),
	SC_CASE("queued", "FIONREAD, SIOCINQ, SIOCOUTQ", queued, SC_ALL),
	SC_CASE("timeouts", "SO_RCVTIMEO and SO_SNDTIMEO", timeouts, SC_ALL),
	SC_CASE("message", "recvmsg, recvfrom and sendto on a stream", message, SC_ALL),
	SC_CASE("urgent", "urgent data: MSG_OOB, SIGURG, SIOCATMARK, SO_OOBINLINE", urgent, SC_ALL),
	SC_CASE("timestamps", "SO_TIMESTAMPNS, SO_TIMESTAMPING", timestamps, SC_ALL),
	SC_CASE("tcp-inq", "TCP_INQ", inq_message, SC_ALL),
};

const struct sc_group sc_recv = SC_GROUP(rows);
