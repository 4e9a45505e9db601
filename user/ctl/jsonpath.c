/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/jsonpath.h"

#include "core/mem.h"
#include "ctl/jsonpath_tree.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

struct reader {
	const char *p;
	struct mesh_errs *errs;
};

static void path_free(struct mesh_path *path);

static void step_free(struct mesh_step *s)
{
	free(s->name);
	path_free(s->left);
	path_free(s->right);
	for (size_t i = 0; i < s->option_count; i++)
		step_free(&s->options[i]);
	free(s->options);
}

static void path_free(struct mesh_path *path)
{
	if (!path)
		return;
	mesh_vec_each (s, &path->steps)
		step_free(s);
	mesh_vec_free(&path->steps);
	json_decref(path->literal);
	free(path);
}

void mesh_jsonpath_free(struct mesh_jsonpath *j)
{
	if (!j)
		return;
	mesh_vec_each (n, &j->nodes) {
		free((*n)->text);
		mesh_vec_each (path, &(*n)->paths)
			path_free(*path);
		mesh_vec_free(&(*n)->paths);
		mesh_jsonpath_free((*n)->body);
		free(*n);
	}
	mesh_vec_free(&j->nodes);
	free(j);
}

static int fail(struct reader *r, const char *what)
{
	mesh_errs_add(r->errs, "error parsing jsonpath: %s at \"%.40s\"", what, r->p);
	return -EINVAL;
}

static void blanks(struct reader *r)
{
	while (*r->p == ' ' || *r->p == '\t' || *r->p == '\n')
		r->p++;
}

/* 'text' or "text" with \n, \t, \\ and the quote escaped. */
static int quoted(struct reader *r, char **ret)
{
	char quote = *r->p++;
	struct mesh_buf b = {0};

	for (; *r->p && *r->p != quote; r->p++) {
		char c = *r->p;

		if (c == '\\' && r->p[1]) {
			c = *++r->p;
			c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
		}
		mesh_buf_char(&b, c);
	}
	if (*r->p != quote) {
		mesh_buf_free(&b);
		return fail(r, "unterminated quoted string");
	}
	r->p++;
	*ret = mesh_buf_steal(&b);
	return 0;
}

static bool ends_name(char c)
{
	return c == '\0' || strchr(".[]{}()=!<>&|, \t\n'\"", c);
}

static int field_name(struct reader *r, struct mesh_step *s)
{
	struct mesh_buf b = {0};

	while (!ends_name(*r->p)) {
		if (*r->p == '\\' && r->p[1])
			r->p++;
		mesh_buf_char(&b, *r->p++);
	}
	if (b.len == 0)
		return fail(r, "a field's name is missing");
	*s = (struct mesh_step){.type = MESH_STEP_FIELD, .name = mesh_buf_steal(&b)};
	if (strcmp(s->name, "*") == 0)
		s->type = MESH_STEP_ALL;
	return 0;
}

static struct mesh_path *parse_path(struct reader *r);

static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};

/* After "[?(". */
static int filter(struct reader *r, struct mesh_step *s)
{
	*s = (struct mesh_step){.type = MESH_STEP_FILTER};
	blanks(r);
	s->left = parse_path(r);
	if (!s->left)
		return -EINVAL;
	blanks(r);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(operators); i++) {
		if (strncmp(r->p, operators[i], strlen(operators[i])) != 0)
			continue;
		s->name = mesh_xstrdup(operators[i]);
		r->p += strlen(operators[i]);
		blanks(r);
		s->right = parse_path(r);
		if (!s->right)
			return -EINVAL;
		blanks(r);
		break;
	}
	if (!s->name)
		s->name = mesh_xstrdup("");
	if (strncmp(r->p, ")]", 2) != 0)
		return fail(r, "unterminated filter");
	r->p += 2;
	return 0;
}

static bool number(struct reader *r, long *ret)
{
	char *end;
	long v = strtol(r->p, &end, 10);

	if (end == r->p)
		return false;
	*ret = v;
	r->p = end;
	return true;
}

/* One of what stands between '[' and ']': a name, an index or a slice. */
static int subscript(struct reader *r, struct mesh_step *s)
{
	blanks(r);
	if (*r->p == '\'' || *r->p == '"') {
		*s = (struct mesh_step){.type = MESH_STEP_FIELD};
		return quoted(r, &s->name);
	}
	*s = (struct mesh_step){.type = MESH_STEP_SLICE, .every = 1};
	if (*r->p == '*') {
		r->p++;
		s->type = MESH_STEP_ALL;
		return 0;
	}
	s->has_from = number(r, &s->from);
	if (*r->p != ':') {
		s->to = s->from + 1;
		s->has_to = s->from != -1;
		return s->has_from ? 0 : fail(r, "invalid array index");
	}
	r->p++;
	s->has_to = number(r, &s->to);
	if (*r->p == ':') {
		r->p++;
		if (!number(r, &s->every) || s->every <= 0)
			return fail(r, "step must be > 0");
	}
	return 0;
}

static int bracket(struct reader *r, struct mesh_step *ret)
{
	MESH_VEC(struct mesh_step) options = {0};
	struct mesh_step s = {0};
	int error;

	r->p++;
	if (strncmp(r->p, "?(", 2) == 0) {
		r->p += 2;
		error = filter(r, &s);
		*ret = s;
		return error;
	}
	for (;;) {
		error = subscript(r, &s);
		mesh_vec_push(&options, s);
		blanks(r);
		if (error < 0 || *r->p != ',')
			break;
		r->p++;
	}
	if (error == 0 && *r->p != ']')
		error = fail(r, "unterminated array");
	if (error == 0)
		r->p++;
	if (options.count == 1) {
		*ret = options.items[0];
		mesh_vec_free(&options);
	} else {
		*ret = (struct mesh_step){
			.type = MESH_STEP_UNION, .options = options.items, .option_count = options.count};
	}
	return error;
}

