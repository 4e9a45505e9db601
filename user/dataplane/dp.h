/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of dataplane/ share; nobody else includes it. Map descriptors are set once by
 * load and only read after, so any thread may use them; all else belongs to the control thread,
 * but for the garbage, which has its own lock.
 */
#ifndef MESH_DATAPLANE_DP_H
#define MESH_DATAPLANE_DP_H

#include "core/err.h"
#include "core/map.h"
#include "dataplane/dataplane.h"
#include "mesh/abi.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>

/* Every map; its name in bpf/lib/maps.bpf.h and its pin. */
#define MESH_DP_MAPS(X)                                                                                                \
	X(NODE, node)                                                                                                  \
	X(PODS, pods)                                                                                                  \
	X(SVC4, svc4)                                                                                                  \
	X(SVC6, svc6)                                                                                                  \
	X(DEST, dest)                                                                                                  \
	X(EP4, ep4)                                                                                                    \
	X(EP6, ep6)                                                                                                    \
	X(MEMBER, member)                                                                                              \
	X(AFFINITY, affinity)                                                                                          \
	X(UDPFLOW, udpflow)                                                                                            \
	X(NODEIP, nodeip)                                                                                              \
	X(SOCK, sock)                                                                                                  \
	X(SOCKMORE, sockmore)                                                                                          \
	X(ORIGDST, origdst)                                                                                            \
	X(UDPSRC, udpsrc)                                                                                              \
	X(REFUSED, refused)                                                                                            \
	X(TIERS, tiers)                                                                                                \
	X(REASONS, reasons)                                                                                            \
	X(SWITCHES, switches)                                                                                          \
	X(VETH, veth)                                                                                                  \
	X(VETHPLACES, vethplaces)                                                                                      \
	X(PODIP, podip)                                                                                                \
	X(OWNIP, ownip)                                                                                                \
	X(FLOWS, flows)                                                                                                \
	X(FLOWEV, flowev)                                                                                              \
	X(BYPASSED, bypassed)

enum mesh_dp_map {
#define MESH_DP_MAP_ENUM(id, name) MESH_DP_MAP_##id,
	MESH_DP_MAPS(MESH_DP_MAP_ENUM)
#undef MESH_DP_MAP_ENUM
		MESH_DP_MAP_COUNT
};

/* The key of svc4 or svc6. */
struct mesh_dp_key {
	bool v6;
	union {
		struct mesh_key4 k4;
		struct mesh_key6 k6;
	};
};

static inline enum mesh_key_kind mesh_dp_key_kind(const struct mesh_dp_key *key)
{
	return (enum mesh_key_kind)(key->v6 ? key->k6.kind : key->k4.kind);
}

/* A service as the maps have it. */
struct mesh_dp_service {
	struct mesh_dp_key key;
	uint64_t set, hash; /* hash: of all that an image says of it */
	uint32_t dests;
	enum mesh_tier tier;
	bool members;             /* its endpoints are in map member too */
	enum mesh_l4_drain drain; /* as the last image that had it says; NONE before */
	uint64_t seen;            /* the apply that last found it in an image */
};

/* A set that nothing points to any more, or never did. */
struct mesh_dp_garbage {
	uint64_t set;
	uint32_t dests;
	bool v6, members;
};

/* A set that is not in force any more and is not yet compared with what is. */
struct mesh_dp_retired {
	struct mesh_dp_garbage garbage;
	struct mesh_dp_key key;
	enum mesh_l4_drain drain;
};

struct mesh_dp_addr_cache;
struct mesh_dp_bypass;
struct mesh_dp_xdp;

