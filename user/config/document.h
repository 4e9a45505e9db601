/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to objects: YAML (several documents, bare "---" included) or JSON, each value with
 * the line and column it came from. Offline (meshctl, tests) and in the API the same code
 * checks an object. All errors are reported at once.
 */
#ifndef MESH_CONFIG_DOCUMENT_H
#define MESH_CONFIG_DOCUMENT_H

#include "config/kind.h"
#include "core/map.h"

struct mesh_position {
	unsigned line, column;
};

/** One document. Owns value and positions. */
struct mesh_document {
	char *file;
	json_t *value;             /* an object */
	struct mesh_map positions; /* "spec.http[0].route" -> struct mesh_position * of the key (or item) */
};

struct mesh_documents {
	MESH_VEC(struct mesh_document) list; /* empty documents are left out; kind List is expanded */
};

void mesh_documents_free(struct mesh_documents *docs);
/**
 * Parses text named file (for errors; may be NULL). Limits: 3 MiB of text, depth 64, aliases expanded to
 * 1 MiB at most. Returns 0; -EINVAL with errs filled and *ret untouched.
 */
int mesh_documents_parse(const char *file, struct mesh_slice text, struct mesh_documents *ret, struct mesh_errs *errs);

/**
 * One JSON value that is the whole text (a request's body). A key that is there twice: the last one stays, and
 * duplicates gets an error with its path. Returns 0; -EINVAL with errs filled and *ret untouched.
 */
int mesh_json_parse(struct mesh_slice text, json_t **ret, struct mesh_errs *errs, struct mesh_errs *duplicates);

/** How unknown fields are treated (fieldValidation=). */
enum mesh_strictness {
	MESH_STRICT_IGNORE,
	MESH_STRICT_WARN,
	MESH_STRICT_ERROR,
};

/**
 * Checks obj against its kind's schema and check(). Errors have path and text as Kubernetes words them, e.g.
 * path "spec.http[0].route[1].weight", text "140 is out of range 0..100". Unsupported fields become warnings.
 * Unknown fields are collected in unknown (path only), for the caller to word. old is NULL on create.
 * Returns 0 when errs got nothing, else -EINVAL.
 */
int mesh_object_check(const struct mesh_kind *kind, const json_t *obj, const json_t *old, struct mesh_errs *errs,
		      struct mesh_errs *warnings, struct mesh_errs *unknown);
/**
 * What a Kubernetes server refuses with 400 before it validates: a value of a type that cannot be read into the field
 * ("json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"). Of kinds that are
 * not builtin only metadata is looked at. Returns 0; -EINVAL with the reason appended to why.
 */
int mesh_object_decodable(const struct mesh_kind *kind, const json_t *obj, struct mesh_buf *why);
/** Fills file, line, column and object of errors that have a path, from the document they came from. */
void mesh_errs_locate(struct mesh_errs *errs, const struct mesh_document *doc);
/** Removes fields the schema does not know (what a structural CRD prunes). */
void mesh_object_prune(const struct mesh_kind *kind, json_t *obj);

/* What follows from the rows (each returns a new reference). */
json_t *mesh_kind_crd(const struct mesh_kind *kind);             /* apiextensions.k8s.io/v1 */
json_t *mesh_openapi_v3_index(void);                             /* GET /openapi/v3 */
json_t *mesh_openapi_v3(const char *group, const char *version); /* NULL if not served */
json_t *mesh_openapi_v2(void);
/* gnostic openapi.v2.Document. Content-Type of the answer: application/com.github.proto-openapi.spec.v2.v1.0+protobuf
 * (with the "@" that clients write in Accept, they cannot parse it). */
void mesh_openapi_v2_protobuf(struct mesh_buf *out);
/** meta.k8s.io/v1 Table of a kind for items (an array of objects). include_object: "Metadata", "Object" or "None". */
json_t *mesh_table(const struct mesh_kind *kind, const json_t *items, const char *include_object, bool with_columns);

/* RFC 7386, RFC 6902 and strategic merge patch. *doc is changed in place only on success. */
int mesh_patch_merge(json_t **doc, const json_t *patch);
int mesh_patch_json(json_t **doc, const json_t *patch, struct mesh_errs *errs);
int mesh_patch_strategic(const struct mesh_kind *kind, json_t **doc, const json_t *patch, struct mesh_errs *errs);

#endif
