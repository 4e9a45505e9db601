/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The variables of an agent's pod. They are files of the ConfigMap (core/envdir.h), which a kubelet may have in an
 * older state than the pod's template was made for: after the API server was away it learns of changes up to a minute
 * later.
 */
#ifndef MESH_AGENT_SETTINGS_H
#define MESH_AGENT_SETTINGS_H

#include <stdbool.h>

/**
 * text: the template's annotation sockmesh.io/settings, {"NAME": "value" or null, ...}; NULL or "" is none. If its
 * SOCKMESH_REVISION is not the environment's, its variables go into the environment, those of SOCKMESH_* that are null
 * out of it. Returns whether they did.
 */
bool mesh_agent_settings(const char *text);

#endif
