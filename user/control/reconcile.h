/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of one round: each looks at the cache and asks for the writes that bring the API in
 * line. Calling them again at any time is right. Loop thread only.
 */
#ifndef MESH_CONTROL_RECONCILE_H
#define MESH_CONTROL_RECONCILE_H

#include "control/cache.h"

struct mesh_control_opts {
	const char *route_host; /* of the ingress gateway's Route; NULL: the API's choice */
	const char *image;      /* of the gateways' pods */
	bool embedded;          /* the API is our own, and pods are a lab's: no controllers but these */
};

void mesh_control_namespaces(struct mesh_cache *cache);
/** ServiceMeshControlPlanes: gateways with all that belongs to them, status. */
void mesh_control_planes(struct mesh_cache *cache, const struct mesh_control_opts *opts);
/** The control plane of a namespace: the oldest, if there are several; or NULL. Borrowed. */
const json_t *mesh_control_plane_of(struct mesh_cache *cache, const char *ns);

/** Since when an object's generation waits to be in force; kept between rounds. */
struct mesh_control_force;

/** ServiceMeshMemberRolls and ServiceMeshMembers: who is in the mesh, status. Before mesh_control_in_force(). */
void mesh_control_members(struct mesh_cache *cache, struct mesh_control_force *force);
struct mesh_control_force *mesh_control_force_new(void);
void mesh_control_force_free(struct mesh_control_force *force);
/**
 * Status of VirtualServices and the like: in force on every agent and gateway that lives, and what has no effect.
 * Forgets what nobody has asked for since the last call.
 */
void mesh_control_in_force(struct mesh_control_force *force, struct mesh_cache *cache);
/** The condition InForce of a roll with these members. New reference. */
json_t *mesh_control_roll_in_force(struct mesh_control_force *force, struct mesh_cache *cache, const json_t *roll,
				   const json_t *configured);
/** Removes Leases of agents and gateways that died long ago. */
void mesh_control_leases(struct mesh_cache *cache);

/**
 * {"type", "status", "reason", "message", "lastTransitionTime"}: the time is that of the condition in obj's status
 * when its status word is the same, else now. New reference.
 */
json_t *mesh_control_condition(const json_t *obj, const char *type, bool ok, const char *reason, const char *message);

#endif
