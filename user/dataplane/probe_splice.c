/* SPDX-License-Identifier: Apache-2.0 */
/* The splice tier's probes: a pair of loopback connections each, one end redirected to the other by the real program.
 */
#include "dataplane/probe_splice.h"

#include "core/loop.h"
#include "dataplane/probe_pair.h"
#include "dataplane/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the probes: each has a fresh pair that is spliced ---- */

static void probe_backpressure(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	enum { BOUND = MESH_SPLICE_CREDIT + MESH_SPLICE_MESSAGE };
	size_t spliced = flood(p->a), tcp = 0;
	struct pair plain;

	if (pair_open(lab, &plain) == 0) {
		tcp = flood(plain.a);
		pair_close(&plain);
	}
	/* What TCP takes differs from time to time by what it buffers itself. */
	SAW(row, tcp && spliced <= 2 * tcp + BOUND, "a reader that does not read was sent %zu bytes; over TCP %zu",
	    spliced, tcp);
}

/* Every byte says its place: after bytes by TCP that nobody has read, small ones, and so on. */
static void probe_order(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	static const size_t sizes[] = {SMALL, TCP_SIZE, SMALL, SMALL, TCP_SIZE, 1, TCP_SIZE, SMALL, 700, 700, 700, 1};
	static char out[TCP_SIZE], in[TCP_SIZE];
	unsigned char seed = 0, expect = 0;
	size_t sent = 0, got = 0;

	(void)lab;
	for (int round = 0; round < 8; round++) {
		for (size_t i = 0; i < MESH_ARRAY_SIZE(sizes); i++) {
			for (size_t k = 0; k < sizes[i]; k++)
				out[k] = (char)(seed++ * 7);
			if (send(p->a, out, sizes[i], 0) == (ssize_t)sizes[i])
				sent += sizes[i];
		}
		while (got < sent) {
			ssize_t n = recv(p->b, in, sizeof(in), 0);

			for (ssize_t k = 0; k < n; k++)
				if (in[k] != (char)(expect++ * 7)) {
					SAW(row, false, "byte %zu is not the one that was sent", got + (size_t)k);
					return;
				}
			if (n <= 0)
				break;
			got += (size_t)n;
		}
	}
	SAW(row, got == sent, "%zu bytes of %zu, in order", got, sent);
}

static void probe_fionread(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	static char buf[TCP_SIZE];
	int redirected = -1, tcp = -1;

	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	ioctl(p->b, SIOCINQ, &redirected);
	read_all(p->b, buf, SMALL);
	if (send(p->a, buf, TCP_SIZE, 0) != TCP_SIZE)
		return;
	for (int i = 0; i < PATIENCE_MS && tcp < TCP_SIZE; i++) {
		ioctl(p->b, SIOCINQ, &tcp);
		usleep(tcp < TCP_SIZE ? 1000 : 0);
	}
	SAW(row, redirected == SMALL && tcp == TCP_SIZE, "%d of %d redirected bytes, %d of %d by TCP", redirected,
	    SMALL, tcp, TCP_SIZE);
}

static void probe_peek(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	char first[SMALL], then[SMALL];

	if (!send_small(lab, p))
		PROBE_WAY(row);
	else
		SAW(row,
		    recv(p->b, first, SMALL, MSG_PEEK) == SMALL && recv(p->b, then, SMALL, 0) == SMALL &&
			    memcmp(first, then, SMALL) == 0,
		    "peeked and read");
}

