/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of bytes that follow from a seed: what is lost, doubled or out of order shows at its first byte. */
#include "sock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BLOCK = 64 << 10, PATIENCE_MS = 30000 };

static uint64_t mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t sc_random(uint64_t *state)
{
	return mix(++*state);
}

size_t sc_upto(uint64_t *state, size_t most)
{
	return sc_random(state) % most + 1;
}

void sc_fill(uint64_t seed, uint64_t at, void *buf, size_t len)
{
	unsigned char *p = buf;

	while (len) {
		uint64_t word = mix(seed + at / 8);
		size_t skip = at % 8, n = 8 - skip;

		if (n > len)
			n = len;
		if (n == 8)
			memcpy(p, &word, 8);
		else
			memcpy(p, (const char *)&word + skip, n);
		p += n;
		at += n;
		len -= n;
	}
}

ssize_t sc_wrong(uint64_t seed, uint64_t at, const void *buf, size_t len)
{
	const unsigned char *p = buf;
	unsigned char want[4096];

	for (size_t done = 0, n; done < len; done += n) {
		n = len - done < sizeof(want) ? len - done : sizeof(want);
		sc_fill(seed, at + done, want, n);
		for (size_t i = 0; memcmp(p + done, want, n) != 0 && i < n; i++)
			if (p[done + i] != want[i])
				return (ssize_t)(done + i);
	}
	return -1;
}

static void pause_sometimes(const struct sc_flow *f, uint64_t *state)
{
	struct timespec t = {.tv_nsec = (long)(sc_random(state) % 300000)};

	if (f->pause_one_in && sc_random(state) % f->pause_one_in == 0)
		nanosleep(&t, NULL);
}

void *sc_flow_send(void *arg)
{
	struct sc_flow *f = arg;
	uint64_t end = f->at + f->bytes, state = f->seed ^ 0x5e4d;
	size_t most = f->chunk ? f->chunk : BLOCK;
	char *buf = malloc(most);

	f->bad = -1;
	while (f->at < end) {
		size_t len = sc_upto(&state, most);
		ssize_t n;

		if (len > end - f->at)
			len = end - f->at;
		sc_fill(f->seed, f->at, buf, len);
		pause_sometimes(f, &state);
		n = send(f->fd, buf, len, f->flags | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			f->error = errno;
			break;
		}
		f->at += (uint64_t)n;
	}
	free(buf);
	return NULL;
}

void *sc_flow_recv(void *arg)
{
	struct sc_flow *f = arg;
	uint64_t end = f->at + f->bytes, state = f->seed ^ 0x4ec7;
	size_t most = f->chunk ? f->chunk : BLOCK;
	char *buf = malloc(most);

	f->bad = -1;
	while (f->at < end && f->bad < 0) {
		size_t len = sc_upto(&state, most);
		ssize_t n, bad;

		if (len > end - f->at)
			len = end - f->at;
		pause_sometimes(f, &state);
		n = recv(f->fd, buf, len, f->flags);
		if (n < 0 && errno == EINTR)
			continue;
		f->error = n < 0 ? errno : 0;
		f->eof = n == 0;
		if (n <= 0)
			break;
		bad = sc_wrong(f->seed, f->at, buf, (size_t)n);
		if (bad >= 0)
			f->bad = (int64_t)f->at + bad;
		f->at += (uint64_t)n;
	}
	free(buf);
	return NULL;
}

void sc_stream(const struct sc *x, const char *key, int from, int to, uint64_t bytes, size_t chunk)
{
	uint64_t seed = x->seed + bytes;
	struct sc_flow out = {.fd = from, .seed = seed, .bytes = bytes, .chunk = chunk};
	struct sc_flow in = {.fd = to, .seed = seed, .bytes = bytes, .chunk = chunk};
	pthread_t sender;

	pthread_create(&sender, NULL, sc_flow_send, &out);
	sc_flow_recv(&in);
	if (in.at < bytes)
		shutdown(to, SHUT_RDWR); /* or the sender might wait for ever */
	pthread_join(sender, NULL);
	sc_must(x, in.bad < 0, "%s: byte %lld of %llu is wrong", key, (long long)in.bad, (unsigned long long)bytes);
	sc_must(x, in.at == bytes && out.at == bytes, "%s: %llu of %llu bytes sent (%s), %llu received (%s%s)", key,
		(unsigned long long)out.at, (unsigned long long)bytes, sc_error_name(out.error),
		(unsigned long long)in.at, sc_error_name(in.error), in.eof ? ", end" : "");
	sc_see(x, key, "%llu", (unsigned long long)in.at);
}

bool sc_put(int fd, uint64_t seed, uint64_t at, size_t len)
{
	struct sc_flow f = {.fd = fd, .seed = seed, .at = at, .bytes = len, .chunk = len};
	char *buf = malloc(len);
	ssize_t n = 0;

	sc_fill(seed, at, buf, len);
	while (f.bytes && (n = send(fd, buf + (len - f.bytes), f.bytes, MSG_NOSIGNAL)) > 0)
		f.bytes -= (uint64_t)n;
	free(buf);
	return f.bytes == 0;
}

bool sc_take(int fd, uint64_t seed, uint64_t at, size_t len)
{
	char *buf = malloc(len);
	size_t have = 0;
	ssize_t n = 0;
	bool good;

	while (have < len && sc_poll(fd, POLLIN, PATIENCE_MS) && (n = recv(fd, buf + have, len - have, 0)) > 0)
		have += (size_t)n;
	good = have == len && sc_wrong(seed, at, buf, len) < 0;
	free(buf);
	return good;
}

int sc_drain(const struct sc *x, int fd, uint64_t seed, uint64_t *at)
{
	struct sc_flow f = {.fd = fd, .seed = seed, .at = *at, .bytes = UINT64_MAX / 2, .bad = -1};

	sc_timeouts(fd, 5000, 0);
	sc_flow_recv(&f);
	sc_must(x, f.bad < 0, "byte %lld is wrong", (long long)f.bad);
	*at = f.at;
	return f.error;
}

uint64_t sc_stuff(int fd, uint64_t seed, uint64_t at, size_t chunk, uint64_t most)
{
	char *buf = malloc(chunk);
	uint64_t sent = 0;

	while (sent < most) {
		ssize_t n;

		sc_fill(seed, at + sent, buf, chunk);
		n = send(fd, buf, chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			sent += (uint64_t)n;
		else if (!sc_poll(fd, POLLOUT, 300))
			break;
		else if (n < 0 && errno != EAGAIN)
			break;
	}
	free(buf);
	return sent;
}
