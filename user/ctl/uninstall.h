/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of uninstall: what its steps share. One thread. */
#ifndef MESH_CTL_UNINSTALL_H
#define MESH_CTL_UNINSTALL_H

#include "ctl/install.h"

enum { MESH_GONE_SECONDS = 60 };

struct mesh_removal {
	struct mesh_ctl *ctl;
	struct mesh_steps steps;
	json_t *objects;       /* of the manifests */
	struct mesh_map shown; /* dry run: paths */
	bool dry;
};

/* What one step did. */
struct mesh_removal_count {
	size_t deleted, failed;
	struct mesh_buf why;
};

/** Notes what could not be done, and why. */
void mesh_removal_fail(struct mesh_removal_count *c, const char *what, const char *why);
/** Deletes one object, or in a dry run says that it would be. */
void mesh_removal_drop(struct mesh_removal *r, const char *path, struct mesh_removal_count *c);
/** The step's line, and empties *c. */
void mesh_removal_tell(struct mesh_removal *r, const char *what, struct mesh_removal_count *c);
/** True once no pod of ours with this component is left. */
bool mesh_removal_pods_gone(struct mesh_removal *r, const char *component, double seconds);
/** Has every agent leave its node, then deletes them. Returns false if what follows must stay, for another try. */
bool mesh_removal_agents(struct mesh_removal *r);

#endif
