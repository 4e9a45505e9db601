/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as Kubernetes writes them (RFC 3339, UTC). Any thread. */
#ifndef MESH_CORE_TIME_H
#define MESH_CORE_TIME_H

#include <stdbool.h>
#include <stdint.h>

enum { MESH_TIME_TEXT = 32 }; /* bytes that a point in time as text needs, with its NUL */

/** "2026-01-02T03:04:05Z" of seconds since 1970, into out; returned. */
const char *mesh_time_text(int64_t seconds, char out[MESH_TIME_TEXT]);
/** Now, with microseconds as Leases and events want it: "2026-01-02T03:04:05.678901Z". */
const char *mesh_time_text_micro(char out[MESH_TIME_TEXT]);
/** Seconds since 1970 of such a text (what is behind the seconds is not looked at). Returns 0; -EINVAL with *ret
 * untouched if it is none, or NULL. */
int mesh_time_parse(const char *text, int64_t *ret);

#endif
