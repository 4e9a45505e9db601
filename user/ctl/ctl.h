/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb of meshctl shares: the connection, the namespace, requests that print the server's
 * warnings, and errors in kubectl's words. One thread; one struct mesh_ctl a run.
 */
#ifndef MESH_CTL_CTL_H
#define MESH_CTL_CTL_H

#include "core/err.h"
#include "core/map.h"
#include "ctl/flags.h"
#include "kube/kube.h"

struct mesh_resources;
struct mesh_inforce;

struct mesh_ctl {
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	const struct mesh_flags *flags;
	const char *namespace;            /* to work in */
	bool namespace_said;              /* by -n */
	struct mesh_resources *resources; /* what the server has; NULL: not asked yet */
	struct mesh_inforce *inforce;     /* NULL: nothing to wait for yet */
	struct mesh_map warned;           /* texts printed already */
	bool failed;                      /* an error was printed: exit status 1 */
};

/** An answer; mesh_answer_free() when done. */
struct mesh_answer {
	int status; /* 0: there was none */
	json_t *body;
	struct mesh_buf raw;
	char *error;  /* NULL: success */
	char *reason; /* "NotFound", ..., or NULL */
	int64_t date; /* the server's clock, seconds since 1970; 0: not told */
};

void mesh_answer_free(struct mesh_answer *a);
/** Sends, waits, prints warnings. Returns 0 on 2xx, else -EIO with a->error set. *a is overwritten. */
int mesh_ctl_request(struct mesh_ctl *ctl, const char *method, const char *path, const json_t *body,
		     const char *content_type, const char *accept, struct mesh_answer *a);
int mesh_ctl_get(struct mesh_ctl *ctl, const char *path, struct mesh_answer *a);
/** Prints "Warning: text" on stderr, each text once. */
void mesh_ctl_warn(struct mesh_ctl *ctl, const char *text);

/** Prints a failed answer as kubectl does; doing NULL, or "creating \"vs.yaml\"" for 'error when creating "vs.yaml": '.
 */
void mesh_ctl_fail(struct mesh_ctl *ctl, const struct mesh_answer *a, const char *doing);
/** Prints "error: ..." on stderr and remembers the failure. Returns 1, the exit status. */
int mesh_ctl_error(struct mesh_ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Prints each of errs as "error: ..." and empties it. Returns 1. */
int mesh_ctl_errors(struct mesh_ctl *ctl, struct mesh_errs *errs);

/** Finds and prepares the API; what an offline verb may do itself. Returns 0, or 1 after printing. */
int mesh_ctl_connect(struct mesh_ctl *ctl);
/** Runs a verb's row with its arguments: parses, connects, calls. The exit status. */
int mesh_ctl_main(const struct mesh_verb *verb, int argc, char **argv);
/** The row named so, or NULL. */
const struct mesh_verb *mesh_ctl_verb(const char *name);
/** All rows, ended by one without name. */
extern const struct mesh_verb mesh_ctl_verbs[];

/** " (dry run)", " (server dry run)" or "". */
const char *mesh_ctl_dry_suffix(const struct mesh_ctl *ctl);
bool mesh_ctl_dry_client(const struct mesh_ctl *ctl);
bool mesh_ctl_dry_server(const struct mesh_ctl *ctl);

/* The verbs. Each returns the exit status. */
int mesh_ctl_run_get(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_create(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_replace(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_apply(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_delete(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_patch(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_label(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_annotate(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_scale(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_edit(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_describe(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_logs(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_exec(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_wait(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_new_project(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_project(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_status(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_dataplane(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_install(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_upgrade(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_uninstall(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_check(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_crds(struct mesh_ctl *ctl, const struct mesh_flags *f);
int mesh_ctl_run_version(struct mesh_ctl *ctl, const struct mesh_flags *f);

#endif
