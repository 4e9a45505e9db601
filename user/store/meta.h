/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object metadata (meta.k8s.io/v1 ObjectMeta): who may set what, names, labels, identity,
 * time. Any thread.
 */
#ifndef MESH_STORE_META_H
#define MESH_STORE_META_H

#include "core/time.h"
#include "config/kind.h"

/** Makes obj's metadata that of a new object: keeps what a client may set, gives uid, time and generation. */
void mesh_meta_create(const struct mesh_kind *kind, json_t *obj);
/** Makes obj's metadata a successor of old's: identity from old, the rest from obj. */
void mesh_meta_update(json_t *obj, const json_t *old);
/** generation + 1 if anything but metadata and status differs (kinds that count). */
void mesh_meta_generation(const struct mesh_kind *kind, json_t *obj, const json_t *old);
/** Fills name from generateName. */
void mesh_meta_generate_name(json_t *obj);
/** A random UUID; out has 40 bytes. Returns out. */
const char *mesh_uuid(char *out);
/** n letters as Kubernetes picks them for generated names; out has n + 1 bytes. */
const char *mesh_random_name(char *out, size_t n);

bool mesh_name_is_label(const char *name);     /* RFC 1123 label */
bool mesh_name_is_subdomain(const char *name); /* RFC 1123 subdomain */

#endif
