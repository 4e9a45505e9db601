/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe, in kubectl's layout: any object generically; pods, services, deployments, replica sets and namespaces in
 * their own words. A writer adds lines with tabs; columns are laid out at the end. One thread.
 */
#ifndef MESH_CTL_DESCRIBE_H
#define MESH_CTL_DESCRIBE_H

#include "ctl/resource.h"
#include "ctl/tabs.h"

/** Adds a line, indented by level times two blanks; the text has no newline at its end. */
void mesh_describe_line(struct mesh_tabs *t, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Pure parts (no server). */
void mesh_describe_generic(struct mesh_tabs *t, const json_t *obj);
void mesh_describe_head(struct mesh_tabs *t, const json_t *obj);   /* Name and Namespace */
void mesh_describe_labels(struct mesh_tabs *t, const json_t *obj); /* Labels and Annotations */
void mesh_describe_map(struct mesh_tabs *t, int level, const char *title, const json_t *map, const char *between);
void mesh_describe_annotations(struct mesh_tabs *t, int level, const json_t *obj);
/** events: an array of Event objects. */
void mesh_describe_events(struct mesh_tabs *t, const json_t *events);
void mesh_describe_pod(struct mesh_tabs *t, const json_t *pod);
void mesh_describe_containers(struct mesh_tabs *t, int level, const char *title, const json_t *containers,
			      const json_t *statuses, bool template);
void mesh_describe_volumes(struct mesh_tabs *t, int level, const json_t *volumes);
/** slices: an array of EndpointSlices of the service. */
void mesh_describe_service(struct mesh_tabs *t, const json_t *service, const json_t *slices);
void mesh_describe_deployment(struct mesh_tabs *t, const json_t *deployment, const json_t *replica_sets);
void mesh_describe_replica_set(struct mesh_tabs *t, const json_t *set, const json_t *pods);
/** with_quotas: the server has quotas and limit ranges (and this namespace none). */
void mesh_describe_namespace(struct mesh_tabs *t, const json_t *ns, bool with_quotas);
/** "apiVersion" gives "API Version". Caller frees. */
char *mesh_describe_label_for(const char *field);

/* Reading objects: "" and 0 for what is not there. */
const json_t *mesh_at(const json_t *obj, const char *path); /* "spec.template.metadata" */
const char *mesh_at_text(const json_t *obj, const char *path);
long mesh_at_number(const json_t *obj, const char *path);
/** "k=v,k2=v2" in order, or "<none>". Caller frees. */
char *mesh_join_map(const json_t *map, const char *between, const char *next);
/** Go's %v of a value. */
void mesh_describe_value(struct mesh_buf *out, const json_t *v);
/** "3m5s": as kubectl prints ages. out has 32 bytes. */
const char *mesh_age(long seconds, char *out);
/** Seconds since an RFC 3339 time; -1 if it is none. */
long mesh_seconds_since(const char *time);
/** "Sun, 22 Nov 2026 22:13:37 +0000" of an RFC 3339 time. Caller frees. */
char *mesh_long_time(const char *time);

#endif
