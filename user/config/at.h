/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside config/: a walk over an object that knows where it is, so that a check says only what is wrong. A visitor is
 * called with the path already extended; the path is cut back when it returns.
 */
#ifndef MESH_CONFIG_AT_H
#define MESH_CONFIG_AT_H

#include "config/get.h"
#include "core/err.h"

#include <jansson.h>
#include <stdbool.h>

struct mesh_at {
	struct mesh_errs *errs, *warnings;
	struct mesh_buf path;
	const char *ns;       /* the object's namespace, or "" */
	const json_t *object; /* the whole object */
};

typedef void mesh_at_fn(struct mesh_at *at, const json_t *v, void *arg);

/** Adds an error resp. a warning with the path where the walk is. */
void mesh_at_err(struct mesh_at *at, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mesh_at_warn(struct mesh_at *at, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The same one step further down. */
void mesh_at_err_key(struct mesh_at *at, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void mesh_at_warn_key(struct mesh_at *at, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Calls fn for obj.key if it is there and not null. Returns whether it was. */
bool mesh_at_in(struct mesh_at *at, const json_t *obj, const char *key, mesh_at_fn *fn, void *arg);
/** Calls fn for each item of the list obj.key; returns how many there are. */
size_t mesh_at_each(struct mesh_at *at, const json_t *obj, const char *key, mesh_at_fn *fn, void *arg);
/** Calls fn for each member of the map obj.key; mesh_at_last_key() is its name. Returns how many there are. */
size_t mesh_at_members(struct mesh_at *at, const json_t *obj, const char *key,
		       void (*fn)(struct mesh_at *at, const char *name, const json_t *v, void *arg), void *arg);

bool mesh_is(const char *a, const char *b);

/* What several kinds ask; each adds its own errors. */
void mesh_at_port(struct mesh_at *at, json_int_t port);
void mesh_at_export_to(struct mesh_at *at, const json_t *spec, bool is_service_entry, bool has_selector);
/** A duration that Istio takes: whole milliseconds, at least one. */
void mesh_at_duration(struct mesh_at *at, const json_t *obj, const char *key);
void mesh_at_percent(struct mesh_at *at, const json_t *v, void *arg);
/** selector.matchLabels (or .labels): no wildcards, no empty keys; a warning when it selects everything. */
void mesh_at_selector(struct mesh_at *at, const json_t *spec, const char *key, const char *labels);
/** targetRef and targetRefs of policies, and that no selector is beside them. */
void mesh_at_targets(struct mesh_at *at, const json_t *spec, const char *selector, bool services);
/** Whether text is an IP address, or (with a prefix length) a subnet. */
bool mesh_text_is_ip(const char *text);
bool mesh_text_is_subnet(const char *text);
/** Whether text is a host name without wildcard; the reason if it is not. */
bool mesh_text_is_fqdn(const char *text, const char **why);
bool mesh_text_is_wildcard_host(const char *text, const char **why);
/** Whether text is one label of a host name (letters of both cases). */
bool mesh_text_is_label(const char *text);
/** Whether text is built like a regular expression (RE2). */
bool mesh_text_is_regex(const char *text);

#endif