struct mesh_dp {
	char *pin_dir, *cgroup_root;
	char *agent_cgroup_path;
	int host_netns;                      /* borrowed; 0: this process's */
	uint64_t agent_cgroup, agent_before; /* as in map node */
	struct connect_bpf *connect;
	struct sockops_bpf *sockops;
	struct flows_bpf *flows; /* NULL: this kernel has no bpf_sock_destroy */
	struct bpf_link *flows_link, *udp_flows_link;
	bool flows_tried;
	int maps[MESH_DP_MAP_COUNT];
	uint32_t sizes[MESH_DP_MAP_COUNT], map_ids[MESH_DP_MAP_COUNT];
	bool kept; /* the programs that were pinned are this build's: they go on, and maps[] are dp's own descriptors */
	int older[MESH_DP_MAP_COUNT]; /* what the maps of the same number take the place of; -1: nothing */
	bool committed;               /* the new maps have their places */
	uint32_t found_abi;           /* layout of what was pinned; 0: nothing was */
	uint64_t migrated;            /* entries that were carried over from older */
	bool can_set_retval, can_cast, adopted, off;
	int pin_lock;       /* the pin directory, locked: one agent at a time */
	uint64_t elsewhere; /* as in map node */

	struct mesh_map services; /* key bytes -> struct mesh_dp_service */
	struct mesh_map node_ips; /* keys of map nodeip; the value says nothing */
	size_t service_count[2];  /* of them, IPv4 and IPv6 */
	uint64_t next_set, version, applies;
	bool watch_stale;
	MESH_VEC(struct mesh_dp_retired) retired;

	pthread_t sweeper;
	bool sweeper_runs;
	pthread_mutex_t lock;
	pthread_mutex_t sweeping; /* held from taking the garbage to having deleted it; before lock */
	pthread_cond_t wake;
	MESH_VEC(struct mesh_dp_garbage) garbage; /* under lock */
	bool stop;                                /* under lock */

	struct mesh_splice *splice;
	pthread_rwlock_t splice_kept; /* against its end while another thread asks it */

	struct mesh_dp_addr_cache *cache;
	struct mesh_dp_bypass *bypass;
	struct mesh_dp_xdp *xdp;
	bool doubt; /* a service has gone or has another tier, and flows were not doubted since */
};

const char *mesh_dp_map_name(enum mesh_dp_map map);

/** A pod's addresses, as its entries in maps have them; port 0. Returns how many there are, IPv4 first. */
size_t mesh_dp_ips_of(const uint8_t ip4[4], const uint8_t ip6[16], struct mesh_addr ret[2]);

/** Addresses, borrowed. */
struct mesh_dp_ips {
	const struct mesh_addr *items;
	size_t count;
};

/** An address of a namespace. */
struct mesh_dp_ifaddr {
	struct mesh_addr addr; /* port 0 */
	uint32_t ifindex;
	bool tentative; /* IPv6 duplicate address detection has not ended */
};

struct mesh_dp_ifaddrs {
	MESH_VEC(struct mesh_dp_ifaddr) list;
};

/** Addresses of a namespace but those of loopback, by rtnetlink. Returns 0 or -errno. Free list's array. */
int mesh_dp_addresses(int netns_fd, struct mesh_dp_ifaddrs *ret);

/* walk.c. key and value are there for the call. */
typedef void mesh_dp_see_fn(void *arg, const void *key, const void *value);
typedef bool mesh_dp_goes_fn(void *arg, const void *key, const void *value);
/**
 * Reads a hash map a few thousand entries at a time; each is seen once, whatever changes meanwhile (a walk by
 * key begins anew where its key is gone). Returns how many there are. see NULL: they are only counted.
 */
uint64_t mesh_dp_each_batch(int fd, size_t key_size, size_t value_size, mesh_dp_see_fn *see, void *arg);
/** Deletes what goes (NULL: all). */
void mesh_dp_drop(int fd, size_t key_size, size_t value_size, mesh_dp_goes_fn *goes, void *arg);

/* load.c */
int mesh_dp_load(struct mesh_dp *dp, const struct mesh_dp_opts *opts, struct mesh_errs *errs);
int mesh_dp_attach(struct mesh_dp *dp, struct mesh_errs *errs);
void mesh_dp_unload(struct mesh_dp *dp);
/** Loads an object whose maps are those pinned. Returns 0; -errno with errs. */
int mesh_dp_load_object(struct mesh_dp *dp, struct bpf_object *obj, const char *what, struct mesh_errs *errs);
/** Has an object that is not loaded yet use these of our maps; others of ours it does without. Returns 0 or -errno. */
int mesh_dp_share_maps(const struct mesh_dp *dp, struct bpf_object *obj, const enum mesh_dp_map *maps, size_t count);
/** Runs an iterator's program over all that there is. Returns 0 or -errno. */
int mesh_dp_iterate(const struct bpf_link *link);
/** Brings map node up to date with dp. Returns 0 or -errno. */
int mesh_dp_node_write(struct mesh_dp *dp);

