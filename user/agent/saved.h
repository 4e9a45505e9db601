/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last good state on disk: every object that the feed holds, as the API sent it. A log of what was set
 * and deleted, each line with a checksum, so that one cut short by a crash is known; rewritten when it has
 * grown to twice what is in it. A new one begins beside the old and takes its place at the commit. Writing is done by
 * a thread of its own, what comes within a moment together; all calls on the loop's thread.
 */
#ifndef MESH_AGENT_SAVED_H
#define MESH_AGENT_SAVED_H

#include <jansson.h>

struct mesh_saved;

/** Begins a new log in dir, which is made if missing. Returns 0 or -errno. */
int mesh_saved_new(struct mesh_saved **ret, const char *dir);
/** obj is read, not kept. resource: "services"; key: "NS/NAME". */
void mesh_saved_set(struct mesh_saved *s, const char *resource, const char *key, const json_t *obj);
void mesh_saved_delete(struct mesh_saved *s, const char *resource, const char *key);
/** All that belongs to the state was set: from now on it, not the last one, is what a start reads. */
void mesh_saved_commit(struct mesh_saved *s);
/** Writes what is left. NULL is allowed. */
void mesh_saved_free(struct mesh_saved *s);

typedef void mesh_saved_fn(void *arg, const char *resource, const char *key, const json_t *obj);
/** Reads the last committed state. Returns how many objects; -ENOENT if there is none, or another -errno. */
long mesh_saved_read(const char *dir, mesh_saved_fn *fn, void *arg);
/** Removes the files. */
void mesh_saved_remove(const char *dir);

#endif
