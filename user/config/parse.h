/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: the two readers behind mesh_documents_parse(). Both note the position of every key and
 * list item in the document's map and refuse what is deeper than the limit.
 */
#ifndef MESH_CONFIG_PARSE_H
#define MESH_CONFIG_PARSE_H

#include "config/document.h"

enum {
	MESH_PARSE_TEXT_MAX = 3 << 20,
	MESH_PARSE_DEPTH_MAX = 64,
	MESH_PARSE_ALIAS_MAX = 1 << 20,
};

/** What both readers share. positions NULL: not wanted. */
struct mesh_parse {
	const char *file;
	struct mesh_errs *errs;
	struct mesh_errs *duplicates; /* where a key that is there twice is told (the last one stays) */
	struct mesh_map *positions;
	struct mesh_buf path; /* of the value being read */
};

/** Notes the position of p->path. */
void mesh_parse_position(struct mesh_parse *p, unsigned line, unsigned column);
/** Appends ".key" (or "key") resp. "[index]" to the path; returns the length before, to cut back to. */
size_t mesh_parse_path_key(struct mesh_parse *p, const char *key);
size_t mesh_parse_path_index(struct mesh_parse *p, size_t index);
void mesh_parse_path_cut(struct mesh_parse *p, size_t len);
/** Adds an error with file and position. */
void mesh_parse_error(struct mesh_parse *p, unsigned line, unsigned column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void mesh_parse_duplicate(struct mesh_parse *p, unsigned line, unsigned column);
void mesh_positions_free(struct mesh_map *positions);

/** A number: an integer where it is whole (and exact), as Go writes it. */
json_t *mesh_parse_real(double d);

/** A cursor over JSON text, for several values in a row. */
struct mesh_json_text {
	const char *at, *end, *line_start;
	unsigned line;
};

/** The next value, NULL at the end or on an error (then errs has it; the cursor is behind the text). */
json_t *mesh_json_next(struct mesh_parse *p, struct mesh_json_text *text);
/** Calls add for each document of YAML text. Returns 0, or -EINVAL with errs filled. */
int mesh_yaml_each(struct mesh_parse *p, struct mesh_slice text,
		   void (*add)(void *arg, json_t *value, struct mesh_map *positions, unsigned line), void *arg);

#endif
