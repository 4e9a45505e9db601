/* SPDX-License-Identifier: Apache-2.0 */
/* Which pod "POD", "pod/NAME" or "deployment/NAME" means, and which of its containers. One thread. */
#ifndef MESH_CTL_PODS_H
#define MESH_CTL_PODS_H

#include "ctl/resource.h"

/** The pod (new reference); prints an error and returns NULL if there is none. tell: say which of several it is. */
json_t *mesh_ctl_pod_find(struct mesh_ctl *ctl, const char *word, bool tell);
/** Pods that carry the labels of a query (new array), or NULL after printing an error. */
json_t *mesh_ctl_pods_select(struct mesh_ctl *ctl, const char *query);
/** "a=b,c=d" of a label selector's matchLabels (or of a Service's selector). Caller frees. */
char *mesh_selector_text(const json_t *labels);
/** --container, else the pod's first (saying so on stderr if there are several). NULL after an error. Borrowed. */
const char *mesh_ctl_pod_container(struct mesh_ctl *ctl, const json_t *pod);
bool mesh_ctl_pod_ready(const json_t *pod);

#endif
