/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server has, by discovery (aggregated where it can, else group by group), and what a person means
 * by "vs", "VirtualServices.networking.istio.io" or "all". Without a server the mesh's own kinds answer.
 */
#ifndef MESH_CTL_RESOURCE_H
#define MESH_CTL_RESOURCE_H

#include "config/get.h"
#include "ctl/ctl.h"

struct mesh_resource {
	char *group, *version, *plural, *singular, *kind;
	MESH_VEC(char *) short_names, categories;
	bool namespaced, listable, scalable;
	bool preferred; /* its group's first version has it and this is it */
};

struct mesh_resources {
	MESH_VEC(struct mesh_resource *) list; /* in the server's order */
};

/** Asks the server once; prints an error and returns NULL if it cannot be asked. */
struct mesh_resources *mesh_resources_get(struct mesh_ctl *ctl);
void mesh_resources_free(struct mesh_resources *r);
/** By plural, singular, short name or kind, in any case, with or without ".group" and ".version.group"; or NULL. */
const struct mesh_resource *mesh_resource_by_word(const struct mesh_resources *r, const char *word);
/** By what stands in an object; NULL if the server does not serve it. */
const struct mesh_resource *mesh_resource_by_kind(const struct mesh_resources *r, const char *api_version,
						  const char *kind);

/** "/apis/G/V/namespaces/NS/PLURAL/NAME"; ns is left out if NULL or the kind has none, name if NULL. Caller frees. */
char *mesh_resource_path(const struct mesh_resource *res, const char *ns, const char *name);
/** "virtualservices.networking.istio.io", "pods". Caller frees. */
char *mesh_resource_full(const struct mesh_resource *res);
/** "virtualservice.networking.istio.io/catalog", "pod/a": as kubectl names an object. Caller frees. */
char *mesh_object_name(const char *group, const char *kind, const char *name);
/** The same of an object as it came from the server. */
char *mesh_object_name_of(const json_t *obj);

/** What a command line names: one object, or a list. */
struct mesh_target {
	const struct mesh_resource *resource;
	const char *name; /* NULL: a list */
};
struct mesh_targets {
	MESH_VEC(struct mesh_target) list;
	MESH_VEC(char *) texts; /* what names point into */
	bool by_category;       /* "all" */
	bool many;              /* more than one object may come of it */
};
void mesh_targets_free(struct mesh_targets *t);
/**
 * From "TYPE[,TYPE...] [NAME...]" or "TYPE/NAME...". Prints an error as kubectl words it and returns -EINVAL.
 * need_name: a type without name (nor -l, nor --all) is an error.
 */
int mesh_targets_parse(struct mesh_ctl *ctl, const char *const *args, size_t count, bool need_name,
		       struct mesh_targets *ret);

#endif
