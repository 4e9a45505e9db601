/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What --set can change in the manifests: a table with a row for each key, which gives parsing, checking, help and the
 * change itself. Pure: works on the manifests' objects. Any thread.
 */
#ifndef MESH_CTL_SETTINGS_H
#define MESH_CTL_SETTINGS_H

#include "core/err.h"

#include <jansson.h>

/** The image that the manifests name; --image takes its place everywhere. */
#define MESH_DEFAULT_IMAGE "localhost/sockmesh:dev"

/**
 * Makes one change: text is "key=value". objects: array of manifests. Returns 0, or -EINVAL with one error that says
 * what would be right (the nearest key, the values allowed).
 */
int mesh_setting_apply(json_t *objects, const char *text, struct mesh_errs *errs);
/** Puts image in the place of MESH_DEFAULT_IMAGE in every workload, and in what control passes on to gateways. */
void mesh_setting_image(json_t *objects, const char *image);
/** A line for each key: name, values, help. */
void mesh_settings_help(struct mesh_buf *out);

/** The first object of this kind and name (name NULL: any), borrowed; NULL if there is none. */
json_t *mesh_manifest_find(const json_t *objects, const char *kind, const char *name);
/** The first container of a pod's spec (borrowed), which it has alone from then on: the others only go with a daemon.
 */
json_t *mesh_manifest_only_container(json_t *spec);

#endif
