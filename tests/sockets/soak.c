/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The soak: messages with a number and a checksum, in every rhythm, on connections that come and go, for as long as it
 * is told. Each must come once, whole and in order. Prints a line every few seconds and a last one.
 */
#include "soak.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, BULK_MAX = 64 << 10, SMALL_MAX = 48, REPORT_S = 5, PHASES_MAX = 6 };

struct head {
	uint32_t len; /* of what follows */
	uint32_t sum;
	uint64_t seq;
};

/* How messages of a phase are sent. */
enum style { CHAT, STREAM, BULK, STYLES };

static const struct {
	const char *name;
	size_t most;    /* bytes of a message */
	uint64_t count; /* of messages, at most */
	size_t batch;   /* bytes of one send, at most */
} styles[STYLES] = {
	[CHAT] = {"chat", 400, 3000, 0},
	[STREAM] = {"stream", SMALL_MAX, 400000, 16 << 10},
	[BULK] = {"bulk", BULK_MAX, 400, 128 << 10},
};

struct soak {
	const struct sc_soak *options;
	uint64_t end_ms;
	atomic_ullong messages, bytes, connections, wrong, broken;
	atomic_ullong woken; /* recv() that should have waited said EAGAIN: what a splice probe announces */
	atomic_ullong by_style[STYLES];
	pthread_mutex_t lock; /* of saying what is wrong */
};

/* One direction of a connection. */
struct way {
	struct soak *soak;
	int from, to;
	uint64_t seed, sent, received; /* numbers of the next messages */
	enum style style;
	uint64_t count; /* messages of this phase */
	char *out, *in;
	bool failed;
};

static uint32_t sum_of(uint64_t seed, uint64_t seq, uint32_t len)
{
	uint64_t state = seed ^ (seq * 0x9e3779b97f4a7c15) ^ len;

	return (uint32_t)sc_random(&state);
}

/* Both ends know a message's length from its number. */
static uint32_t length_of(const struct way *w, uint64_t seq)
{
	uint64_t state = w->seed + seq * 3;

	return (uint32_t)(sc_random(&state) % (styles[w->style].most + 1));
}

static size_t put_message(const struct way *w, char *at, uint64_t seq)
{
	struct head h = {.len = length_of(w, seq), .seq = seq};

	h.sum = sum_of(w->seed, seq, h.len);
	memcpy(at, &h, sizeof(h));
	sc_fill(w->seed + seq * 8192, 0, at + sizeof(h), h.len);
	return sizeof(h) + h.len;
}

static void say_wrong(struct way *w, atomic_ullong *counter, const char *what, uint64_t seq, int error)
{
	atomic_fetch_add(counter, 1);
	w->failed = true;
	pthread_mutex_lock(&w->soak->lock);
	printf("wrong\t%s, message %llu, %s%s%s\n", what, (unsigned long long)seq, styles[w->style].name,
	       error ? ": " : "", error ? strerror(error) : "");
	fflush(stdout);
	pthread_mutex_unlock(&w->soak->lock);
}

