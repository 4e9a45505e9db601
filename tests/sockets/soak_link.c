/* SPDX-License-Identifier: Apache-2.0 */
#include "soak_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BUFFER = 256 << 10,
	PUTS_MAX = 4096,
	BULK_MAX = 64 << 10,
	SMALL_MAX = 48,
	VECTORS = 256,
	PATIENCE_MS = SOAK_PATIENCE_S * 1000
};

struct head {
	uint32_t len; /* of what follows */
	uint32_t sum;
	uint64_t seq;
};

static const struct {
	const char *name;
	uint32_t most;   /* bytes of a message */
	uint64_t count;  /* of messages in a phase, at most */
	size_t batch;    /* bytes that are sent at a time, at most */
	unsigned window; /* of an exchange: messages each way */
} styles[SOAK_STYLE_COUNT] = {
	[SOAK_CHAT] = {"chat", 400, 500, 1, 1},
	[SOAK_EXCHANGE] = {"exchange", SMALL_MAX, 60000, 16 << 10, 240},
	[SOAK_SINGLES] = {"singles", SMALL_MAX, 10000, 1, 0},
	[SOAK_STREAM] = {"stream", SMALL_MAX, 800000, 16 << 10, 0},
	[SOAK_BULK] = {"bulk", BULK_MAX, 400, 128 << 10, 0},
	[SOAK_THREADS] = {"threads", SMALL_MAX, 200000, 16 << 10, 0},
};

const char *soak_style_name(enum soak_style style)
{
	return styles[style].name;
}

static void say(struct soak_end *e, atomic_ullong *counter, const char *what, int error)
{
	char line[200];
	int n;

	if (atomic_exchange(&e->link->failed, true))
		return; /* what comes of the first */
	atomic_fetch_add(counter, 1);
	n = snprintf(line, sizeof(line), "wrong\t%lld\t%s, message %llu, %s%s%s\n", (long long)time(NULL), what,
		     (unsigned long long)e->received, styles[e->phase->style].name, error ? ": " : "",
		     error ? strerror(error) : "");
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(3);
	for (int i = 0; i < 2; i++)
		shutdown(e->link->ends[i].fd, SHUT_RDWR);
}

static bool failed(const struct soak_end *e)
{
	return atomic_load_explicit(&e->link->failed, memory_order_relaxed);
}

/* ---- messages ---- */

static uint32_t sum_of(uint64_t seed, uint64_t seq, uint32_t len)
{
	uint64_t state = seed ^ (seq * 0x9e3779b97f4a7c15) ^ len;

	return (uint32_t)sc_random(&state);
}

/* Both ends know a message's length from its number. */
static uint32_t length_of(uint64_t seed, uint64_t seq, uint32_t most)
{
	uint64_t state = seed + seq * 3;

	return (uint32_t)(((sc_random(&state) >> 32) * (most + 1)) >> 32);
}

static size_t put_message(const struct soak_end *e, char *at, uint64_t seq)
{
	struct head h = {.len = length_of(e->out_seed, seq, styles[e->phase->style].most), .seq = seq};

	h.sum = sum_of(e->out_seed, seq, h.len);
	memcpy(at, &h, sizeof(h));
	sc_fill(e->out_seed + seq * 8192, 0, at + sizeof(h), h.len);
	return sizeof(h) + h.len;
}

/* The next messages that are to be sent: at most so many, until they are that many bytes. */
static void put_messages(struct soak_end *e, uint64_t count, size_t bytes)
{
	e->len = e->done = 0;
	e->puts = 0;
	do {
		e->at[e->puts++] = (uint32_t)e->len;
		e->len += put_message(e, e->out + e->len, e->sent++);
	} while (e->puts < count && e->puts < PUTS_MAX && e->len < bytes);
	e->at[e->puts] = (uint32_t)e->len;
}