/** Replaces the program of the link that is pinned as name, or attaches and pins a new one. Returns 0 or -errno. */
int mesh_dp_attach_program(struct mesh_dp *dp, struct bpf_program *prog, const char *name, int cgroup_fd,
			   uint64_t cgroup);
/** Adds to errs what failed, with what libbpf said. Returns r. */
int mesh_dp_fail(struct mesh_errs *errs, int r, const char *what);

/** The kernel's number of a program, or of the one in a pinned link if that is on this cgroup; 0: none. */
uint32_t mesh_dp_map_id(int fd);
uint32_t mesh_dp_program_id(int fd);
uint32_t mesh_dp_map_id(int fd);
uint32_t mesh_dp_link_program(const struct mesh_dp *dp, const char *name, uint64_t cgroup);

/* build.c: which build's programs are pinned */
#define MESH_DP_BUILD_MAIN   "main"   /* the note of what is in the cgroups' links */
#define MESH_DP_BUILD_BYPASS "bypass" /* of the filters */
#define MESH_DP_BUILD_SPLICE "splice" /* of the newest generation */
enum {
	MESH_DP_BUILD_TEXT = 256,
	MESH_DP_BUILD_PROGRAMS = 16,
	MESH_DP_BUILD_SET_RETVAL = 1, /* in word of the main note: what was chosen for this kernel */
	MESH_DP_BUILD_CAST = 2,
};

/* A note, as a map's value. */
struct mesh_dp_build {
	char text[MESH_DP_BUILD_TEXT]; /* the build, and its objects' digests */
	uint64_t word;                 /* what was chosen at load */
	uint32_t maps[MESH_DP_MAP_COUNT];
	uint32_t count;
	struct {
		char name[16];
		uint32_t id;
	} programs[MESH_DP_BUILD_PROGRAMS];
};

/**
 * Goes on with what is in the links, if it was loaded by this very build and nothing was changed since: fills dp->maps,
 * sizes, map_ids and what the kernel can. Else false, and dp is untouched.
 */
bool mesh_dp_build_adopt(struct mesh_dp *dp, const char *digest);
/** Whether this build has left a note of that name, about the maps that are pinned. Its programs are not looked at. */
bool mesh_dp_build_find(const struct mesh_dp *dp, const char *name, const char *digest, struct mesh_dp_build *ret);
/** The number that a program of that name had; 0: it has none. */
uint32_t mesh_dp_build_program(const struct mesh_dp_build *b, const char *name);
void mesh_dp_build_add(struct mesh_dp_build *b, const char *name, int program_fd);
/** Fills text and maps, and leaves the note, in the place of an older one. */
void mesh_dp_build_note(const struct mesh_dp *dp, const char *name, const char *digest, struct mesh_dp_build *b);

/* migrate.c: pins of an older layout */
/** Whether what is pinned in that layout can be gone on with. */
bool mesh_dp_can_migrate(uint32_t abi);
/** Reads a map node of any layout. Returns 0; -EPROTO if it is of none that is known, with its number in ret->abi. */
int mesh_dp_node_read(int fd, struct mesh_node *ret);
/** Finds what is to be replaced, for obj, whose maps are those of this version. Returns 0 or -errno with errs. */
int mesh_dp_migrate_begin(struct mesh_dp *dp, const struct bpf_object *obj, struct mesh_errs *errs);
/** Where a map that is loaded is pinned until the commit. Caller frees. */
char *mesh_dp_pin_of(const struct mesh_dp *dp, enum mesh_dp_map map);
int mesh_dp_migrate_fill(struct mesh_dp *dp, struct mesh_errs *errs);
int mesh_dp_migrate_commit(struct mesh_dp *dp, struct mesh_errs *errs);
/** What sockets asked for, from an older layout's local storage. Returns 0 or -errno with errs (NULL: not said). */
int mesh_dp_migrate_sockets(struct mesh_dp *dp, struct mesh_errs *errs);
bool mesh_dp_migrates_sockets(const struct mesh_dp *dp);
/** When all programs are attached. */
void mesh_dp_migrate_end(struct mesh_dp *dp);