static bool send_all(struct way *w, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(w->from, w->out + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR) {
			say_wrong(w, &w->soak->broken, "send failed", w->sent, errno);
			return false;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static void *send_phase(void *arg)
{
	struct way *w = arg;
	uint64_t end = w->sent + w->count, state = w->seed ^ w->sent;

	while (w->sent < end && !w->failed) {
		size_t len = 0, batch = sc_upto(&state, styles[w->style].batch);

		do {
			len += put_message(w, w->out + len, w->sent++);
		} while (w->sent < end && len < batch);
		if (!send_all(w, len))
			break;
		if (sc_random(&state) % 500 == 0)
			usleep((useconds_t)(sc_random(&state) % 2000));
	}
	return NULL;
}

/* Whether the message at buf is the next one. */
static bool is_next(struct way *w, const char *buf, const struct head *h)
{
	if (h->seq != w->received || h->len != length_of(w, w->received) || h->sum != sum_of(w->seed, h->seq, h->len)) {
		say_wrong(w, &w->soak->wrong, h->seq != w->received ? "not the next one" : "a wrong head", w->received,
			  0);
		return false;
	}
	if (sc_wrong(w->seed + h->seq * 8192, 0, buf + sizeof(*h), h->len) >= 0) {
		say_wrong(w, &w->soak->wrong, "wrong bytes", w->received, 0);
		return false;
	}
	w->received++;
	return true;
}

/* Takes whole messages out of what has come. Returns how many bytes they were; *left counts down. */
static size_t take_messages(struct way *w, size_t have, uint64_t *left)
{
	struct soak *s = w->soak;
	size_t done = 0;
	uint64_t before = *left;

	while (*left && have - done >= sizeof(struct head)) {
		struct head h;

		memcpy(&h, w->in + done, sizeof(h));
		if (h.len > BULK_MAX) {
			say_wrong(w, &s->wrong, "a length that none has", w->received, 0);
			return done;
		}
		if (have - done < sizeof(h) + h.len)
			break;
		if (!is_next(w, w->in + done, &h))
			return done;
		done += sizeof(h) + h.len;
		--*left;
	}
	atomic_fetch_add(&s->messages, before - *left);
	atomic_fetch_add(&s->by_style[w->style], before - *left);
	atomic_fetch_add(&s->bytes, done);
	return done;
}

static void *receive_phase(void *arg)
{
	struct way *w = arg;
	uint64_t left = w->count, state = w->seed ^ ~w->received;
	size_t have = 0;

	while (left && !w->failed) {
		/* Never more than what belongs to this phase can be there: the next one begins when all have it. */
		size_t room = sc_random(&state) % 8 ? BUFFER - have : sc_upto(&state, BUFFER - have), done;
		ssize_t n = recv(w->to, w->in + have, room, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			atomic_fetch_add(&w->soak->woken, 1);
			sc_poll(w->to, POLLIN, 1000);
			continue;
		}
		if (n <= 0) {
			say_wrong(w, &w->soak->broken, n ? "recv failed" : "the end came too early", w->received,
				  n ? errno : 0);
			break;
		}
		have += (size_t)n;
		done = take_messages(w, have, &left);
		memmove(w->in, w->in + done, have - done);
		have -= done;
	}
	if (w->failed)
		shutdown(w->to, SHUT_RDWR);
	return NULL;
}

/* Question and answer, one at a time. */
static void chat(struct way *up, struct way *down)
{
	for (uint64_t i = 0; i < up->count && !up->failed && !down->failed; i++)
		for (struct way *w = up;; w = down) {
			uint64_t count = w->count;

			w->count = 1;
			if (send_all(w, put_message(w, w->out, w->sent)))
				w->sent++;
			if (!w->failed)
				receive_phase(w);
			w->count = count;
			if (w == down || w->failed)
				break;
		}
}

static void both(struct way *up, struct way *down)
{
	struct way *ways[] = {up, down};
	pthread_t threads[4];

	for (int i = 0; i < 2; i++) {
		pthread_create(&threads[2 * i], NULL, send_phase, ways[i]);
		pthread_create(&threads[2 * i + 1], NULL, receive_phase, ways[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

/* The ends: the client half closes, the server hears of it and closes. */
static void end_of(struct way *up, struct way *down, bool half)
{
	char c;

	if (up->failed || down->failed || !half)
		return;
	shutdown(up->from, SHUT_WR);
	sc_poll(up->to, POLLIN, 5000);
	if (recv(up->to, &c, 1, 0) != 0)
		say_wrong(up, &up->soak->broken, "no end where it should be", up->received, 0);
	shutdown(down->from, SHUT_WR);
	sc_poll(down->to, POLLIN, 5000);
	if (recv(down->to, &c, 1, 0) != 0)
		say_wrong(down, &down->soak->broken, "no end where it should be", down->received, 0);
}

static void one_connection(struct soak *s, const struct sc *x, struct way *up, struct way *down, uint64_t *state)
{
	unsigned phases = (unsigned)sc_upto(state, PHASES_MAX);
	struct sc_pair p;

	sc_pair(x, &p);
	up->from = down->to = p.c;
	up->to = down->from = p.s;
	up->seed = sc_random(state);
	down->seed = sc_random(state);
	up->sent = up->received = down->sent = down->received = 0;
	up->failed = down->failed = false;
	for (unsigned i = 0; i < phases && !up->failed && !down->failed && sc_now_ms() < s->end_ms; i++) {
		up->style = down->style = (enum style)(sc_random(state) % STYLES);
		up->count = down->count = sc_upto(state, styles[up->style].count);
		if (up->style == CHAT)
			chat(up, down);
		else
			both(up, down);
	}
	end_of(up, down, x->via != SC_BODY);
	close(p.c);
	close(p.s);
	close(p.listener);
	atomic_fetch_add(&s->connections, 1);
}

struct worker {
	struct soak *soak;
	unsigned number;
};

static void *work(void *arg)
{
	static const struct sc_case row = {.name = "soak"};
	struct worker *w = arg;
	struct soak *s = w->soak;
	struct sc x = *s->options->base;
	uint64_t state = s->options->seed * 1000 + w->number;
	struct way up = {.soak = s, .out = malloc(BUFFER), .in = malloc(BUFFER)};
	struct way down = {.soak = s, .out = malloc(BUFFER), .in = malloc(BUFFER)};

	x.row = &row;
	x.port = (uint16_t)(x.port + w->number);
	while (sc_now_ms() < s->end_ms && atomic_load(&s->messages) < s->options->messages)
		one_connection(s, &x, &up, &down, &state);
	free(up.out);
	free(up.in);
	free(down.out);
	free(down.in);
	return NULL;
}

static void report(const struct soak *s, const char *kind)
{
	printf("%s\tmessages %llu\tbytes %llu\tconnections %llu\twrong %llu\tbroken %llu\twoken %llu\tchat "
	       "%llu\tstream %llu\tbulk "
	       "%llu\n",
	       kind, (unsigned long long)s->messages, (unsigned long long)s->bytes, (unsigned long long)s->connections,
	       (unsigned long long)s->wrong, (unsigned long long)s->broken, (unsigned long long)s->woken,
	       (unsigned long long)s->by_style[CHAT], (unsigned long long)s->by_style[STREAM],
	       (unsigned long long)s->by_style[BULK]);
	fflush(stdout);
}

int sc_soak_main(const struct sc_soak *options)
{
	struct soak s = {.options = options, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct worker *workers = calloc(options->connections, sizeof(*workers));
	pthread_t *threads = calloc(options->connections, sizeof(*threads));
	uint64_t next = sc_now_ms() + REPORT_S * 1000ULL;

	s.end_ms = sc_now_ms() + 1000ULL * options->seconds;
	for (unsigned i = 0; i < options->connections; i++) {
		workers[i] = (struct worker){&s, i};
		pthread_create(&threads[i], NULL, work, &workers[i]);
	}
	for (unsigned i = 0; i < options->connections; i++)
		while (pthread_tryjoin_np(threads[i], NULL) != 0) {
			sc_sleep_ms(50);
			if (sc_now_ms() > next) {
				report(&s, "so far");
				next += REPORT_S * 1000ULL;
			}
			if (sc_now_ms() > s.end_ms + 60000) {
				printf("wrong\tworker %u does not end\n", i);
				report(&s, "end");
				_exit(1);
			}
		}
	report(&s, "end");
	free(workers);
	free(threads);
	return s.wrong || s.broken ? 1 : 0;
}