/* Whether the message at buf is the next one. */
static bool is_next(struct soak_end *e, const char *buf, const struct head *h)
{
	struct soak_counts *c = e->link->counts;

	if (h->seq != e->received) {
		say(e, &c->wrong, "not the next one", 0);
		return false;
	}
	if (h->len != length_of(e->in_seed, h->seq, styles[e->phase->style].most) ||
	    h->sum != sum_of(e->in_seed, h->seq, h->len)) {
		say(e, &c->wrong, "a wrong head", 0);
		return false;
	}
	if (sc_wrong(e->in_seed + h->seq * 8192, 0, buf + sizeof(*h), h->len) >= 0) {
		say(e, &c->wrong, "wrong bytes", 0);
		return false;
	}
	e->received++;
	return true;
}

/* Takes whole messages out of what has come; *left counts down. */
static void take_messages(struct soak_end *e, uint64_t *left)
{
	struct soak_counts *c = e->link->counts;
	uint64_t before = *left;
	size_t done = 0;

	while (*left && e->have - done >= sizeof(struct head) && !failed(e)) {
		struct head h;

		memcpy(&h, e->in + done, sizeof(h));
		if (h.len > BULK_MAX) {
			say(e, &c->wrong, "a length that none has", 0);
			break;
		}
		if (e->have - done < sizeof(h) + h.len || !is_next(e, e->in + done, &h))
			break;
		done += sizeof(h) + h.len;
		--*left;
	}
	memmove(e->in, e->in + done, e->have - done);
	e->have -= done;
	atomic_fetch_add(&c->messages, before - *left);
	atomic_fetch_add(&c->by_style[e->phase->style], before - *left);
	atomic_fetch_add(&c->bytes, done);
	if (!*left && e->have)
		say(e, &c->wrong, "bytes behind the last one", 0);
}

/* ---- calls ---- */

enum how { ALL, EACH, VECTOR, MANY };

