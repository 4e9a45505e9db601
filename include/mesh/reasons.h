/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) OR Apache-2.0 */
/*
 * Every reason for which the mesh refuses, drops or passes over a flow: one row, one place.
 * X(code, NAME, "name", "help"). Codes are stable: they are in maps and metrics.
 */
#ifndef MESH_REASONS_H
#define MESH_REASONS_H

#define MESH_REASONS(X)                                                                                                \
	X(0, NONE, "none", "not refused")                                                                              \
	X(1, NO_ENDPOINT, "no_endpoint", "the destination drawn has no ready endpoint")                                \
	X(2, NO_SUBSET, "no_subset", "the route names a subset that no DestinationRule has")                           \
	X(3, NO_ORIGDST, "no_origdst", "a connection reached the agent without an original destination")               \
	X(4, NO_LISTENER, "no_listener", "the agent's listener in the pod is not up")                                  \
	X(5, MAP_FULL, "map_full", "a table of the data plane is full")                                                \
	X(6, BAD_CONFIG, "bad_config", "a table of the data plane is inconsistent")                                    \
	X(7, POLICY, "policy", "denied by policy")                                                                     \
	X(8, NO_LOCAL_ENDPOINT, "no_local_endpoint", "internalTrafficPolicy Local: no ready endpoint on this node")    \
	X(9, SPOOFED, "spoofed", "a pod sent from an address that is not its own")                                     \
	X(10, UPLINK_SPOOFED, "uplink_spoofed", "the uplink brought a packet from an address of a pod of this node")   \
	X(11, UPLINK_MARTIAN, "uplink_martian", "the uplink brought a packet from an address that is nobody's")

enum mesh_reason {
#define MESH_REASON_ENUM(code, id, name, help) MESH_REASON_##id = code,
	MESH_REASONS(MESH_REASON_ENUM)
#undef MESH_REASON_ENUM
		MESH_REASON_COUNT
};

#endif