static int parse_steps(struct reader *r, struct mesh_path *path)
{
	while (*r->p == '.' || *r->p == '[') {
		struct mesh_step s = {0};
		int error = 0;

		if (*r->p == '[') {
			error = bracket(r, &s);
		} else if (r->p[1] == '.') {
			r->p += 2;
			mesh_vec_push(&path->steps, ((struct mesh_step){.type = MESH_STEP_RECURSIVE}));
			if (*r->p == '[')
				continue;
			error = field_name(r, &s);
		} else {
			r->p++;
			if (ends_name(*r->p) && *r->p != '.')
				continue; /* "{.}" and ".['a']" */
			error = field_name(r, &s);
		}
		mesh_vec_push(&path->steps, s);
		if (error < 0)
			return error;
	}
	return 0;
}

static int literal(struct reader *r, struct mesh_path *path)
{
	mesh_auto_free char *text = NULL;
	char *end;
	double v;

	if (*r->p == '"' || *r->p == '\'') {
		int error = quoted(r, &text);

		if (error == 0)
			path->literal = json_string(text);
		return error;
	}
	for (int i = 0; i < 2; i++) {
		const char *word = i ? "true" : "false";

		if (strncmp(r->p, word, strlen(word)) == 0) {
			r->p += strlen(word);
			path->literal = json_boolean(i);
			return 0;
		}
	}
	v = strtod(r->p, &end);
	if (end == r->p)
		return fail(r, "unrecognized character");
	r->p = end;
	path->literal = json_real(v);
	return 0;
}

static struct mesh_path *parse_path(struct reader *r)
{
	struct mesh_path *path = mesh_xcalloc(1, sizeof(*path));
	int error;

	if (*r->p == '$' || *r->p == '@') {
		path->from_root = *r->p++ == '$';
		error = parse_steps(r, path);
	} else if (*r->p == '.' || *r->p == '[') {
		error = parse_steps(r, path);
	} else if (isalpha((unsigned char)*r->p) && strncmp(r->p, "true", 4) != 0 && strncmp(r->p, "false", 5) != 0) {
		struct mesh_step s = {0};

		error = field_name(r, &s);
		mesh_vec_push(&path->steps, s);
		if (error == 0)
			error = parse_steps(r, path);
	} else {
		error = literal(r, path);
	}
	if (error == 0)
		return path;
	path_free(path);
	return NULL;
}

static struct mesh_path_node *add_node(struct mesh_jsonpath *j, enum mesh_node_type type)
{
	struct mesh_path_node *n = mesh_xcalloc(1, sizeof(*n));

	n->type = type;
	mesh_vec_push(&j->nodes, n);
	return n;
}

static int parse_paths(struct reader *r, struct mesh_path_node *n)
{
	for (;;) {
		struct mesh_path *path;

		blanks(r);
		path = parse_path(r);
		if (!path)
			return -EINVAL;
		mesh_vec_push(&n->paths, path);
		blanks(r);
		if (*r->p != ',')
			break;
		r->p++;
	}
	if (*r->p != '}')
		return fail(r, "unclosed action");
	r->p++;
	return 0;
}

static bool word(struct reader *r, const char *w)
{
	size_t len = strlen(w);

	if (strncmp(r->p, w, len) != 0 || !strchr(" }.", r->p[len]))
		return false;
	r->p += len;
	blanks(r);
	return true;
}

/* Until the end of the text, or in a range until {end}. */
static int parse_body(struct reader *r, struct mesh_jsonpath *j, bool in_range)
{
	while (*r->p) {
		struct mesh_path_node *n;
		size_t len = strcspn(r->p, "{");
		int error;

		if (len) {
			add_node(j, MESH_NODE_TEXT)->text = mesh_xstrndup(r->p, len);
			r->p += len;
			continue;
		}
		r->p++;
		blanks(r);
		if (word(r, "end")) {
			if (*r->p++ != '}' || !in_range)
				return fail(r, "not in range, nothing to end");
			return 0;
		}
		if (word(r, "range")) {
			n = add_node(j, MESH_NODE_RANGE);
			n->body = mesh_xcalloc(1, sizeof(*n->body));
			error = parse_paths(r, n);
			if (error == 0)
				error = parse_body(r, n->body, true);
		} else {
			error = parse_paths(r, add_node(j, MESH_NODE_PATHS));
		}
		if (error < 0)
			return error;
	}
	return in_range ? fail(r, "a range without end") : 0;
}

int mesh_jsonpath_new(struct mesh_jsonpath **ret, const char *template, struct mesh_errs *errs)
{
	struct mesh_jsonpath *j = mesh_xcalloc(1, sizeof(*j));
	struct reader r = {.p = template, .errs = errs};
	int error = parse_body(&r, j, false);

	if (error < 0) {
		mesh_jsonpath_free(j);
		return error;
	}
	*ret = j;
	return 0;
}

char *mesh_jsonpath_relaxed(const char *path)
{
	if (path[0] == '{')
		return mesh_xstrdup(path);
	return mesh_xasprintf("{%s%s}", path[0] == '.' || path[0] == '[' || path[0] == '$' ? "" : ".", path);
}
