/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket conformance suite: what a case has to work with. A case holds both ends of its connections: it runs in the
 * client pod, where it connects, and accepts from a listener that the helper made in the server pod and handed over, so
 * each end belongs to its pod's namespace and cgroup. Each case is a process of its own: what it leaves open goes with
 * it, and it may end itself anywhere. It tells what it saw in records; what is compared, between a run over plain TCP
 * and one over the mesh, is those. See docs/sockets.md.
 */
#ifndef MESH_TEST_SOCKETS_H
#define MESH_TEST_SOCKETS_H

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a case's bytes are carried in: a plain connection; the tunnel after Upgrade or CONNECT; bodies of one request
 * and its response, both without end. */
enum sc_via {
	SC_TCP = 1 << 0,
	SC_UPGRADE = 1 << 1,
	SC_CONNECT = 1 << 2,
	SC_BODY = 1 << 3,
	SC_TUNNEL = SC_TCP | SC_UPGRADE | SC_CONNECT, /* cases that need an end of their own in each direction */
	SC_ALL = SC_TUNNEL | SC_BODY,
};

struct sc;

struct sc_case {
	const char *name, *what; /* of docs/sockets.md */
	void (*run)(const struct sc *x);
	unsigned vias;    /* enum sc_via that it makes sense in */
	bool full_only;   /* takes seconds: not in the quick run */
	unsigned limit_s; /* longest time that it may take; 0: 60 */
};

struct sc_group {
	const struct sc_case *rows;
	size_t count;
};

/* The groups, one a file. */
extern const struct sc_group sc_transfer, sc_file, sc_recv, sc_ready, sc_close, sc_abort, sc_connect, sc_bind,
	sc_options, sc_share, sc_uring;

/* A row; what else it has comes behind, as .limit_s = 120. */
#define SC_CASE(n, w, r, v, ...)                                                                                       \
	{                                                                                                              \
		.name = (n), .what = (w), .run = (r), .vias = (v), ##__VA_ARGS__                                       \
	}
#define SC_GROUP(rows)                                                                                                 \
	{                                                                                                              \
		rows, sizeof(rows) / sizeof((rows)[0])                                                                 \
	}

/* One run of one case. */
struct sc {
	const struct sc_case *row;
	enum sc_via via;
	bool full;
	uint16_t port; /* the first of two of its own: where its servers listen */
	struct in_addr v4;
	struct in6_addr v6;
	bool has_v6;
	const char *host;   /* of Host: and CONNECT, without the port */
	const char *helper; /* path of the helper's socket */
	int patience_ms;    /* for a connection to arrive, and for each byte of a head; 0: 5 s */
	uint64_t seed;      /* the same for the same case in each mode */
};

/* ---- Records. Each is one line on standard output. ---- */

