/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's options as a table: a row gives parsing, checks, default and help. Long options
 * (--name VALUE, --name=VALUE) and single letters (-n VALUE), before the operands; "--" ends them.
 * An option that no row has is refused by name, with the nearest one that there is; all errors
 * are said at once. Texts that are stored point into argv, the environment or the table. One thread.
 */
#ifndef MESH_CORE_OPTS_H
#define MESH_CORE_OPTS_H

#include "core/err.h"

enum mesh_opt_type {
	MESH_OPT_FLAG,     /* bool; takes no value */
	MESH_OPT_STRING,   /* const char * */
	MESH_OPT_UNSIGNED, /* unsigned, from min to max */
	MESH_OPT_PORT,     /* uint16_t, from min to max (0: 65535) */
	MESH_OPT_CHOICE,   /* int or an enum: the place of the value in values, from 0 */
	MESH_OPT_LIST,     /* struct mesh_opt_list; may be repeated */
};

struct mesh_opt_list {
	MESH_VEC(const char *) list;
};

struct mesh_opt {
	const char *name; /* "ready-port" */
	char letter;      /* 0: none */
	enum mesh_opt_type type;
	size_t at;           /* offsetof() in the structure that is filled */
	const char *arg;     /* the value's name in the help; NULL for FLAG */
	const char *help;    /* without the default, which is added */
	const char *initial; /* the value where none is given; NULL: what the structure has */
	const char *env;    /* a variable of the environment that is asked before initial; NULL: none. Empty is unset */
	const char *values; /* CHOICE: "error|warn|info" */
	uint64_t min, max;
	bool required;
};

struct mesh_opts {
	const char *command;  /* "meshd gateway" */
	const char *operands; /* what follows the options, for the help: "POD -- CMD..."; NULL: nothing may */
	const char *about;    /* a line or two below the usage, or NULL */
	const struct mesh_opt *rows;
	size_t count;
};

/**
 * Fills *to from argv[1..]. Returns the index in argv of the first operand (argc: none), -ECANCELED if --help or -h was
 * given, or -EINVAL with every error in errs; *to may then be filled in part.
 */
int mesh_opts_parse(const struct mesh_opts *o, int argc, char **argv, void *to, struct mesh_errs *errs);
/** The text of --help. */
void mesh_opts_help(const struct mesh_opts *o, struct mesh_buf *out);
/** What a main does with them: returns -1 to go on (*operand, if asked for, as above), 0 when the help was printed on
 * stdout, 2 when errors were printed on stderr. */
int mesh_opts_main(const struct mesh_opts *o, int argc, char **argv, void *to, int *operand);
/** Prints errors on stderr after the command's name, and where the help is. Returns 2, a main's exit status. */
int mesh_opts_refuse(const struct mesh_opts *o, const struct mesh_errs *errs);

#endif