/* With less there than asked for, the call waits for its time. */
static void probe_waitall(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	struct timeval wait = {.tv_usec = 1000 * PATIENCE_MS};
	char buf[2 * SMALL];
	uint64_t begin, ms;
	ssize_t n;

	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	setsockopt(p->b, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	begin = mesh_now_ns();
	n = recv(p->b, buf, sizeof(buf), MSG_WAITALL);
	ms = (mesh_now_ns() - begin) / MESH_MS(1);
	SAW(row, n == SMALL && ms >= PATIENCE_MS / 2, "%zd of %d bytes after %d ms of %d", n, 2 * SMALL, (int)ms,
	    PATIENCE_MS);
}

static void probe_lowat(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	int low = 2 * SMALL;
	bool before, after;

	setsockopt(p->b, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	before = send(p->a, "xx", 2, 0) == 2 && !is_readable(p->b, 2);
	low = 1;
	setsockopt(p->b, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	if (!read_all(p->b, (char[2]){0}, 2) || !pair_warm(lab, p) || !send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	low = 2 * SMALL;
	setsockopt(p->b, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	after = !is_readable(p->b, 2);
	SAW(row, before && after, "set before the bytes came it is %s, set after them %s", before ? "kept" : "not kept",
	    after ? "kept" : "not kept");
}

static void probe_trunc(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	char buf[SMALL];
	ssize_t n;

	memset(buf, 0x55, sizeof(buf));
	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	n = recv(p->b, buf, sizeof(buf), MSG_TRUNC);
	SAW(row, n == SMALL && buf[0] == 0x55 && buf[SMALL - 1] == 0x55, "%zd bytes %s", n,
	    buf[SMALL - 1] == 0x55 ? "discarded" : "copied all the same");
}

static void probe_splice(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	int fds[2];
	ssize_t n;

	if (!send_small(lab, p) || pipe2(fds, O_CLOEXEC) < 0) {
		PROBE_WAY(row);
		return;
	}
	n = splice(p->b, NULL, fds[1], NULL, 2 * SMALL, SPLICE_F_NONBLOCK);
	SAW(row, n == SMALL, "%s", n == SMALL ? "all bytes" : n < 0 ? strerror(errno) : "not all bytes");
	close(fds[0]);
	close(fds[1]);
}

static uint64_t received(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	return info.tcpi_bytes_received;
}

static void probe_tcp_info(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	uint64_t before = received(p->b), seen;

	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	seen = received(p->b) - before;
	SAW(row, seen == SMALL, "%d of %d redirected bytes are counted", (int)seen, SMALL);
}

static void probe_urgent(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	struct pollfd urgent = {.fd = p->b, .events = POLLPRI};
	char byte = 0;

	if (!send_small(lab, p) || send(p->a, "!", 1, MSG_OOB) != 1) {
		SAW(row, false, "sending: %s", strerror(errno));
		return;
	}
	SAW(row,
	    poll(&urgent, 1, PATIENCE_MS) > 0 && urgent.revents & POLLPRI &&
		    recv(p->b, &byte, 1, MSG_OOB | MSG_DONTWAIT) == 1 && byte == '!',
	    "%s", urgent.revents & POLLPRI ? "received as such" : "the byte came among the others");
}

static void probe_unread_close(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	char byte;
	ssize_t n;

	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	mesh_cleanup_fd(&p->b);
	n = recv(p->a, &byte, 1, 0);
	SAW(row, n < 0 && errno == ECONNRESET, "the sender gets %s",
	    n == 0  ? "end of file"
	    : n < 0 ? strerror(errno)
		    : "a byte");
}

static void probe_half_close(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	char buf[SMALL + 1];

	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	shutdown(p->a, SHUT_WR);
	SAW(row,
	    read_all(p->b, buf, SMALL) && recv(p->b, buf, 1, 0) == 0 && send(p->b, "x", 1, MSG_NOSIGNAL) == 1 &&
		    recv(p->a, buf, 1, 0) == 1,
	    "all bytes, then the end, and the other direction goes on");
}

/* The receiver is taken out of the map behind the program's back. */
static void probe_failed(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	char buf[SMALL] = {0};
	ssize_t n;

	bpf_map_delete_elem(bpf_map__fd(lab->obj->maps.splice_socks), &p->cb);
	n = send(p->a, buf, SMALL, MSG_NOSIGNAL);
	SAW(row, n == SMALL && read_all(p->b, buf, SMALL), "%s", n == SMALL ? "it went by TCP" : strerror(errno));
}

static void probe_edge(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	int ep = epoll_create1(EPOLL_CLOEXEC), edges = 0;
	char buf[SMALL];

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, p->b, &e) < 0) {
		SAW(row, false, "%s", strerror(errno));
		mesh_cleanup_fd(&ep);
		return;
	}
	for (int i = 0; i < 3; i++)
		if (send_small(lab, p) && epoll_wait(ep, &e, 1, PATIENCE_MS) == 1 && read_all(p->b, buf, SMALL) &&
		    epoll_wait(ep, &e, 1, 0) == 0)
			edges++;
	close(ep);
	SAW(row, edges == 3, "%d of 3 edges", edges);
}

/* By the agent's own order, while bytes are unread. */
static void probe_leave(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	struct mesh_splice_gen g = {.leave = bpf_program__fd(lab->obj->progs.splice_leave)};
	char buf[2 * SMALL] = {0};
	int early, late;

	g.maps[MESH_SPLICE_SOCKS] = bpf_map__fd(lab->obj->maps.splice_socks);
	g.maps[MESH_SPLICE_FLOW] = bpf_map__fd(lab->obj->maps.splice_flow);
	if (!send_small(lab, p)) {
		PROBE_WAY(row);
		return;
	}
	mesh_splice_ask(&g, p->ca, MESH_SPLICE_STEP_PASS, NULL);
	mesh_dp_grace_period();
	mesh_splice_ask(&g, p->ca, MESH_SPLICE_STEP_QUIET, NULL);
	early = mesh_splice_ask(&g, p->ca, MESH_SPLICE_STEP_CHECK, NULL);
	if (send(p->a, buf, SMALL, 0) != SMALL || !read_all(p->b, buf, SMALL)) {
		SAW(row, false, "bytes are missing");
		return;
	}
	late = mesh_splice_ask(&g, p->ca, MESH_SPLICE_STEP_CHECK, NULL);
	if (late == 1)
		mesh_splice_remove(&g, p->ca, p->cb);
	SAW(row,
	    early == 0 && late == 1 && read_all(p->b, buf, SMALL) && send(p->a, buf, SMALL, 0) == SMALL &&
		    read_all(p->b, buf, SMALL),
	    "%s",
	    early       ? "it would have left bytes behind"
	    : late == 1 ? "no byte is lost"
			: "it cannot leave");
}

static void probe_cork(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	int one = 1;

	setsockopt(p->a, IPPROTO_TCP, TCP_CORK, &one, sizeof(one));
	send_small(lab, p);
	SAW(row, !is_readable(p->b, 2), "%s", is_readable(p->b, 0) ? "they are sent at once" : "they wait");
}

static const struct {
	const char *name, *what;
	void (*fn)(const struct lab *lab, struct pair *p, struct mesh_splice_row *row);
} probes[] = {
	{"order", "bytes arrive in the order in which they were sent", probe_order},
	{"backpressure", "a sender waits for a reader that does not read", probe_backpressure},
	{"failed redirect", "a redirect that fails is no error of send()", probe_failed},
	{"leaving", "a flow can be taken out of the tier under traffic", probe_leave},
	{"half-close", "shutdown() ends one direction, after all its bytes", probe_half_close},
	{"edge-triggered epoll", "each arrival is an edge", probe_edge},
	{"MSG_PEEK", "bytes peeked stay", probe_peek},
	{"FIONREAD", "says how many bytes can be read", probe_fionread},
	{"MSG_WAITALL", "waits for all that was asked for", probe_waitall},
	{"SO_RCVLOWAT", "less than that is not readable", probe_lowat},
	{"MSG_TRUNC", "discards without copying", probe_trunc},
	{"SO_PEEK_OFF", "peeks from there", mesh_probe_peek_off},
	{"recv() of nothing", "says whether anything is there", mesh_probe_nothing},
	{"two threads", "a recv() that blocks is not woken by what another thread's send() waits for",
	 mesh_probe_two_threads},
	{"reset", "a recv() that waits learns of it", mesh_probe_reset},
	{"TCP_CORK", "bytes wait until they fill a packet", probe_cork},
	{"splice(2)", "reads from the socket into a pipe", probe_splice},
	{"TCP_INFO", "counts the bytes", probe_tcp_info},
	{"timestamps", "come with the bytes, and so does TCP_INQ", mesh_probe_timestamps},
	{"MSG_ZEROCOPY", "a completion comes for each send", mesh_probe_zerocopy},
	{"urgent data", "MSG_OOB is received out of band", probe_urgent},
	{"close with unread data", "resets the connection", probe_unread_close},
	{"memory pressure", "a receiver without memory does not fail its sender", mesh_probe_memory},
};

_Static_assert(MESH_ARRAY_SIZE(probes) <= MESH_SPLICE_PROBES_MAX, "room for all");

static int lab_open(struct lab *lab, const char **step)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	socklen_t len = sizeof(lab->at);

	*step = "a network namespace";
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	*step = "a listener on its loopback";
	lab->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	lab->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (lab->listener < 0 || ioctl(lab->listener, SIOCSIFFLAGS, &lo) < 0 ||
	    bind(lab->listener, (struct sockaddr *)&lab->at, sizeof(lab->at)) < 0 || listen(lab->listener, 8) < 0 ||
	    getsockname(lab->listener, (struct sockaddr *)&lab->at, &len) < 0)
		return -errno;
	*step = "the programs";
	lab->obj = mesh_splice_open(NULL, -1, NULL);
	if (!lab->obj || splice_bpf__load(lab->obj) < 0 ||
	    bpf_prog_attach(bpf_program__fd(lab->obj->progs.splice_msg), bpf_map__fd(lab->obj->maps.splice_socks),
			    BPF_SK_MSG_VERDICT, 0) < 0)
		return -errno;
	return 0;
}

static void lab_close(struct lab *lab)
{
	splice_bpf__destroy(lab->obj);
	mesh_cleanup_fd(&lab->listener);
}

/* ---- what a blocked reader looks like ---- */

static uint64_t look_at_reader(const struct lab *lab, struct pair *p)
{
	struct mesh_splice_gen g = {.leave = bpf_program__fd(lab->obj->progs.splice_leave)};
	struct blocked b = {.fd = p->b};
	uint64_t fn = 0;
	pthread_t t;

	if (send(p->b, "x", 1, 0) != 1 || !read_all(p->a, (char[1]){0}, 1) || !mesh_probe_block(&b, &t))
		return 0;
	for (int i = 0; i < WARM_TRIES && !fn; i++) {
		usleep(1000);
		mesh_splice_ask(&g, p->cb, MESH_SPLICE_STEP_READER, &fn);
	}
	if (send(p->a, "x", 1, 0) != 1)
		fn = 0;
	pthread_join(t, NULL);
	return fn;
}

static void *learn(void *arg)
{
	struct lab lab = {.listener = -1};
	struct pair p = {.a = -1, .b = -1};
	const char *step;

	if (lab_open(&lab, &step) == 0 && pair_in_map(&lab, &p) == 0)
		*(uint64_t *)arg = look_at_reader(&lab, &p);
	pair_close(&p);
	lab_close(&lab);
	return NULL;
}

uint64_t mesh_splice_learn_reader(void)
{
	uint64_t fn = 0;
	pthread_t t;

	if (pthread_create(&t, NULL, learn, &fn) == 0)
		pthread_join(t, NULL);
	return fn;
}

struct job {
	struct mesh_splice_found *found;
	bool until_first;
};

static void run_all(const struct lab *lab, const struct job *job)
{
	struct mesh_splice_found *f = job->found;

	f->all = true;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(probes) && (f->all || !job->until_first); i++) {
		struct mesh_splice_row *row = &f->rows[f->count++];
		struct pair p;
		int r;

		row->name = probes[i].name;
		row->what = probes[i].what;
		r = pair_spliced(lab, &p);
		if (r < 0) {
			SAW(row, false, "no pair of sockets: %s", strerror(-r));
		} else {
			SAW(row, false, "bytes are missing");
			probes[i].fn(lab, &p, row);
			pair_close(&p);
		}
		f->all &= row->same;
	}
}

static void *run(void *arg)
{
	struct job *job = arg;
	struct lab lab = {.listener = -1};
	const char *step;
	int r;

	mesh_splice_find_reader();
	r = lab_open(&lab, &step);

	if (r < 0)
		snprintf(job->found->trouble, sizeof(job->found->trouble), "%s: %s", step, strerror(-r));
	else
		run_all(&lab, job);
	lab_close(&lab);
	return NULL;
}

void mesh_splice_probe(struct mesh_splice_found *ret, bool until_first)
{
	struct job job = {.found = ret, .until_first = until_first};
	pthread_t t;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = pthread_create(&t, NULL, run, &job); /* a namespace of its own, which goes with the thread */
	if (r == 0)
		pthread_join(t, NULL);
	else
		snprintf(ret->trouble, sizeof(ret->trouble), "a thread: %s", strerror(r));
}
