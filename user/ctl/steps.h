/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress as lines: what, and its verdict ("ok", "unchanged", "failed: why"). On a terminal the step under way is
 * shown, too. One thread.
 */
#ifndef MESH_CTL_STEPS_H
#define MESH_CTL_STEPS_H

#include "core/err.h"

struct mesh_steps {
	bool terminal;
	size_t failed, warned;
};

void mesh_steps_init(struct mesh_steps *s);
/** Shows on a terminal what is being waited for; the next line takes its place. */
void mesh_steps_now(struct mesh_steps *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** "what    ok: detail". verdict: "ok", "unchanged", "skipped", "warning", "failed" (the last two are counted). */
void mesh_steps_done(struct mesh_steps *s, const char *what, const char *verdict, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
