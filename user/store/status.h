/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status objects (meta/v1), as the embedded API and the admission webhook answer with: one place, so that
 * both say the same of the same object. Any thread.
 */
#ifndef MESH_STORE_STATUS_H
#define MESH_STORE_STATUS_H

#include "config/kind.h"

/** New reference. reason and message may be NULL; details is taken and may be NULL. */
json_t *mesh_status_new(int code, const char *reason, const char *message, json_t *details);
/** 422 Invalid with one cause for each error: "VirtualService.networking.istio.io \"x\" is invalid: PATH: TEXT". */
json_t *mesh_status_invalid(const struct mesh_kind *kind, const char *name, const struct mesh_errs *errs);

#endif
