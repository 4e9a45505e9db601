/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of dataplane/: the splice tier. splice.c loads it and knows who may enter, splice_gen.c what is pinned,
 * splice_flows.c takes flows out by a thread of its own. What sockets are in is a generation: SOCKHASH, its program and
 * their data, pinned as "splice-NUMBER-NAME" until the last flow has ended; new flows enter the newest. Control thread,
 * but where said.
 */
#ifndef MESH_DATAPLANE_SPLICE_H
#define MESH_DATAPLANE_SPLICE_H

#include "dataplane/dp.h"

/* A generation's maps: id, name of the map, and of its pin. */
#define MESH_SPLICE_MAPS(X)                                                                                            \
	X(SOCKS, splice_socks, "socks")                                                                                \
	X(FLOW, splice_flow, "flow")                                                                                   \
	X(WAIT, splice_wait, "wait")                                                                                   \
	X(IP, splice_ip, "ip")                                                                                         \
	X(COUNT, splice_count, "count")                                                                                \
	X(EVENTS, splice_events, "events")

enum mesh_splice_map {
#define MESH_SPLICE_MAP_ENUM(id, name, pin) MESH_SPLICE_##id,
	MESH_SPLICE_MAPS(MESH_SPLICE_MAP_ENUM)
#undef MESH_SPLICE_MAP_ENUM
		MESH_SPLICE_MAP_COUNT
};

struct mesh_splice_gen {
	unsigned number;
	int maps[MESH_SPLICE_MAP_COUNT];
	int leave; /* program splice_leave */
	struct ring_buffer *ring;
	struct mesh_splice *splice; /* for the ring's callback */
};

/* A flow that is on its way out: the worker's. */
struct mesh_splice_leaver {
	struct mesh_splice_gen *gen;
	uint64_t cookie;
	enum mesh_splice_leave stage;
	unsigned tries;
	uint64_t next_ns;
};

struct mesh_splice {
	struct mesh_dp *dp;
	int conf;               /* map splice_conf */
	bool loaded;            /* new flows may enter the newest generation */
	struct splice_bpf *obj; /* its programs; NULL: not loaded, or this very build had pinned them */
	enum mesh_splice_mode mode;
	char *trouble; /* why it cannot be loaded; NULL */

	pthread_mutex_t pods;                    /* obj, trouble, maps pods and splice_conf; before lock */
	pthread_mutex_t lock;                    /* gens, probe_wanted, all_out, stop */
	MESH_VEC(struct mesh_splice_gen *) gens; /* oldest first */
	bool probe_wanted, all_out, stop;

	pthread_t worker;
	bool runs;
	int wake;                                    /* eventfd */
	MESH_VEC(struct mesh_splice_leaver) leavers; /* the worker's */
	uint64_t next_sweep_ns;                      /* the worker's */
	_Atomic uint64_t left, leaving;              /* flows that left; that are to */
};

/** Opens what is pinned, and goes on with it. Returns 0 or -errno with errs. */
int mesh_splice_start(struct mesh_dp *dp, struct mesh_errs *errs);
/** Everything stays pinned and in force. NULL is fine. */
void mesh_splice_stop(struct mesh_splice *s);
/** What map splice_conf has: the switch, and what the probes found. */
struct mesh_splice_conf mesh_splice_conf_of(const struct mesh_splice *s);
/** Takes what can be taken out of all generations of a directory that nobody uses, within a moment. */
void mesh_splice_retire(const char *pin_dir);
/** A pod is about to be released: its addresses are nobody's any more. */
void mesh_splice_forget(struct mesh_dp *dp, uint64_t netns_cookie);
/** Any thread: the probes have an answer, or the mode changed: each pod's new flows go by it. Returns 0 or -errno. */
int mesh_splice_reconsider(struct mesh_splice *s, struct mesh_errs *errs);
/** Around what reads and writes entries of map pods, map splice_conf and what load sets. Recursive. NULL is fine. */
void mesh_splice_lock(struct mesh_splice *s);
void mesh_splice_unlock(struct mesh_splice *s);

/** Finds what mesh_splice_open() tells programs of blocked readers. Before it; once for a process. Any thread. */
void mesh_splice_find_reader(void);
/** Whether memory is accounted for by a hierarchy of cgroup v1. Any thread. */
bool mesh_splice_memory_v1(void);
/**
 * Opens the object with the data plane's maps (dp NULL: without splice_ops, which needs them), splice_conf (-1: one of
 * its own) and a generation's (NULL: new ones). NULL with errno; splice_bpf__destroy() is for the caller.
 */
struct splice_bpf *mesh_splice_open(const struct mesh_dp *dp, int conf, const struct mesh_splice_gen *g);

/** Whether any pod's flows are spliced now. *why: if not, good while it is locked. */
bool mesh_splice_in_use(const struct mesh_dp *dp, const char **why);

/* splice_gen.c */
/** A generation that is pinned in dir. NULL if it is not whole. */
struct mesh_splice_gen *mesh_splice_gen_open(const char *dir, unsigned number);
void mesh_splice_gen_free(struct mesh_splice_gen *g);
void mesh_splice_gen_unpin(const char *dir, unsigned number);
/** Numbers of the generations pinned in dir, ascending. Caller frees *ret. */
size_t mesh_splice_gen_list(const char *dir, unsigned **ret);
/** Pins an object's programs and maps as a generation. Returns 0 or -errno. */
int mesh_splice_gen_pin(const char *dir, unsigned number, const struct splice_bpf *obj);
/** Has an object that is not loaded yet use the maps of a generation. Returns 0 or -errno. */
int mesh_splice_gen_share(const struct mesh_splice_gen *g, const struct splice_bpf *obj);
/** Opens the program that the sockets of a generation run; < 0: it is not pinned. */
int mesh_splice_gen_program(const char *dir, unsigned number);
/** Whether the sockets of a generation run the very program that the object has. */
bool mesh_splice_gen_runs(const char *dir, unsigned number, const struct splice_bpf *obj);

/* splice_flows.c */
int mesh_splice_worker_start(struct mesh_splice *s);
void mesh_splice_worker_stop(struct mesh_splice *s);
void mesh_splice_worker_wake(struct mesh_splice *s);
/** One step for a flow by either end's cookie. Returns its answer, or -errno; *peer may be NULL. Any thread. */
int mesh_splice_ask(const struct mesh_splice_gen *g, uint64_t cookie, enum mesh_splice_step step, uint64_t *peer);
/** Takes both ends out of the map. Only after an answer of 1 to MESH_SPLICE_STEP_CHECK. */
void mesh_splice_remove(const struct mesh_splice_gen *g, uint64_t a, uint64_t b);
/** Cookies in map splice_flow; only those that leave already, or all. Caller frees *ret. */
size_t mesh_splice_cookies(const struct mesh_splice_gen *g, bool only_leaving, uint64_t **ret);

#endif