/** What was observed; compared between modes. */
void sc_see(const struct sc *x, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** The result of a system call: its number, or the name of errno. */
void sc_result(const struct sc *x, const char *key, ssize_t result);
/** For people: not compared. */
void sc_note(const struct sc *x, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** What must hold in every mode. Returns holds. */
bool sc_must(const struct sc *x, bool holds, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** The same for what the rest of the case stands on: ends it. */
void sc_need(const struct sc *x, bool holds, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** This machine cannot run the case: ends it. */
void sc_skip(const struct sc *x, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* ---- Connections ---- */

struct sc_listen {
	int family; /* 0: AF_INET */
	uint16_t port;
	int backlog; /* 0: 512; -1: listen(0) */
	bool reuse_port, v6_only;
	int defer_s, fastopen, rcvbuf; /* 0: not set */
};

/** A listening socket of the server pod. Returns a descriptor or -errno. */
int sc_listen(const struct sc *x, const struct sc_listen *what);
/** A listener for IPv4 on the case's first port. Ends the case on failure. */
int sc_listener(const struct sc *x);
/** The address that the case connects to. Returns its length. */
socklen_t sc_address(const struct sc *x, int family, uint16_t port, struct sockaddr_storage *ret);
/** A client's socket that is not connected yet. */
int sc_socket(const struct sc *x, int family);
/** connect() to that port; 0 or -errno. */
int sc_dial(const struct sc *x, int fd, int family, uint16_t port);
/** The next connection of a listener, within 5 s; ends the case if there is none. */
int sc_accept(const struct sc *x, int listener);

struct sc_pair {
	int c, s, listener; /* client's end, server's end */
};

/** A connection, and the tunnel in it if the run has one. */
void sc_pair(const struct sc *x, struct sc_pair *ret);
/** The same from a listener that is there. */
void sc_pair_from(const struct sc *x, int listener, struct sc_pair *ret);
/** What follows connect() and accept(): nothing, or the handshake of the tunnel. */
void sc_tunnel(const struct sc *x, const struct sc_pair *p);

/* ---- Streams: the byte at an offset follows from the seed, so loss, order and repetition show ---- */

struct sc_flow {
	int fd;
	uint64_t seed, bytes, at; /* at: offset of the first byte, and of the next one afterwards */
	size_t chunk;             /* largest; each is random up to it */
	unsigned pause_one_in;    /* now and then sleeps up to 300 us; 0: never */
	int flags;                /* of send() or recv() */
	/* results */
	int error; /* errno of what ended it; 0 */
	bool eof;
	int64_t bad; /* offset of the first wrong byte; -1: none */
};

/** Thread bodies: send or receive bytes until done, an error, or the end. They return NULL. */
void *sc_flow_send(void *flow);
void *sc_flow_recv(void *flow);
void sc_fill(uint64_t seed, uint64_t at, void *buf, size_t len);
/** Offset in buf of the first byte that is not the stream's, or -1. */
ssize_t sc_wrong(uint64_t seed, uint64_t at, const void *buf, size_t len);
/** Sends bytes from one end and checks them at the other; sees KEY: bytes moved, and how it ended. */
void sc_stream(const struct sc *x, const char *key, int from, int to, uint64_t bytes, size_t chunk);
/** Exactly len bytes of the stream, blocking; true if all went well. */
bool sc_put(int fd, uint64_t seed, uint64_t at, size_t len);
bool sc_take(int fd, uint64_t seed, uint64_t at, size_t len);
/** Reads all that is left until the end, checking; returns what ended it: 0 or errno. *at goes on. */
int sc_drain(const struct sc *x, int fd, uint64_t seed, uint64_t *at);
/** Sends without blocking until nothing is taken for 300 ms or most bytes were; returns how many. */
uint64_t sc_stuff(int fd, uint64_t seed, uint64_t at, size_t chunk, uint64_t most);

uint64_t sc_random(uint64_t *state);
size_t sc_upto(uint64_t *state, size_t most); /* 1 .. most */

/* ---- Waiting ---- */

uint64_t sc_now_ms(void);
void sc_sleep_ms(unsigned ms);
/** poll() of one descriptor: what it returns in revents, 0 after ms. */
int sc_poll(int fd, int events, int ms);
/** Until all of the events are there, or 3 s: what is there then. */
int sc_until(int fd, int events);
/** "IN|OUT|RDHUP", "-" for none. Static buffers, the last four stay. */
const char *sc_events(int revents);
/** Waits up to 3 s until a peek sees that many bytes; returns how many it saw. */
size_t sc_settle(int fd, size_t bytes);
void sc_nonblocking(int fd, bool on);
void sc_timeouts(int fd, unsigned receive_ms, unsigned send_ms);
int sc_option(int fd, int level, int name);         /* getsockopt of an int; -errno */
int sc_set(int fd, int level, int name, int value); /* 0 or -errno */
/** What SO_ERROR gives, as a name; "0" for none. */
const char *sc_so_error(int fd);
const char *sc_error_name(int error); /* "0" for 0 */
/** close() that sends RST. */
void sc_reset(int fd);
/** tcpi_state as a name. */
const char *sc_state(int fd);
/** Waits up to 3 s for that state. */
const char *sc_state_until(int fd, int state);

/** A call in a thread of its own, which may block. */
struct sc_call {
	pthread_t thread;
	int fd, flags;
	size_t len;
	char *buf; /* allocated by sc_call_begin() */
	ssize_t result;
	int error;
	bool sending;
};

void sc_call_begin(struct sc_call *call);
/** Its result within ms; false: it is still blocked. */
bool sc_call_end(struct sc_call *call, int ms);
void sc_call_result(const struct sc *x, const char *key, struct sc_call *call, int ms);

#endif
