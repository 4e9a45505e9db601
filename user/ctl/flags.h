/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as a table: a row per flag gives parsing, checking and help. A command
 * lists the flags that it takes by name. Flags that kubectl has and meshctl has not are
 * refused by name. Values point into argv. One thread.
 */
#ifndef MESH_CTL_FLAGS_H
#define MESH_CTL_FLAGS_H

#include "core/err.h"

enum mesh_flag_type {
	MESH_FLAG_BOOL,
	MESH_FLAG_STRING,
	MESH_FLAG_INT,
	MESH_FLAG_SECONDS, /* "30s", "1m30s", "5" */
	MESH_FLAG_LIST,    /* may be given several times */
	MESH_FLAG_MAYBE,   /* --name=value, or --name alone for "client" where the verb takes bare-dry-run */
};

struct mesh_texts {
	MESH_VEC(const char *) list;
};

/** What was said. A pointer is NULL, a number -1 where nothing was. */
struct mesh_flags {
	const char *kubeconfig, *context, *namespace, *output, *selector, *field_selector, *container, *type, *patch;
	const char *dry_run, *validate, *raw, *condition, *since, *resource_version, *replicas_now, *name, *cascade;
	const char *image, *node, *socket;
	struct mesh_texts files, label_columns, set;
	long replicas, tail, grace, chunk, limit_bytes;
	double timeout, request_timeout, since_seconds;
	bool all_namespaces, watch, watch_only, output_watch_events, show_labels, no_headers, ignore_not_found,
		show_kind;
	bool recursive, overwrite, all, list, stdin_open, tty, quiet, follow, previous, timestamps, prefix,
		all_containers;
	bool wait, client, show_managed, save_config, local, help, now, show_events;
	bool keep_crds, keep_namespaces, pre, allow_downgrade;
	bool all_said, grace_said; /* told apart from their defaults */
	struct mesh_texts args;    /* what is no flag */
	char **command;            /* after "--", NULL-ended; or NULL */
};

struct mesh_flag {
	const char *name;
	char letter;
	enum mesh_flag_type type;
	size_t offset;          /* in struct mesh_flags */
	const char *value_name; /* for help; NULL for BOOL */
	const char *values;     /* "client|server|none": all that is allowed, or NULL */
	const char *help;
};

struct mesh_verb;
struct mesh_ctl;

struct mesh_verb {
	const char *name, *usage, *help;
	const char *flags; /* names of the rows it takes beyond the common ones, separated by blanks */
	int (*run)(struct mesh_ctl *ctl, const struct mesh_flags *flags);
	bool offline; /* needs no server, or connects by itself */
};

void mesh_flags_free(struct mesh_flags *flags);
/** Parses argv[1..] for a verb. Returns 0, or -EINVAL with one error as kubectl words it ("unknown flag: --x"). */
int mesh_flags_parse(const struct mesh_verb *verb, int argc, char **argv, struct mesh_flags *ret,
		     struct mesh_errs *errs);
/** The text of --help. */
void mesh_flags_help(const struct mesh_verb *verb, struct mesh_buf *out);
/** "1h", "1m30s", "500ms", "5" (seconds). Returns 0 or -EINVAL, *ret untouched on failure. */
int mesh_seconds_parse(const char *text, double *ret);

#endif
