/* SPDX-License-Identifier: Apache-2.0 */
/* Which version of the mesh this program is. Any thread. */
#ifndef MESH_CORE_VERSION_H
#define MESH_CORE_VERSION_H

/* The commit it was built from, as `git describe` names it ("-dirty": files differed); "unknown" outside a checkout. */
extern const char mesh_version[];

/* When that commit was made, in seconds since 1970: an order of versions that have no numbers; 0: unknown. */
extern const long long mesh_version_time;

#endif
