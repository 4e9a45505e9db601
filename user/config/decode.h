/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects as the API serves them to the model. Pure functions. They take what passed validation, but trust
 * nothing: a wrong type, a missing name or a bad address gives -EINVAL (or the piece is left out where the model says
 * it may be), never a crash. On success *ret is the caller's to free; on failure it is untouched. Any thread.
 */
#ifndef MESH_CONFIG_DECODE_H
#define MESH_CONFIG_DECODE_H

#include "model/route.h"
#include "model/workload.h"

#include <jansson.h>

/** core/v1 Pod. ready: condition Ready is True; finished: phase Succeeded or Failed; terminating: has a
 * deletionTimestamp. */
int mesh_decode_pod(const json_t *obj, struct mesh_workload **ret);
/** core/v1 Service. */
int mesh_decode_service(const json_t *obj, struct mesh_service **ret);
/** core/v1 Node. */
int mesh_decode_node(const json_t *obj, struct mesh_machine **ret);

/**
 * One discovery/v1 EndpointSlice as pieces: one struct mesh_endpoints for each of its ports (those of a slice without a
 * service label or with address type FQDN are left out). The wiring merges the pieces of all slices of a service.
 */
struct mesh_endpoint_pieces {
	char *ns, *name, *service; /* of the slice; service: label kubernetes.io/service-name */
	struct mesh_endpoints **items;
	size_t count;
	struct mesh_endpoint_pieces *next; /* its owner's to use */
};

void mesh_endpoint_pieces_free(struct mesh_endpoint_pieces *pieces);
int mesh_decode_endpoint_slice(const json_t *obj, struct mesh_endpoint_pieces **ret);

/** networking.istio.io, any version. */
int mesh_decode_virtual_service(const json_t *obj, struct mesh_virtual_service **ret);
int mesh_decode_destination_rule(const json_t *obj, struct mesh_destination_rule **ret);
int mesh_decode_gateway(const json_t *obj, struct mesh_gateway **ret);
int mesh_decode_service_entry(const json_t *obj, struct mesh_service_entry **ret);
/** maistra.io/v1 ServiceMeshMemberRoll. */
int mesh_decode_member_roll(const json_t *obj, struct mesh_member_roll **ret);

/** The protocol of a port by Istio's rules: appProtocol, else the name up to its first "-", else TCP (or UDP). */
enum mesh_protocol mesh_decode_protocol(const char *name, const char *app_protocol, const char *transport,
					bool *is_http2);
/** A Go duration ("1.5s", "2m3s", "100ms") in nanoseconds. Returns 0, or -EINVAL with *ret untouched. */
int mesh_decode_duration(const char *text, uint64_t *ret);
/** RFC 3339 ("2026-01-02T03:04:05Z", fraction and offset allowed) in Unix seconds. Returns 0, or -EINVAL. */
int mesh_decode_time(const char *text, int64_t *ret);

#endif
