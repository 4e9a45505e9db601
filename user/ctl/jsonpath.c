/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/jsonpath.h"

#include "core/mem.h"
#include "core/vec.h"
#include "ctl/json_out.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

enum step_type {
	STEP_FIELD,     /* .name, ['name'] */
	STEP_ALL,       /* [*], .* */
	STEP_SLICE,     /* [from:to:every] */
	STEP_FILTER,    /* [?(@.a=="b")] */
	STEP_RECURSIVE, /* .. : this value and all below */
	STEP_UNION,     /* [0,2], ['a','b'] */
};

struct path;

struct step {
	enum step_type type;
	char *name; /* FIELD; FILTER: the operator, "" for "is there" */
	long from, to, every;
	bool has_from, has_to;
	struct path *left, *right; /* FILTER */
	struct step *options;      /* UNION: FIELD and SLICE steps */
	size_t option_count;
};

struct path {
	MESH_VEC(struct step) steps;
	bool from_root;  /* $ */
	json_t *literal; /* instead of steps: "text", 1, true */
};

enum node_type {
	NODE_TEXT,
	NODE_PATHS, /* {.a,.b} */
	NODE_RANGE,
};

struct node {
	enum node_type type;
	char *text;
	MESH_VEC(struct path *) paths;
	struct mesh_jsonpath *body; /* RANGE */
};

struct mesh_jsonpath {
	MESH_VEC(struct node *) nodes;
};

struct reader {
	const char *p;
	struct mesh_errs *errs;
};

static void path_free(struct path *path);

static void step_free(struct step *s)
{
	free(s->name);
	path_free(s->left);
	path_free(s->right);
	for (size_t i = 0; i < s->option_count; i++)
		step_free(&s->options[i]);
	free(s->options);
}

static void path_free(struct path *path)
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

static int field_name(struct reader *r, struct step *s)
{
	struct mesh_buf b = {0};

	while (!ends_name(*r->p)) {
		if (*r->p == '\\' && r->p[1])
			r->p++;
		mesh_buf_char(&b, *r->p++);
	}
	if (b.len == 0)
		return fail(r, "a field's name is missing");
	*s = (struct step){.type = STEP_FIELD, .name = mesh_buf_steal(&b)};
	if (strcmp(s->name, "*") == 0)
		s->type = STEP_ALL;
	return 0;
}

static struct path *parse_path(struct reader *r);

static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};