static unsigned message_at(const struct soak_end *e, size_t offset)
{
	unsigned low = 0, high = e->puts;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (e->at[middle] <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* What is left of each message, from done on. Returns how many pieces. */
static unsigned pieces(const struct soak_end *e, struct iovec *v)
{
	unsigned first = message_at(e, e->done), n = 0;
	size_t from = e->done;

	for (unsigned i = first; i < e->puts && n < VECTORS; i++) {
		v[n++] = (struct iovec){e->out + from, e->at[i + 1] - from};
		from = e->at[i + 1];
	}
	return n;
}

static ssize_t send_many(struct soak_end *e, struct iovec *v, unsigned n, int flags)
{
	struct mmsghdr m[VECTORS];
	ssize_t sum = 0;
	int sent;

	memset(m, 0, n * sizeof(*m));
	for (unsigned i = 0; i < n; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	sent = sendmmsg(e->fd, m, n, flags);
	for (int i = 0; i < sent; i++)
		sum += m[i].msg_len;
	if (sent > 1)
		atomic_fetch_add(&e->link->counts->sends, (unsigned)sent - 1);
	return sent < 0 ? -1 : sum;
}

static ssize_t send_by(struct soak_end *e, enum how how, int flags)
{
	struct iovec v[VECTORS];
	struct msghdr m = {.msg_iov = v};

	switch (how) {
	case EACH:
		return send(e->fd, e->out + e->done, e->at[message_at(e, e->done) + 1] - e->done, flags);
	case VECTOR:
		m.msg_iovlen = pieces(e, v);
		return sendmsg(e->fd, &m, flags);
	case MANY:
		return send_many(e, v, pieces(e, v), flags);
	default:
		return send(e->fd, e->out + e->done, e->len - e->done, flags);
	}
}

/* One call for bytes of out, by one of the ways to make it. Returns what it returned, in bytes. */
static ssize_t send_some(struct soak_end *e, enum how how, int flags)
{
	ssize_t n = send_by(e, how, flags);

	if (n > 0) {
		atomic_fetch_add(&e->link->counts->sends, 1);
		e->done += (size_t)n;
	}
	return n;
}

static bool send_out(struct soak_end *e, enum how how)
{
	while (e->done < e->len && !failed(e)) {
		ssize_t n = send_some(e, how, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			say(e, &e->link->counts->broken, "send failed", errno);
	}
	return !failed(e);
}

static void wait_for(struct soak_end *e, int events)
{
	if (!sc_poll(e->fd, events, PATIENCE_MS))
		say(e, &e->link->counts->broken, "nothing happens any more", ETIMEDOUT);
}

/* One recv(). Returns whether bytes came; not without an error if it may block. */
static bool receive_some(struct soak_end *e, bool blocks)
{
	/* Never more than what belongs to this phase can be there: the next one begins when all have it. */
	size_t room = sc_random(&e->state) % 8 ? BUFFER - e->have : sc_upto(&e->state, BUFFER - e->have);
	uint64_t begin = blocks ? sc_now_ms() : 0;
	ssize_t n = recv(e->fd, e->in + e->have, room, blocks ? 0 : MSG_DONTWAIT);

	if (n > 0) {
		e->have += (size_t)n;
		return true;
	}
	if (n < 0 && errno == EINTR)
		return false;
	if (n < 0 && errno == EAGAIN) {
		if (!blocks)
			return false;
		if (sc_now_ms() - begin < PATIENCE_MS)
			atomic_fetch_add(&e->link->counts->woken, 1);
		wait_for(e, POLLIN);
		return false;
	}
	say(e, &e->link->counts->broken, n ? "recv failed" : "the end came too early", n ? errno : 0);
	return false;
}

static void receive(struct soak_end *e, uint64_t count, bool blocks)
{
	while (count && !failed(e))
		if (receive_some(e, blocks))
			take_messages(e, &count);
		else if (!blocks && !failed(e))
			wait_for(e, POLLIN);
}

/* Mostly by the ways that are one message for the kernel. */
static enum how any_how(struct soak_end *e)
{
	static const enum how hows[] = {ALL, ALL, ALL, VECTOR, VECTOR, VECTOR, EACH, MANY};

	return hows[sc_random(&e->state) % (sizeof(hows) / sizeof(hows[0]))];
}

/* ---- phases: each is run by both ends at once ---- */

static void exchange(struct soak_end *e)
{
	const struct soak_phase *p = e->phase;
	bool blocks = p->style == SOAK_CHAT;
	uint64_t shape = p->seed;

	for (uint64_t left = p->count, n; left && !failed(e); left -= n) {
		n = sc_upto(&shape, styles[p->style].window);
		n = n < left ? n : left;
		if (!e->leads)
			receive(e, n, blocks);
		for (uint64_t out = n; out && !failed(e); out -= e->puts) {
			put_messages(e, out, styles[p->style].batch);
			send_out(e, any_how(e));
		}
		if (e->leads)
			receive(e, n, blocks);
	}
}

/* Both ways, without blocking: as a program with an event loop. */
static void duplex(struct soak_end *e)
{
	const struct soak_phase *p = e->phase;
	uint64_t to_send = p->count, to_take = p->count;
	enum how how = ALL;

	e->len = e->done = 0;
	while ((to_send || to_take || e->done < e->len) && !failed(e)) {
		bool full = false, came = false;
		ssize_t n;

		if (e->done == e->len && to_send) {
			bool single = p->style == SOAK_SINGLES;

			put_messages(e, single && to_send > 20 ? 20 : to_send,
				     single ? styles[SOAK_STREAM].batch : sc_upto(&e->state, styles[p->style].batch));
			to_send -= e->puts;
			how = single                     ? (sc_random(&e->state) % 2 ? EACH : MANY)
			      : sc_random(&e->state) % 4 ? ALL
							 : VECTOR;
		}
		if (e->done < e->len) {
			n = send_some(e, how, MSG_NOSIGNAL | MSG_DONTWAIT);
			full = n < 0 && errno == EAGAIN;
			if (n < 0 && !full && errno != EINTR)
				say(e, &e->link->counts->broken, "send failed", errno);
		}
		if (to_take && !failed(e) && (came = receive_some(e, false)))
			take_messages(e, &to_take);
		if (!came && !failed(e) && (full || (e->done == e->len && !to_send && to_take)))
			wait_for(e, (to_take ? POLLIN : 0) | (full ? POLLOUT : 0));
		if (sc_random(&e->state) % 2000 == 0)
			usleep((useconds_t)(sc_random(&e->state) % 2000));
	}
}

static void *send_phase(void *arg)
{
	struct soak_end *e = arg;
	uint64_t state = e->out_seed ^ e->sent;

	for (uint64_t left = e->phase->count; left && !failed(e); left -= e->puts) {
		put_messages(e, left, sc_upto(&state, styles[e->phase->style].batch));
		send_out(e, ALL);
		if (sc_random(&state) % 500 == 0)
			usleep((useconds_t)(sc_random(&state) % 2000));
	}
	return NULL;
}

static void threads(struct soak_end *e)
{
	pthread_t sender;

	if (pthread_create(&sender, NULL, send_phase, e) != 0) {
		say(e, &e->link->counts->broken, "no thread", errno);
		return;
	}
	receive(e, e->phase->count, true);
	pthread_join(sender, NULL);
}

static void run_phase(struct soak_end *e)
{
	if (e->phase->style == SOAK_CHAT || e->phase->style == SOAK_EXCHANGE)
		exchange(e);
	else if (e->phase->style == SOAK_THREADS)
		threads(e);
	else
		duplex(e);
}

static void *run_end(void *arg)
{
	struct soak_end *e = arg;
	struct soak_link *l = e->link;

	for (unsigned i = 0; i < l->count && l->go; i++) {
		e->phase = &l->phases[i];
		run_phase(e);
		pthread_barrier_wait(&l->gate);
		if (e->leads)
			l->go = !failed(e) && !atomic_load(&l->counts->stop);
		pthread_barrier_wait(&l->gate);
	}
	return NULL;
}

/* ---- a connection ---- */

bool soak_end_new(struct soak_end *e)
{
	e->out = malloc(BUFFER);
	e->in = malloc(BUFFER);
	e->at = malloc((PUTS_MAX + 1) * sizeof(*e->at));
	return e->out && e->in && e->at;
}

void soak_link_draw(struct soak_link *l, uint64_t *state)
{
	static const enum soak_style small[] = {SOAK_CHAT, SOAK_EXCHANGE, SOAK_EXCHANGE, SOAK_EXCHANGE};
	bool only_small = sc_random(state) % 2;

	l->count = (unsigned)sc_upto(state, only_small ? SOAK_PHASES_MAX : SOAK_PHASES_MAX / 4);
	for (unsigned i = 0; i < l->count; i++) {
		struct soak_phase *p = &l->phases[i];

		p->style = only_small ? small[sc_random(state) % (sizeof(small) / sizeof(small[0]))]
				      : (enum soak_style)(sc_random(state) % SOAK_STYLE_COUNT);
		p->count = sc_upto(state, styles[p->style].count);
		p->seed = sc_random(state);
	}
	for (int i = 0; i < 2; i++) {
		l->ends[i].out_seed = l->ends[!i].in_seed = sc_random(state);
		l->ends[i].state = sc_random(state);
	}
}

static void hears_end(struct soak_end *from, struct soak_end *to)
{
	ssize_t n;
	char c;

	shutdown(from->fd, SHUT_WR);
	while ((n = recv(to->fd, &c, 1, MSG_DONTWAIT)) < 0 && (errno == EAGAIN || errno == EINTR) && !failed(to))
		wait_for(to, POLLIN);
	if (n != 0)
		say(to, &to->link->counts->broken, "no end where it should be", 0);
}

bool soak_link_run(struct soak_link *l, bool half_close)
{
	pthread_t server;

	l->go = true;
	atomic_store(&l->failed, false);
	pthread_barrier_init(&l->gate, NULL, 2);
	for (int i = 0; i < 2; i++) {
		struct soak_end *e = &l->ends[i];

		e->link = l;
		e->leads = i == 0;
		e->phase = l->phases;
		e->sent = e->received = 0;
		e->len = e->done = e->have = 0;
		sc_timeouts(e->fd, PATIENCE_MS, 0);
	}
	if (pthread_create(&server, NULL, run_end, &l->ends[1]) != 0)
		return false;
	run_end(&l->ends[0]);
	pthread_join(server, NULL);
	pthread_barrier_destroy(&l->gate);
	/* The client half closes, the server hears of it and closes. */
	if (half_close && !atomic_load(&l->failed)) {
		hears_end(&l->ends[0], &l->ends[1]);
		hears_end(&l->ends[1], &l->ends[0]);
	}
	return !atomic_load(&l->failed);
}
