/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/jsonpath_tree.h"

#include "core/mem.h"
#include "ctl/json_out.h"

/* Running: every step turns a list of values into another. */

struct values {
	MESH_VEC(const json_t *) list;
};

static void find(const struct mesh_path *path, const json_t *root, const json_t *at, struct values *out);

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

static void slice(const struct mesh_step *s, const json_t *v, struct values *out)
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

static bool passes(const struct mesh_step *s, const json_t *root, const json_t *v)
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

static void apply_step(const struct mesh_step *s, const json_t *root, const json_t *v, struct values *out)
{
	struct values items = {0};
	json_t *field;

	switch (s->type) {
	case MESH_STEP_FIELD:
		field = json_object_get(v, s->name);
		if (field)
			mesh_vec_push(&out->list, field);
		break;
	case MESH_STEP_ALL:
		children(v, out);
		break;
	case MESH_STEP_SLICE:
		slice(s, v, out);
		break;
	case MESH_STEP_RECURSIVE:
		descend(v, out);
		break;
	case MESH_STEP_UNION:
		for (size_t i = 0; i < s->option_count; i++)
			apply_step(&s->options[i], root, v, out);
		break;
	case MESH_STEP_FILTER:
		children(v, &items);
		mesh_vec_each (item, &items.list)
			if (passes(s, root, *item))
				mesh_vec_push(&out->list, *item);
		mesh_vec_free(&items.list);
		break;
	}
}

static void find(const struct mesh_path *path, const json_t *root, const json_t *at, struct values *out)
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
		const struct mesh_path_node *n = *one;
		struct values found = {0};

		if (n->type == MESH_NODE_TEXT)
			mesh_buf_str(out, n->text);
		mesh_vec_each (path, &n->paths)
			find(*path, root, at, &found);
		for (size_t i = 0; i < found.list.count; i++) {
			if (n->type == MESH_NODE_RANGE) {
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
		if ((*one)->type == MESH_NODE_PATHS && (*one)->paths.count)
			find((*one)->paths.items[0], value, value, &found);
	mesh_vec_each (v, &found.list)
		json_array_append(all, (json_t *)*v);
	mesh_vec_free(&found.list);
	return all;
}