/* After "[?(". */
static int filter(struct reader *r, struct step *s)
{
	*s = (struct step){.type = STEP_FILTER};
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
static int subscript(struct reader *r, struct step *s)
{
	blanks(r);
	if (*r->p == '\'' || *r->p == '"') {
		*s = (struct step){.type = STEP_FIELD};
		return quoted(r, &s->name);
	}
	*s = (struct step){.type = STEP_SLICE, .every = 1};
	if (*r->p == '*') {
		r->p++;
		s->type = STEP_ALL;
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

static int bracket(struct reader *r, struct step *ret)
{
	MESH_VEC(struct step) options = {0};
	struct step s = {0};
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
		*ret = (struct step){.type = STEP_UNION, .options = options.items, .option_count = options.count};
	}
	return error;
}

static int parse_steps(struct reader *r, struct path *path)
{
	while (*r->p == '.' || *r->p == '[') {
		struct step s = {0};
		int error = 0;

		if (*r->p == '[') {
			error = bracket(r, &s);
		} else if (r->p[1] == '.') {
			r->p += 2;
			mesh_vec_push(&path->steps, ((struct step){.type = STEP_RECURSIVE}));
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

static int literal(struct reader *r, struct path *path)
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

static struct path *parse_path(struct reader *r)
{
	struct path *path = mesh_xcalloc(1, sizeof(*path));
	int error;

	if (*r->p == '$' || *r->p == '@') {
		path->from_root = *r->p++ == '$';
		error = parse_steps(r, path);
	} else if (*r->p == '.' || *r->p == '[') {
		error = parse_steps(r, path);
	} else if (isalpha((unsigned char)*r->p) && strncmp(r->p, "true", 4) != 0 && strncmp(r->p, "false", 5) != 0) {
		struct step s = {0};

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

static struct node *add_node(struct mesh_jsonpath *j, enum node_type type)
{
	struct node *n = mesh_xcalloc(1, sizeof(*n));

	n->type = type;
	mesh_vec_push(&j->nodes, n);
	return n;
}

static int parse_paths(struct reader *r, struct node *n)
{
	for (;;) {
		struct path *path;

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
		struct node *n;
		size_t len = strcspn(r->p, "{");
		int error;

		if (len) {
			add_node(j, NODE_TEXT)->text = mesh_xstrndup(r->p, len);
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
			n = add_node(j, NODE_RANGE);
			n->body = mesh_xcalloc(1, sizeof(*n->body));
			error = parse_paths(r, n);
			if (error == 0)
				error = parse_body(r, n->body, true);
		} else {
			error = parse_paths(r, add_node(j, NODE_PATHS));
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

/* Running: every step turns a list of values into another. */

struct values {
	MESH_VEC(const json_t *) list;
};

static void find(const struct path *path, const json_t *root, const json_t *at, struct values *out);

static void children(const json_t *v, struct values *out)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_array(v))
		json_array_foreach(v, i, item) mesh_vec_push(&out->list, item);
	else
		json_object_foreach((json_t *)v, key, item) mesh_vec_push(&out->list, item);
}

static void descend(const json_t *v, struct values *out)
{
	struct values below = {0};

	mesh_vec_push(&out->list, v);
	children(v, &below);
	mesh_vec_each (item, &below.list)
		descend(*item, out);
	mesh_vec_free(&below.list);
}

static void slice(const struct step *s, const json_t *v, struct values *out)
{
	long n = (long)json_array_size(v), from = s->has_from ? s->from : 0, to = s->has_to ? s->to : n;

	from = from < 0 ? from + n : from;
	to = to < 0 || (s->has_from && s->from < 0 && s->has_to && s->to == s->from + 1) ? to + n : to;
	for (long i = MESH_MAX(from, 0L); json_is_array(v) && i < MESH_MIN(to, n); i += s->every)
		mesh_vec_push(&out->list, json_array_get(v, (size_t)i));
}

static int order(const json_t *a, const json_t *b, bool *comparable)
{
	*comparable = true;
	if (json_is_number(a) && json_is_number(b)) {
		double d = json_number_value(a) - json_number_value(b);

		return d < 0 ? -1 : d > 0;
	}
	if (json_is_string(a) && json_is_string(b))
		return strcmp(json_string_value(a), json_string_value(b));
	if (json_is_boolean(a) && json_is_boolean(b))
		return (int)json_is_true(a) - (int)json_is_true(b);
	*comparable = false;
	return 0;
}

static bool passes(const struct step *s, const json_t *root, const json_t *v)
{
	struct values left = {0}, right = {0};
	bool comparable = false, yes = false;
	int c = 0;

	find(s->left, root, v, &left);
	if (!s->right) {
		yes = left.list.count > 0;
	} else {
		find(s->right, root, v, &right);
		if (left.list.count && right.list.count)
			c = order(left.list.items[0], right.list.items[0], &comparable);
		if (comparable)
			yes = (strcmp(s->name, "==") == 0 && c == 0) || (strcmp(s->name, "!=") == 0 && c != 0) ||
			      (strcmp(s->name, "<") == 0 && c < 0) || (strcmp(s->name, ">") == 0 && c > 0) ||
			      (strcmp(s->name, "<=") == 0 && c <= 0) || (strcmp(s->name, ">=") == 0 && c >= 0);
	}
	mesh_vec_free(&left.list);
	mesh_vec_free(&right.list);
	return yes;
}

static void apply_step(const struct step *s, const json_t *root, const json_t *v, struct values *out)
{
	struct values items = {0};
	json_t *field;

	switch (s->type) {
	case STEP_FIELD:
		field = json_object_get(v, s->name);
		if (field)
			mesh_vec_push(&out->list, field);
		break;
	case STEP_ALL:
		children(v, out);
		break;
	case STEP_SLICE:
		slice(s, v, out);
		break;
	case STEP_RECURSIVE:
		descend(v, out);
		break;
	case STEP_UNION:
		for (size_t i = 0; i < s->option_count; i++)
			apply_step(&s->options[i], root, v, out);
		break;
	case STEP_FILTER:
		children(v, &items);
		mesh_vec_each (item, &items.list)
			if (passes(s, root, *item))
				mesh_vec_push(&out->list, *item);
		mesh_vec_free(&items.list);
		break;
	}
}

static void find(const struct path *path, const json_t *root, const json_t *at, struct values *out)
{
	struct values now = {0};

	if (path->literal) {
		mesh_vec_push(&out->list, path->literal);
		return;
	}
	mesh_vec_push(&now.list, path->from_root ? root : at);
	mesh_vec_each (s, &path->steps) {
		struct values next = {0};

		mesh_vec_each (v, &now.list)
			apply_step(s, root, *v, &next);
		mesh_vec_free(&now.list);
		now.list.items = next.list.items;
		now.list.count = next.list.count;
		now.list.capacity = next.list.capacity;
	}
	mesh_vec_each (v, &now.list)
		mesh_vec_push(&out->list, *v);
	mesh_vec_free(&now.list);
}

static void print_value(struct mesh_buf *out, const json_t *v)
{
	if (json_is_string(v))
		mesh_buf_add(out, json_string_value(v), json_string_length(v));
	else if (!json_is_null(v))
		mesh_json_out(out, v, 0);
}

static void run_body(const struct mesh_jsonpath *j, const json_t *root, const json_t *at, struct mesh_buf *out)
{
	mesh_vec_each (one, &j->nodes) {
		const struct node *n = *one;
		struct values found = {0};

		if (n->type == NODE_TEXT)
			mesh_buf_str(out, n->text);
		mesh_vec_each (path, &n->paths)
			find(*path, root, at, &found);
		for (size_t i = 0; i < found.list.count; i++) {
			if (n->type == NODE_RANGE) {
				run_body(n->body, root, found.list.items[i], out);
				continue;
			}
			if (i)
				mesh_buf_char(out, ' ');
			print_value(out, found.list.items[i]);
		}
		mesh_vec_free(&found.list);
	}
}

void mesh_jsonpath_run(const struct mesh_jsonpath *p, const json_t *value, struct mesh_buf *out)
{
	run_body(p, value, value, out);
}

json_t *mesh_jsonpath_find(const struct mesh_jsonpath *p, const json_t *value)
{
	json_t *all = json_array();
	struct values found = {0};

	mesh_vec_each (one, &p->nodes)
		if ((*one)->type == NODE_PATHS && (*one)->paths.count)
			find((*one)->paths.items[0], value, value, &found);
	mesh_vec_each (v, &found.list)
		json_array_append(all, (json_t *)*v);
	mesh_vec_free(&found.list);
	return all;
}

char *mesh_jsonpath_relaxed(const char *path)
{
	if (path[0] == '{')
		return mesh_xstrdup(path);
	return mesh_xasprintf("{%s%s}", path[0] == '.' || path[0] == '[' || path[0] == '$' ? "" : ".", path);
}
