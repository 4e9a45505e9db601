/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validating admission as a pure function: AdmissionReview in, AdmissionReview out (admission.k8s.io/v1).
 * The checks and the texts are those of the embedded API and of meshctl without a server. It changes
 * nothing, so a dry run is like any other request. Any thread.
 */
#ifndef MESH_CONTROL_ADMISSION_H
#define MESH_CONTROL_ADMISSION_H

#include "core/err.h"

#include <jansson.h>

/* A request holds an object and what it was before, each of at most 3 MiB (an API server's limit for a body). */
enum { MESH_ADMISSION_BODY_MAX = 7 << 20, MESH_ADMISSION_DEPTH_MAX = 100 };

/**
 * Answers the review in body. Returns 200 and *ret the answer (new reference), or 400 and why appended, with *ret
 * untouched. What is not of a kind that the mesh knows is allowed, with a warning.
 */
int mesh_admission_review(struct mesh_slice body, json_t **ret, struct mesh_buf *why);

#endif
