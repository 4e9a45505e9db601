/* SPDX-License-Identifier: Apache-2.0 */
/* Large bodies that go from socket to socket without a copy: the same bytes, in bounded memory, however it ends. */
#include "proxy_raw.h"

static char byte_at(uint64_t i)
{
	return (char)((i * 2654435761u) >> 11 ^ i);
}

/* What the upstream says: a head, then bytes of the body in pieces of all sizes; in a thread, for a socket's room is
 * less. */
struct talk {
	size_t length, sent; /* as Content-Length says; as it is */
	pthread_t thread;
	bool ok;
};

static void *talk_main(void *arg)
{
	struct talk *t = arg;
	mesh_auto_free char *head = mesh_xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", t->length);
	static char piece[300000];
	unsigned seed = 1;

	t->ok = lab_say(server, head);
	for (size_t at = 0; t->ok && at < t->sent;) {
		size_t n = 1 + (seed = seed * 1103515245 + 12345) / 7 % sizeof(piece);

		n = MESH_MIN(n, t->sent - at);
		for (size_t i = 0; i < n; i++)
			piece[i] = byte_at(at + i);
		t->ok = lab_send(server, piece, n);
		at += n;
	}
	return NULL;
}

static bool talk_start(struct talk *t, size_t length, size_t sent)
{
	*t = (struct talk){.length = length, .sent = sent};
	m.in.len = 0;
	if (!lab_say(fd, GET("/")) || (server < 0 ? !accepted(&m) : !lab_read_head(server, &m, MESH_HTTP1_REQUEST)))
		return false;
	return pthread_create(&t->thread, NULL, talk_main, t) == 0;
}

/* Reads the answer. Returns how many bytes of its body came, all of them right; -1: one was not. */
static long long hear(size_t length)
{
	static char buf[1 << 20];
	size_t have = 0, at = 0;
	char *end = NULL;

	while (!end) {
		ssize_t n = recv(fd, buf + have, 4096, 0);

		if (n <= 0)
			return 0;
		have += (size_t)n;
		end = memmem(buf, have, "\r\n\r\n", 4);
	}
	have -= (size_t)(end + 4 - buf);
	memmove(buf, end + 4, have);
	for (;;) {
		for (size_t i = 0; i < have; i++)
			if (buf[i] != byte_at(at + i))
				return -1;
		at += have;
		if (at >= length)
			return (long long)at;
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n <= 0)
			return (long long)at;
		have = (size_t)n;
	}
}

/* As many pipes as were made, and none that a request still has. */
static void check_pipes(unsigned made)
{
	const struct mesh_worker *w = &px.proxy->workers[0];

	wait_requests_over();
	lab_sleep_ms(5);
	CHECK_INT(w->bulks, made);
	CHECK_INT(w->free_bulk_count, made);
}

WORLD(bytes_and_what_follows_them)
{
	static const size_t sizes[] = {65535, 65536, 65537, 1 << 20, (5 << 20) + 123, 10, 3 << 20};
	struct talk t;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(sizes); i++) { /* on one connection, on both sides */
		CHECK(talk_start(&t, sizes[i], sizes[i]));
		CHECK_INT(hear(sizes[i]), (long long)sizes[i]);
		pthread_join(t.thread, NULL);
		CHECK(t.ok);
	}
	CHECK_INT(lab_stats(&px).upstream_connections_total, 1);
	check_pipes(1);
}

static bool always(void *arg, int socket)
{
	(void)arg;
	return socket >= 0;
}

static void start_copying(void)
{
	raw_opts.spliced = always;
	start();
	raw_opts.spliced = NULL;
}

TEST(sockets_in_a_sockmap_are_read_as_ever)
{
	struct talk t;

	start_copying();
	CHECK(talk_start(&t, 3 << 20, 3 << 20));
	CHECK_INT(hear(3 << 20), 3 << 20);
	pthread_join(t.thread, NULL);
	CHECK(t.ok);
	check_pipes(0);
	stop();
}

/* Sends n bytes at the server's end and has them at the client's. */
static bool piece_comes(size_t n)
{
	static char piece[32768];

	if (!lab_send(server, piece, n))
		return false;
	for (size_t got = 0; got < n;) {
		ssize_t k = recv(fd, piece, n - got, 0);

		if (k <= 0)
			return false;
		got += (size_t)k;
	}
	return true;
}

/* A server may think for long before it goes on: what it has said by then is the client's. */
WORLD(small_pieces_of_a_large_body_are_not_held_back)
{
	enum { PIECES = 100, SIZE = 64, LENGTH = 1 << 20 };
	size_t sent = PIECES * SIZE;
	uint64_t begin;
	char head[4096];
	ssize_t n;

	CHECK(lab_say(fd, GET("/")) && accepted(&m));
	CHECK(lab_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"));
	n = recv(fd, head, sizeof(head) - 1, 0);
	CHECK(n > 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0);
	CHECK(piece_comes(SIZE));
	begin = mesh_now_ns();
	for (int i = 1; i < PIECES; i++)
		CHECK(piece_comes(SIZE));
	CHECK(mesh_now_ns() - begin < MESH_SEC(5)); /* a fifth of a second each is what a corked socket waits */
	for (; sent < LENGTH; sent += 32768)
		CHECK(piece_comes(LENGTH - sent < 32768 ? LENGTH - sent : 32768));
	check_pipes(1);
}

/* It waits for its client, holding no more than its pipe and the sockets' buffers; then all of it goes on. */
WORLD(a_client_that_does_not_read)
{
	const size_t size = 64 << 20;
	uint64_t out;
	struct talk t;

	CHECK(talk_start(&t, size, size));
	do {
		out = lab_stats(&px).bytes_to_downstream;
		lab_sleep_ms(50);
	} while (lab_stats(&px).bytes_to_downstream != out);
	CHECK(out < size / 2);
	CHECK_INT(lab_stats(&px).requests_active, 1);
	CHECK_INT(hear(size), (long long)size);
	pthread_join(t.thread, NULL);
	CHECK(t.ok);
	check_pipes(1);
}

WORLD(an_upstream_that_ends_early)
{
	struct talk t;

	CHECK(talk_start(&t, 4 << 20, 2 << 20));
	pthread_join(t.thread, NULL);
	CHECK(t.ok);
	mesh_cleanup_fd(&server);
	server = -1;
	CHECK(hear(4 << 20) <= 2 << 20); /* the end is not that of a whole answer */
	check_pipes(px.proxy->workers[0].free_bulk_count);
	new_client();
	CHECK(lab_say(fd, GET("/")) && accepted(&m) && answer_ok());
}

WORLD(a_client_that_goes_away)
{
	struct talk t;

	CHECK(talk_start(&t, 64 << 20, 64 << 20));
	lab_sleep_ms(50);
	mesh_cleanup_fd(&fd);
	fd = -1;
	pthread_join(t.thread, NULL); /* its sends fail */
	CHECK(!t.ok);
	check_pipes(0); /* what was left in the pipe went with it */
}

TEST_MAIN()
