/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pods of the splice tier's tests do with an open connection. Bytes say their place in the stream, so that one
 * that is lost, doubled or overtaken is seen where it happens.
 */
#ifndef MESH_TEST_SPLICE_H
#define MESH_TEST_SPLICE_H

#include "traffic.h"

#include <netinet/tcp.h>

static inline char stream_byte(uint64_t at)
{
	return (char)((at * 2654435761u) >> 13 ^ at);
}

/* One direction of a stream: how much, in pieces of which sizes. */
struct stream {
	int fd;
	uint64_t from, bytes;
	uint32_t min, max; /* of each piece */
	uint32_t pause_us; /* between pieces */
	uint32_t seed;
};

struct streamed {
	uint64_t bytes;
	int error; /* errno; -1: a byte is wrong; 0: all is well, or the end came */
};

static inline uint32_t piece(struct stream *s)
{
	s->seed = s->seed * 1103515245 + 12345;
	return s->min + (s->seed >> 8) % (s->max - s->min + 1);
}

static inline void send_stream(struct stream s, struct streamed *out)
{
	static __thread char buf[1 << 20];

	while (out->bytes < s.bytes) {
		size_t n = piece(&s), left = (size_t)(s.bytes - out->bytes);

		n = n < left ? n : left;
		for (size_t i = 0; i < n; i++)
			buf[i] = stream_byte(s.from + out->bytes + i);
		for (size_t done = 0; done < n;) {
			ssize_t k = send(s.fd, buf + done, n - done, MSG_NOSIGNAL);

			if (k < 0) {
				out->error = errno;
				return;
			}
			done += (size_t)k;
			out->bytes += (uint64_t)k;
		}
		if (s.pause_us)
			usleep(s.pause_us);
	}
}

static inline void recv_stream(struct stream s, struct streamed *out)
{
	static __thread char buf[1 << 20];

	while (out->bytes < s.bytes) {
		size_t n = piece(&s), left = (size_t)(s.bytes - out->bytes);
		struct pollfd p = {.fd = s.fd, .events = POLLIN};
		ssize_t k;

		/* A call that blocks in recv() beside one that blocks in send() may fail with EAGAIN: see the probes.
		 */
		poll(&p, 1, 5000);
		k = recv(s.fd, buf, n < left ? n : left, MSG_DONTWAIT);
		if (k <= 0) {
			out->error = k < 0 ? errno : 0;
			return;
		}
		for (ssize_t i = 0; i < k; i++)
			if (buf[i] != stream_byte(s.from + out->bytes + (uint64_t)i)) {
				out->bytes += (uint64_t)i;
				out->error = -1;
				return;
			}
		out->bytes += (uint64_t)k;
		if (s.pause_us)
			usleep(s.pause_us);
	}
}

static inline void do_send(const void *in, void *out)
{
	send_stream(*(const struct stream *)in, out);
}

static inline void do_recv(const void *in, void *out)
{
	recv_stream(*(const struct stream *)in, out);
}

/* On a thread of the pod, to be waited for. */
struct background {
	pthread_t thread;
	struct stream stream;
	struct streamed result;
	int is_send;
};

static struct background backgrounds[64]; /* each pod's process has its own */

static inline void *background_main(void *arg)
{
	struct background *b = arg;

	if (b->is_send)
		send_stream(b->stream, &b->result);
	else
		recv_stream(b->stream, &b->result);
	return NULL;
}

static inline int background_start(const struct stream *s, int is_send)
{
	for (int i = 0; i < 64; i++) {
		struct background *b = &backgrounds[i];

		if (b->thread)
			continue;
		*b = (struct background){.stream = *s, .is_send = is_send};
		return pthread_create(&b->thread, NULL, background_main, b) == 0 ? i : -1;
	}
	return -1;
}

static inline void do_send_later(const void *in, void *out)
{
	*(int *)out = background_start(in, 1);
}

static inline void do_recv_later(const void *in, void *out)
{
	*(int *)out = background_start(in, 0);
}

static inline void do_wait(const void *in, void *out)
{
	struct background *b = &backgrounds[*(const int *)in];

	pthread_join(b->thread, NULL);
	memcpy(out, &b->result, sizeof(b->result));
	b->thread = 0;
}

static inline struct streamed pod_stream(struct pod *p, void (*fn)(const void *, void *), struct stream s)
{
	struct streamed r;

	pod_call(p, fn, &s, sizeof(s), &r, sizeof(r));
	return r;
}

static inline int pod_later(struct pod *p, void (*fn)(const void *, void *), struct stream s)
{
	int job;

	pod_call(p, fn, &s, sizeof(s), &job, sizeof(job));
	return job;
}

static inline struct streamed pod_wait(struct pod *p, int job)
{
	struct streamed r;

	pod_call(p, do_wait, &job, sizeof(job), &r, sizeof(r));
	return r;
}

