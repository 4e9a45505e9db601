/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kind is a row of a table: what it is called, where it is served, its fields, how it is
 * printed. The same rows parse, validate, print, document and make CRDs. All data here is
 * static and constant; any thread.
 */
#ifndef MESH_CONFIG_KIND_H
#define MESH_CONFIG_KIND_H

#include "core/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum mesh_type {
	MESH_TYPE_OBJECT, /* .of */
	MESH_TYPE_ARRAY,  /* of .item (and .of if that is an object) */
	MESH_TYPE_MAP,    /* string -> .item (and .of) */
	MESH_TYPE_STRING,
	MESH_TYPE_BOOL,
	MESH_TYPE_INT32,
	MESH_TYPE_INT64,
	MESH_TYPE_NUMBER,
	MESH_TYPE_INT_OR_STRING,
	MESH_TYPE_QUANTITY, /* "100m", "1Gi" (a number is accepted) */
	MESH_TYPE_DURATION, /* "1.5s", "100ms" (Go/protobuf JSON) */
	MESH_TYPE_TIME,     /* RFC 3339 */
	MESH_TYPE_BYTES,    /* base64 */
	MESH_TYPE_ANY,      /* preserved as it is, never validated */
};

enum mesh_field_flag {
	MESH_FIELD_REQUIRED = 1 << 0,
	MESH_FIELD_UNSUPPORTED = 1 << 1, /* known to Istio, accepted, has no effect here yet: a named warning */
	MESH_FIELD_IGNORED = 1 << 2,     /* known, accepted, rightly without effect in this mesh: no warning */
	MESH_FIELD_DEPRECATED = 1 << 3,
	MESH_FIELD_RANGE = 1 << 4,       /* min and max hold */
	MESH_FIELD_RETAIN_KEYS = 1 << 5, /* strategic merge: a patch names all keys that stay */
	MESH_FIELD_NULLABLE = 1 << 6,    /* null is a value (kinds that are not builtin) */
};

struct mesh_schema;

struct mesh_field {
	const char *name; /* NULL ends a table */
	enum mesh_type type;
	enum mesh_type item;
	const struct mesh_schema *of;
	unsigned flags;
	int64_t min, max;          /* with MESH_FIELD_RANGE; on strings, arrays, maps: their length; durations: ns */
	const char *const *values; /* NULL-ended: an enum */
	const char *merge_key;     /* arrays: strategic merge by this field; "": a set of scalars; NULL: atomic */
	const char *help;          /* one sentence; `kubectl explain` shows it */
};

struct mesh_schema {
	const char *name; /* "HTTPRoute"; builtin kinds: the full name, "io.k8s.api.core.v1.PodSpec" */
	const char *help;
	const struct mesh_field *fields;
	bool open; /* unknown fields are kept, not refused */
	/* Groups "a|b|c" of which at most one may be set, "!a|b": exactly one. NULL-ended, or NULL. */
	const char *const *one_of;
};

struct mesh_column {
	const char *name; /* "Age"; NULL ends a table */
	const char *type; /* "string", "integer", "date", "boolean" */
	const char *help;
	int priority;                       /* 0: always, 1: -o wide only */
	const char *json_path;              /* ".spec.hosts", as in CRDs; or NULL and cell */
	json_t *(*cell)(const json_t *obj); /* new reference: string, number or null */
};

enum mesh_kind_flag {
	MESH_KIND_NAMESPACED = 1 << 0,
	MESH_KIND_STATUS =
		1 << 1, /* /status subresource; writes to the main resource leave .status alone and vice versa */
	MESH_KIND_SCALE = 1 << 2,      /* /scale: spec.replicas */
	MESH_KIND_GENERATION = 1 << 3, /* metadata.generation counts changes outside metadata and status */
	MESH_KIND_BUILTIN = 1 << 4,    /* Kubernetes' own (strategic merge patch, no CRD) */
	MESH_KIND_CRD = 1 << 5,        /* ours: `meshctl crds` prints it */
	MESH_KIND_OPENSHIFT = 1 << 6,  /* a real API server may lack it */
};

struct mesh_kind {
	const char *group;           /* "" for core */
	const char *const *versions; /* served, preferred first, NULL-ended; all have the same fields */
	const char *storage_version;
	const char *kind, *plural, *singular;
	const char *const *short_names; /* NULL-ended, or NULL */
	const char *const *categories;  /* "all", "istio-io", ...; NULL-ended, or NULL */
	unsigned flags;
	const struct mesh_schema *schema; /* of the whole object, without apiVersion, kind, metadata */
	const struct mesh_column *columns;
	/* What a schema cannot say (weights, references within the object, ...). Adds to errs and warnings; may be
	 * NULL. */
	void (*check)(const struct mesh_kind *kind, const json_t *obj, const json_t *old, struct mesh_errs *errs,
		      struct mesh_errs *warnings);
	/* Fills in defaults as the API server does; may be NULL. old is NULL on create. */
	void (*fill)(const struct mesh_kind *kind, json_t *obj, const json_t *old);
	const char *help;
};

/** All rows, in the order of discovery. */
const struct mesh_kind *const *mesh_kinds(size_t *count);
/** By plural in a group; NULL if none. */
const struct mesh_kind *mesh_kind_by_plural(const char *group, const char *plural);
/** By kind name in a group; NULL if none. */
const struct mesh_kind *mesh_kind_by_name(const char *group, const char *kind);
/** By what a person types: plural, singular, short name, kind, any with ".group"; NULL if none. */
const struct mesh_kind *mesh_kind_by_word(const char *word);
bool mesh_kind_serves(const struct mesh_kind *kind, const char *version);

#endif
