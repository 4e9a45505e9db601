/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/steps.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 34, LINE_MAX = 100 };

void mesh_steps_init(struct mesh_steps *s)
{
	*s = (struct mesh_steps){.terminal = isatty(STDOUT_FILENO)};
}

void mesh_steps_now(struct mesh_steps *s, const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	va_list ap;

	if (!s->terminal)
		return;
	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	printf("\r\033[K%.*s", LINE_MAX, text.data);
	fflush(stdout);
}

void mesh_steps_done(struct mesh_steps *s, const char *what, const char *verdict, const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	s->failed += strcmp(verdict, "failed") == 0;
	s->warned += strcmp(verdict, "warning") == 0;
	printf("%s%-*s %s%s%s\n", s->terminal ? "\r\033[K" : "", WIDTH, what, verdict, text.len ? ": " : "",
	       text.len ? text.data : "");
	fflush(stdout);
}
