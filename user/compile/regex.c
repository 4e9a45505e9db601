/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/regex.h"

#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct escape {
	char letter;
	const char *outside, *inside; /* a bracket; NULL: cannot be said there */
};

static const struct escape escapes[] = {
	{'d', "[0-9]", "0-9"},
	{'D', "[^0-9]", NULL},
	{'w', "[A-Za-z0-9_]", "A-Za-z0-9_"},
	{'W', "[^A-Za-z0-9_]", NULL},
	{'s', "[ \t\n\f\r]", " \t\n\f\r"},
	{'S', "[^ \t\n\f\r]", NULL},
	{'t', "\t", "\t"},
	{'n', "\n", "\n"},
	{'r', "\r", "\r"},
	{'A', "^", NULL},
	{'z', "$", NULL},
};

/* Rewrites what follows a backslash; returns NULL or why it cannot. */
static const char *rewrite_escape(char c, bool inside, struct mesh_buf *out)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(escapes); i++) {
		const char *text = inside ? escapes[i].inside : escapes[i].outside;

		if (escapes[i].letter != c)
			continue;
		if (!text)
			return "it has a negated class or anchor inside []";
		mesh_buf_str(out, text);
		return NULL;
	}
	if (c == '\0')
		return "it ends with a backslash";
	if (strchr("abBcCfpPQEGkKvxuUXZ0123456789", c))
		return "it has an escape that POSIX expressions do not have";
	if (inside && strchr("]^-\\", c))
		return "it has an escaped ], ^, - or \\ inside []";
	if (!inside)
		mesh_buf_char(out, '\\');
	mesh_buf_char(out, c);
	return NULL;
}

static const char *rewrite_bracket(const char **at, struct mesh_buf *out)
{
	const char *p = *at + 1;

	mesh_buf_char(out, '[');
	if (*p == '^')
		mesh_buf_char(out, *p++);
	if (*p == ']')
		mesh_buf_char(out, *p++);
	for (; *p && *p != ']'; p++) {
		const char *why;

		if (p[0] == '[' && p[1] == ':') { /* [:alpha:] is the same in both */
			const char *end = strstr(p, ":]");

			if (!end)
				break;
			mesh_buf_add(out, p, (size_t)(end + 2 - p));
			p = end + 1;
			continue;
		}
		if (*p != '\\') {
			mesh_buf_char(out, *p);
			continue;
		}
		why = rewrite_escape(*++p, true, out);
		if (why)
			return why;
	}
	if (!*p)
		return "it has a [ without its ]";
	mesh_buf_char(out, ']');
	*at = p;
	return NULL;
}

/* RE2 to POSIX; returns NULL or why it cannot. */
static const char *rewrite(const char *p, struct mesh_buf *out)
{
	for (; *p; p++) {
		const char *why = NULL;

		if (*p == '\\')
			why = rewrite_escape(*++p, false, out);
		else if (*p == '[')
			why = rewrite_bracket(&p, out);
		else if (p[0] == '(' && p[1] == '?' && p[2] == ':')
			mesh_buf_char(out, *p), p += 2;
		else if (p[0] == '(' && p[1] == '?')
			why = "it has a flag or a named group";
		else if (strchr("*+?}", *p) && p[1] == '+')
			why = "it has a possessive repetition";
		else if (strchr("*+?}", *p) && p[1] == '?') /* lazy or greedy: the same set of whole texts */
			mesh_buf_char(out, *p), p++;
		else
			mesh_buf_char(out, *p);
		if (why)
			return why;
	}
	return NULL;
}

int mesh_regex_compile(const char *pattern, bool ignore_case, regex_t *ret, char *why, size_t why_size)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	const char *reason;
	regex_t regex;
	int r;

	if (strncmp(pattern, "(?i)", 4) == 0) {
		ignore_case = true;
		pattern += 4;
	}
	mesh_buf_str(&text, "^(");
	reason = rewrite(pattern, &text);
	mesh_buf_str(&text, ")$");
	if (reason) {
		snprintf(why, why_size, "%s", reason);
		return -EINVAL;
	}
	r = regcomp(&regex, text.data, REG_EXTENDED | REG_NOSUB | (ignore_case ? REG_ICASE : 0));
	if (r) {
		regerror(r, &regex, why, why_size);
		return -EINVAL;
	}
	*ret = regex;
	return 0;
}
