/* SPDX-License-Identifier: Apache-2.0 */
/* Which API meshctl talks to: --kubeconfig, KUBECONFIG, in a pod its service account, the one lab that runs,
 * ~/.kube/config. Any thread. */
#ifndef MESH_CTL_FIND_API_H
#define MESH_CTL_FIND_API_H

#include "core/err.h"

/**
 * *ret is the kubeconfig to use, for the caller to free; NULL when kube/kubeconfig.h's own rules (environment, service
 * account, home) find it. Returns 0, or -EINVAL with errs when several labs run and none was named.
 */
int mesh_find_api(const char *said, char **ret, struct mesh_errs *errs);
/** Kubeconfigs of the labs under dir (NULL: where labs keep them), for the caller to free. */
struct mesh_lab_list {
	MESH_VEC(char *) list; /* "/run/sockmesh/labs/NAME/kubeconfig" */
};
void mesh_lab_list_read(const char *dir, struct mesh_lab_list *ret);
void mesh_lab_list_free(struct mesh_lab_list *list);

#endif
