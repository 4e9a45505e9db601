/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that has the version compiled in: the build makes it anew when that changed, and nothing else. */
#include "core/version.h"

#ifndef MESH_VERSION
#define MESH_VERSION      "unknown"
#define MESH_VERSION_TIME 0
#endif

const char mesh_version[] = MESH_VERSION;
const long long mesh_version_time = MESH_VERSION_TIME;
