/* SPDX-License-Identifier: Apache-2.0 */
/* The formats of -o: tables from the server, yaml, json, name, jsonpath, custom-columns. One thread. */
#ifndef MESH_CTL_PRINT_H
#define MESH_CTL_PRINT_H

#include "ctl/ctl.h"
#include "ctl/jsonpath.h"
#include "ctl/tabs.h"

enum mesh_format {
	MESH_FORMAT_TABLE, /* and wide */
	MESH_FORMAT_YAML,
	MESH_FORMAT_JSON,
	MESH_FORMAT_NAME,
	MESH_FORMAT_JSONPATH,
	MESH_FORMAT_COLUMNS,
};

struct mesh_column_spec {
	char *head;
	struct mesh_jsonpath *path;
};

struct mesh_printer {
	enum mesh_format format;
	bool wide;
	struct mesh_jsonpath *path;
	MESH_VEC(struct mesh_column_spec) columns;
	struct mesh_tabs tabs; /* COLUMNS: kept over a watch */
	size_t printed;
};

/** By ctl->flags->output. Returns 0, or prints an error and returns -EINVAL. */
int mesh_printer_init(struct mesh_ctl *ctl, struct mesh_printer *p);
void mesh_printer_free(struct mesh_printer *p);
/** Prints one object (or a List) on stdout, in any format but TABLE. */
void mesh_print(struct mesh_ctl *ctl, struct mesh_printer *p, json_t *obj);
/** After a write: "name verb", or the object in the format of -o. */
void mesh_print_done(struct mesh_ctl *ctl, struct mesh_printer *p, json_t *obj, const char *did);

/** How a Table is shown. */
struct mesh_table_opts {
	const struct mesh_flags *flags;
	bool wide, with_kind; /* names as "kind.group/name" */
	bool no_headers;
	const char *group, *kind; /* for with_kind */
	const char *event;        /* a watch event's type as first column, or NULL */
};
/** Adds a meta.k8s.io Table's rows to tabs. columns: its columnDefinitions (those of the first, in a watch). */
void mesh_table_rows(struct mesh_tabs *tabs, const json_t *table, const json_t *columns,
		     const struct mesh_table_opts *opts);
extern const char mesh_accept_table[];

#endif