/* A listener of the pod's, and what it accepts. */
static inline void do_listen(const void *in, void *out)
{
	const struct mesh_addr *at = in;
	struct sockaddr_storage ss;
	socklen_t len = mesh_addr_to_sock(at, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	*(int *)out = bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 128) < 0 ? -errno : fd;
}

static inline void do_accept(const void *in, void *out)
{
	struct pollfd p = {.fd = *(const int *)in, .events = POLLIN};
	struct timeval patience = {.tv_sec = 5};
	int fd = poll(&p, 1, 3000) > 0 ? accept(p.fd, NULL, NULL) : -1, one = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*(int *)out = fd;
}

static inline int pod_fd(struct pod *p, void (*fn)(const void *, void *), const void *in, size_t len)
{
	int fd;

	pod_call(p, fn, in, len, &fd, sizeof(fd));
	return fd;
}

/* A number there and back count times, each by its own bytes: the exchange that the tier is for. */
struct pingpong {
	int fd, count;
	uint32_t request, response;
	int is_server;
};

static inline int all_of(int fd, char *buf, size_t len, int sending)
{
	for (size_t done = 0; done < len;) {
		ssize_t n =
			sending ? send(fd, buf + done, len - done, MSG_NOSIGNAL) : recv(fd, buf + done, len - done, 0);

		if (n <= 0)
			return 0;
		done += (size_t)n;
	}
	return 1;
}

/* Returns how many went well. */
static inline int pingpong_run(const struct pingpong *p)
{
	static __thread char buf[65536], want[65536];
	uint32_t sizes[2] = {p->request, p->response};

	for (int i = 0; i < p->count; i++)
		for (int turn = 0; turn < 2; turn++) {
			int sending = turn == p->is_server;
			uint32_t len = sizes[turn];

			for (uint32_t k = 0; k < len; k++)
				want[k] = stream_byte((uint64_t)i * 31 + k + (uint64_t)turn);
			if (sending)
				memcpy(buf, want, len);
			if (!all_of(p->fd, buf, len, sending) || (!sending && memcmp(buf, want, len) != 0))
				return i;
		}
	return p->count;
}

static struct pingpong pingpong_job;
static pthread_t pingpong_thread;
static int pingpong_result;

static inline void *pingpong_main(void *arg)
{
	(void)arg;
	pingpong_result = pingpong_run(&pingpong_job);
	return NULL;
}

static inline void do_pingpong_later(const void *in, void *out)
{
	(void)out;
	pingpong_job = *(const struct pingpong *)in;
	pthread_create(&pingpong_thread, NULL, pingpong_main, NULL);
}

static inline void do_pingpong_wait(const void *in, void *out)
{
	(void)in;
	pthread_join(pingpong_thread, NULL);
	*(int *)out = pingpong_result;
}

static inline void do_pingpong(const void *in, void *out)
{
	*(int *)out = pingpong_run(in);
}

/* shutdown, reset, and what the other end sees of it. */
static inline void do_shut(const void *in, void *out)
{
	*(int *)out = shutdown(*(const int *)in, SHUT_WR) < 0 ? errno : 0;
}

static inline void do_reset(const void *in, void *out)
{
	struct linger now = {.l_onoff = 1};
	int fd = *(const int *)in;

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	*(int *)out = close(fd) < 0 ? errno : 0;
}

/* A read of what must be the end (0), an error (errno), or a byte (-1). */
static inline void do_end(const void *in, void *out)
{
	char byte;
	ssize_t n = recv(*(const int *)in, &byte, 1, 0);

	*(int *)out = n < 0 ? errno : n > 0 ? -1 : 0;
}

/* How much a sender that does not block gets rid of, while nobody reads. */
static inline void do_fill(const void *in, void *out)
{
	static char buf[8192];
	uint64_t *sent = out;
	ssize_t n;

	while (*sent < 256ULL << 20 && (n = send(*(const int *)in, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		*sent += (uint64_t)n;
}

static inline uint64_t pod_fill(struct pod *p, int fd)
{
	uint64_t sent;

	pod_call(p, do_fill, &fd, sizeof(fd), &sent, sizeof(sent));
	return sent;
}

/* ---- what the tier says ---- */

static inline long splice_number(struct mesh_dp *dp, const char *key)
{
	json_t *status = mesh_dp_splice_status(dp);
	long n = (long)json_integer_value(json_object_get(status, key));

	json_decref(status);
	return n;
}

static inline long splice_way(struct mesh_dp *dp, const char *way)
{
	json_t *status = mesh_dp_splice_status(dp), *row = status_step(json_object_get(status, "ways"), way);
	long n = row ? (long)json_integer_value(json_object_get(row, "messages")) : -1;

	json_decref(status);
	return n;
}

/* Until the number is that, for three seconds at most. */
static inline int splice_becomes(struct mesh_dp *dp, const char *key, long want)
{
	for (int i = 0; i < 300; i++) {
		if (splice_number(dp, key) == want)
			return 1;
		usleep(10000);
	}
	printf("  %s is %ld, not %ld\n", key, splice_number(dp, key), want);
	return 0;
}

#endif
