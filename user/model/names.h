/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names by which the parts of the mesh know each other through the Kubernetes API.
 */
#ifndef MESH_MODEL_NAMES_H
#define MESH_MODEL_NAMES_H

/* The mesh's own namespace: its control plane, roll and Leases are here. */
#define MESH_ROOT_NAMESPACE "istio-system"

/* Kubernetes' own labels on what the mesh is made of: "sockmesh"; agent, control, gateway, ...; which part made it. */
#define MESH_LABEL_NAME      "app.kubernetes.io/name"
#define MESH_LABEL_VERSION   "app.kubernetes.io/version"
#define MESH_LABEL_COMPONENT "app.kubernetes.io/component"
#define MESH_LABEL_MANAGED   "app.kubernetes.io/managed-by"

/*
 * On a Lease of an agent or gateway: which it is, and how far each kind is in force there. JSON: "PLURAL.GROUP" to the
 * resourceVersion reached; and, where there are any, MESH_LEASE_UNUSABLE to ["PLURAL.GROUP NS/NAME", ...]: objects that
 * it cannot read, and that are therefore not in force whatever version was reached.
 */
#define MESH_LEASE_COMPONENT_LABEL "sockmesh.io/component"
#define MESH_LEASE_IN_FORCE        "sockmesh.io/in-force"
#define MESH_LEASE_UNUSABLE        "unusable"
enum { MESH_LEASE_SECONDS = 30, MESH_LEASE_RENEW_SECONDS = 10 };

#endif
