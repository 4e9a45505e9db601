/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes' own controllers, as far as a lab needs them, through the API alone: Deployments,
 * ReplicaSets, endpoints, the scheduler, pods of lost nodes, names for the DNS server. Each looks
 * at what is in the caches and does what is missing, again for every change; a key that has a
 * write under way is looked at when that is answered. One thread.
 */
#ifndef MESH_LAB_CONTROLLERS_H
#define MESH_LAB_CONTROLLERS_H

#include "core/loop.h"
#include "lab/lab_json.h"
#include "lab/lab_state.h"

struct mesh_controllers;

/** What may have to be done again: one for each object that a controller looks after. */
typedef void mesh_reconcile_fn(struct mesh_controllers *c, const char *ns, const char *name);

enum mesh_controller {
	MESH_CONTROLLER_DEPLOYMENT,
	MESH_CONTROLLER_REPLICASET,
	MESH_CONTROLLER_ENDPOINTS,
	MESH_CONTROLLER_POD, /* schedules; removes those of lost nodes */
	MESH_CONTROLLER_DNS,
	MESH_CONTROLLER_SYSTEM, /* kube-dns, kubernetes */
	MESH_CONTROLLER_COUNT,
};

struct mesh_controllers {
	struct mesh_loop *loop;
	struct mesh_lab lab;
	struct mesh_kube *kube;
	struct mesh_lab_events *events, *scheduler_events;
	struct mesh_lab_cache deployments, replicasets, pods, services, slices, endpoints, nodes, leases, namespaces;
	struct mesh_map dirty; /* "K/ns/name" -> itself */
	struct mesh_map busy;  /* keys with writes under way -> struct mesh_busy * */
	struct mesh_timer work;
};

/** This object is to be looked at (soon; once, however often asked). */
void mesh_controllers_queue(struct mesh_controllers *c, enum mesh_controller which, const char *ns, const char *name);
/** The same, after a delay of about a second. */
void mesh_controllers_queue_later(struct mesh_controllers *c, enum mesh_controller which, const char *ns,
				  const char *name);
/**
 * Sends a write for that key. Its answer goes into the cache of its kind (given, may be NULL), and the key is queued
 * again; until then it is not looked at. body is taken over.
 */
void mesh_controllers_write(struct mesh_controllers *c, enum mesh_controller which, const char *ns, const char *name,
			    const char *method, const char *path, json_t *body, struct mesh_lab_cache *cache);

void mesh_deployment_reconcile(struct mesh_controllers *c, const char *ns, const char *name);
void mesh_replicaset_reconcile(struct mesh_controllers *c, const char *ns, const char *name);
void mesh_endpoints_reconcile(struct mesh_controllers *c, const char *ns, const char *name);
void mesh_pod_reconcile(struct mesh_controllers *c, const char *ns, const char *name);
void mesh_dns_reconcile(struct mesh_controllers *c, const char *ns, const char *name);
void mesh_system_reconcile(struct mesh_controllers *c, const char *ns, const char *name);

/* ---- Names (names.c), as Kubernetes makes them. */

enum { MESH_SUFFIX_LEN = 5, MESH_HASH_MAX = 12 };

/** Five random characters of bcdfghjklmnpqrstvwxz2456789 and a NUL. */
void mesh_name_suffix(char out[MESH_SUFFIX_LEN + 1]);
/** A number in that alphabet: each decimal digit is replaced by one character. */
void mesh_name_encode(uint32_t number, char out[MESH_HASH_MAX]);
/** pod-template-hash: FNV-1a over the template in canonical form, and the collision count if it is not 0. */
void mesh_name_template_hash(const json_t *pod_template, unsigned collisions, char out[MESH_HASH_MAX]);
/** "<base>-<suffix>", with base cut so that the whole has at most 63 characters; caller frees. */
char *mesh_name_pod(const char *base);

/* ---- Rolling updates (deployment.c), pure arithmetic. */

/** 3 or "25%" of total, rounded up or down; otherwise if it is missing. */
unsigned mesh_deployment_fraction(const json_t *value, unsigned total, bool up, unsigned otherwise);

struct mesh_rollout {
	unsigned replicas;                  /* wanted */
	unsigned surge, unavailable;        /* maxSurge, maxUnavailable; not both 0 */
	unsigned new_wanted, new_available; /* of the new ReplicaSet */
	unsigned old_wanted, old_available; /* of all others */
};

/** How many replicas the new set should have now. */
unsigned mesh_rollout_new(const struct mesh_rollout *r);
/** How many replicas of the old sets may be taken away now; unhealthy: how many of them are not available. */
unsigned mesh_rollout_old_less(const struct mesh_rollout *r);

#endif
