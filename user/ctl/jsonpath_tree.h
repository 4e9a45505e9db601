/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of jsonpath: what a template is compiled to. Made by jsonpath.c, run by jsonpath_run.c. */
#ifndef MESH_CTL_JSONPATH_TREE_H
#define MESH_CTL_JSONPATH_TREE_H

#include "core/vec.h"
#include "ctl/jsonpath.h"

enum mesh_step_type {
	MESH_STEP_FIELD,     /* .name, ['name'] */
	MESH_STEP_ALL,       /* [*], .* */
	MESH_STEP_SLICE,     /* [from:to:every] */
	MESH_STEP_FILTER,    /* [?(@.a=="b")] */
	MESH_STEP_RECURSIVE, /* .. : this value and all below */
	MESH_STEP_UNION,     /* [0,2], ['a','b'] */
};

struct mesh_path;

struct mesh_step {
	enum mesh_step_type type;
	char *name; /* FIELD; FILTER: the operator, "" for "is there" */
	long from, to, every;
	bool has_from, has_to;
	struct mesh_path *left, *right; /* FILTER */
	struct mesh_step *options;      /* UNION: FIELD and SLICE steps */
	size_t option_count;
};

struct mesh_path {
	MESH_VEC(struct mesh_step) steps;
	bool from_root;  /* $ */
	json_t *literal; /* instead of steps: "text", 1, true */
};

enum mesh_node_type {
	MESH_NODE_TEXT,
	MESH_NODE_PATHS, /* {.a,.b} */
	MESH_NODE_RANGE,
};

struct mesh_path_node {
	enum mesh_node_type type;
	char *text;
	MESH_VEC(struct mesh_path *) paths;
	struct mesh_jsonpath *body; /* RANGE */
};

struct mesh_jsonpath {
	MESH_VEC(struct mesh_path_node *) nodes;
};

#endif
