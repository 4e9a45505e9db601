/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifests of deploy/, which are part of this program: install, upgrade and uninstall work on the same objects
 * that `kubectl apply -k deploy` would. Any thread.
 */
#ifndef MESH_CTL_MANIFEST_H
#define MESH_CTL_MANIFEST_H

#include "ctl/flags.h"
#include "ctl/settings.h"
#include "model/names.h"

#define MESH_SYSTEM_NAMESPACE "sockmesh-system"
#define MESH_ANNOTATION_MADE  "sockmesh.io/made-by" /* on namespaces and CRDs that were not there before */
#define MESH_ANNOTATION_ABI   "sockmesh.io/abi"     /* of the agents' DaemonSet: layout of what is pinned on nodes */
#define MESH_ANNOTATION_TIME                                                                                           \
	"sockmesh.io/version-time" /* of the same: when the version's commit was made, s since 1970 */

/** The text of all manifests, in the order of the kustomization. Static. */
struct mesh_slice mesh_manifest_text(void);
/** What upgrade goes on with: the image and the settings that were said at the last installation. */
#define MESH_ANNOTATION_SAID "sockmesh.io/install"

/**
 * The objects as they are to be applied: image and settings put in, with the label of who manages them and of the
 * version. *ret: a new array. Returns 0, or -EINVAL with errs.
 */
int mesh_manifest_load(const char *image, const struct mesh_texts *set, json_t **ret, struct mesh_errs *errs);
/** metadata.labels[key], or "". */
const char *mesh_label_of(const json_t *obj, const char *key);
const char *mesh_annotation_of(const json_t *obj, const char *key);

/** <0, 0, >0 as a is older than, the same as or newer than b ("1.4.0", "v1.4.0-3-gabc"); *known: they have an order. */
int mesh_version_compare(const char *a, const char *b, bool *known);

#endif