/* table.c: the service entries in the maps */
struct mesh_slice mesh_dp_key_bytes(const struct mesh_dp_key *key);
void mesh_dp_key_of(const struct mesh_l4_service *s, struct mesh_dp_key *ret);
/** Whether its endpoints are to be in map member: a pod or socket may stay with one. */
bool mesh_dp_has_members(const struct mesh_l4_service *s);
uint64_t mesh_dp_service_hash(const struct mesh_l4_service *s, struct mesh_buf *scratch);
/** Writes the groups and endpoints of s under set; old: whose turns to go on from, or NULL. Returns 0 or -errno. */
int mesh_dp_set_write(struct mesh_dp *dp, const struct mesh_l4_service *s, uint64_t set,
		      const struct mesh_dp_service *old);
/** Puts set in force for s. Returns 0 or -errno. */
int mesh_dp_set_switch(struct mesh_dp *dp, const struct mesh_l4_service *s, uint64_t set);
int mesh_dp_service_delete(struct mesh_dp *dp, const struct mesh_dp_key *key);
/** Reads what is in force into dp->services and drops sets that nothing points to. Returns 0 or -errno. */
int mesh_dp_table_adopt(struct mesh_dp *dp);

/* elsewhere.c: what is no VIP */
/** Brings map node up to date with the services in force and, if there are any, the nodes' addresses with these. 0 or
 * -errno. */
int mesh_dp_elsewhere_apply(struct mesh_dp *dp, const struct mesh_dp_ips *ips);
int mesh_dp_elsewhere_adopt(struct mesh_dp *dp);

/* sweep.c: deletes sets when no program can still be reading them */
int mesh_dp_sweep_start(struct mesh_dp *dp);
void mesh_dp_sweep_stop(struct mesh_dp *dp);
void mesh_dp_sweep_add(struct mesh_dp *dp, const struct mesh_dp_garbage *g);
/** Waits until every program that runs now has ended. */
void mesh_dp_grace_period(void);
/** Deletes now, after a grace period, all that was added. */
void mesh_dp_sweep_flush(struct mesh_dp *dp);
void mesh_dp_set_delete(struct mesh_dp *dp, const struct mesh_dp_garbage *g);

/* stale.c */
/** As mesh_dp_sweep_add(), but if stale connections are looked for, after that. */
void mesh_dp_retire(struct mesh_dp *dp, const struct mesh_dp_service *s, const struct mesh_dp_garbage *g);
/** Nobody has asked: what was retired is swept. */
void mesh_dp_retired_sweep(struct mesh_dp *dp);

/* flows.c */
/** Whether the kernel has what ends flows by an iterator; loaded at the first call, for a start has no time for it.
 * Control thread. */
bool mesh_dp_flows_load(struct mesh_dp *dp);
/** From now on as if the kernel had not; sock_diag does it. */
void mesh_dp_flows_unload(struct mesh_dp *dp);

/* dataplane.c */
/** Deletes original destinations: all, or those that goes (its argument is dp) says are to go. */
void mesh_dp_origdst_drop(struct mesh_dp *dp, mesh_dp_goes_fn *goes);

/* status.c */
/** Sum over CPUs of a counter in a per-CPU array. */
uint64_t mesh_dp_sum(int fd, uint32_t index);

/* switches.c */
/** The word that stands. */
enum mesh_word mesh_dp_switch_word(const struct mesh_dp *dp, enum mesh_switch id);

/* netlink.c */
struct nlmsghdr;
/** Sends a request for a dump and gives every message of the answer to see(). Returns 0 or -errno. */
int mesh_dp_netlink_dump(int fd, const void *ask, size_t len, void (*see)(void *arg, const struct nlmsghdr *message),
			 void *arg);

/* find.c */
void mesh_dp_cache_free(struct mesh_dp_addr_cache *cache);

#endif
