/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the soak: one connection, on which numbered messages go both ways in phases. Each end is a thread, which
 * owns its struct soak_end; what all connections of all processes count is in struct soak_counts, in shared memory.
 */
#ifndef MESH_TEST_SOCKETS_SOAK_LINK_H
#define MESH_TEST_SOCKETS_SOAK_LINK_H

#include "sock.h"

#include <pthread.h>
#include <stdatomic.h>

/* How messages of a phase go. X(NAME, "name") */
#define SOAK_STYLES(X)                                                                                                 \
	X(CHAT, "chat")         /* question and answer, each a call; recv() blocks */                                  \
	X(EXCHANGE, "exchange") /* some questions and as many answers, in one call or a call each; poll and recv() */  \
	X(SINGLES, "singles")   /* both ways at once, a call each */                                                   \
	X(STREAM, "stream")     /* both ways at once, many in a call */                                                \
	X(BULK, "bulk")         /* both ways at once, up to 64 KiB each */                                             \
	X(THREADS, "threads")   /* as stream, by two threads at each end that block */

enum soak_style {
#define SOAK_STYLE_ENUM(id, name) SOAK_##id,
	SOAK_STYLES(SOAK_STYLE_ENUM)
#undef SOAK_STYLE_ENUM
		SOAK_STYLE_COUNT
};

struct soak_counts {
	atomic_ullong messages, bytes, connections;
	atomic_ullong sends;  /* pieces that the kernel was given: calls of send(), messages of sendmmsg() */
	atomic_ullong wrong;  /* messages that were not the next one, whole and as they were sent */
	atomic_ullong broken; /* connections that ended where they should not */
	atomic_ullong woken;  /* recv() that should have waited said EAGAIN: what a splice probe announces */
	atomic_ullong by_style[SOAK_STYLE_COUNT];
	atomic_bool stop;
};

struct soak_phase {
	enum soak_style style;
	uint64_t count, seed; /* messages each way; what both ends do follows from it */
};

struct soak_link;

struct soak_end {
	struct soak_link *link;
	const struct soak_phase *phase;
	int fd;
	bool leads;
	uint64_t out_seed, in_seed, sent, received; /* numbers of the next messages */
	uint64_t state;                             /* of its own choices */
	char *out, *in;
	size_t len, done, have; /* bytes in out, of them sent; bytes in in */
	uint32_t *at;           /* where each message in out begins, and the end of the last */
	unsigned puts;
};

struct soak_link {
	struct soak_counts *counts;
	struct soak_end ends[2]; /* the client's, the server's */
	struct soak_phase *phases;
	unsigned count;
	atomic_bool failed;
	bool go; /* on with the next phase; decided by the client's end between two passes of the gate */
	pthread_barrier_t gate;
};

const char *soak_style_name(enum soak_style style);
/** Room for what an end sends and receives; false if there is none. For the life of a process. */
bool soak_end_new(struct soak_end *e);
/** All phases, and then the end, on a connection whose two descriptors are set. Returns false if anything was wrong. */
bool soak_link_run(struct soak_link *l, bool half_close);
/** Draws the phases of a connection: of messages alone, which stay small, or of everything. */
void soak_link_draw(struct soak_link *l, uint64_t *state);

enum { SOAK_PHASES_MAX = 24, SOAK_PATIENCE_S = 180 };

#endif
