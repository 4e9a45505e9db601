/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded API's disk: objects, and a log of their changes, in one SQLite file (WAL,
 * synchronous=FULL: what mesh_db_commit() returned 0 for survives a power cut). It knows
 * nothing of what an object is. One thread.
 */
#ifndef MESH_STORE_DB_H
#define MESH_STORE_DB_H

#include "core/err.h"

struct mesh_db;

/** One object, or one change of one. Strings are borrowed. */
struct mesh_db_row {
	const char *group, *plural, *ns, *name;
	uint64_t rv;
	int type;                       /* of a change */
	struct mesh_slice body, before; /* JSON; before (a change only): the object before it, may be empty */
};

/** Returns 0 to go on, or -errno. */
typedef int mesh_db_fn(void *arg, const struct mesh_db_row *row);

int mesh_db_open(struct mesh_db **ret, const char *path, struct mesh_errs *errs);
void mesh_db_free(struct mesh_db *db);
/** Objects of one plural.group, or all where group is NULL. */
int mesh_db_objects(struct mesh_db *db, const char *group, const char *plural, mesh_db_fn *fn, void *arg);
/** The log, oldest first. */
int mesh_db_log(struct mesh_db *db, mesh_db_fn *fn, void *arg);

/* Within a transaction, which the first of these begins. Return 0 or -EIO. */
int mesh_db_put(struct mesh_db *db, const struct mesh_db_row *row);
int mesh_db_remove(struct mesh_db *db, const struct mesh_db_row *row);
int mesh_db_append(struct mesh_db *db, const struct mesh_db_row *row);
/** Drops the log up to and including rv. */
int mesh_db_trim(struct mesh_db *db, uint64_t rv);
int mesh_db_set(struct mesh_db *db, const char *name, uint64_t value);

/** A number kept by mesh_db_set(), else fallback. */
uint64_t mesh_db_get(struct mesh_db *db, const char *name, uint64_t fallback);
bool mesh_db_busy(const struct mesh_db *db); /* in a transaction */
int mesh_db_commit(struct mesh_db *db);
void mesh_db_rollback(struct mesh_db *db);
/** What went wrong last, for the log. */
const char *mesh_db_error(const struct mesh_db *db);

#endif
