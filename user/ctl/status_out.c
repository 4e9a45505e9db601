/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/status.h"

#include "config/get.h"
#include "core/mem.h"
#include "ctl/json_out.h"
#include "ctl/tabs.h"

static uint64_t highest(const json_t *versions)
{
	uint64_t max = 0, v;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)versions, key, value)
	{
		if (mesh_slice_to_u64(mesh_slice_str(json_string_value(value)), UINT64_MAX, &v) == 0)
			max = MESH_MAX(max, v);
	}
	return max;
}

void mesh_status_members(struct mesh_buf *out, const json_t *members)
{
	struct mesh_tabs t = {.min_width = 6, .padding = 3};
	const json_t *m;
	size_t i;

	mesh_buf_str(&t.text, "COMPONENT\tHOLDER\tLIVE\tIN FORCE\tRENEWED\n");
	json_array_foreach(members, i, m)
		mesh_buf_printf(&t.text, "%s\t%s\t%s\t%llu\t%s\n", mesh_text(m, "component"), mesh_text(m, "holder"),
				json_is_true(json_object_get(m, "live")) ? "yes" : "NO",
				(unsigned long long)highest(json_object_get(m, "inForce")), mesh_text(m, "renewTime"));
	mesh_tabs_flush(&t, out);
	mesh_tabs_free(&t);
}

/* "svc4 3%": of the maps that say how many entries they have. */
static void fullest_map(struct mesh_buf *out, const json_t *maps)
{
	const char *name = NULL;
	double most = -1;
	const json_t *m;
	size_t i;

	json_array_foreach(maps, i, m)
	{
		double max = json_number_value(json_object_get(m, "maxEntries"));
		const json_t *entries = json_object_get(m, "entries");

		if (!entries || max <= 0 || json_number_value(entries) / max <= most)
			continue;
		most = json_number_value(entries) / max;
		name = mesh_text(m, "name");
	}
	if (name)
		mesh_buf_printf(out, "%s %.0f%%", name, most * 100);
	else
		mesh_buf_str(out, "-");
}

static void refusals(struct mesh_buf *out, const json_t *reasons)
{
	size_t before = out->len, i;
	const json_t *r;

	json_array_foreach(reasons, i, r)
	{
		long long n = json_integer_value(json_object_get(r, "count"));

		if (n)
			mesh_buf_printf(out, "%s%s=%lld", out->len > before ? "," : "", mesh_text(r, "reason"), n);
	}
	if (out->len == before)
		mesh_buf_str(out, "-");
}

static size_t count_where(const json_t *list, const char *key)
{
	const json_t *item;
	size_t n = 0, i;

	json_array_foreach(list, i, item)
	{
		const json_t *v = json_object_get(item, key);

		n += json_is_true(v) || json_is_string(v);
	}
	return n;
}

static void node_row(struct mesh_buf *out, const char *node, const json_t *status)
{
	const json_t *dp = json_object_get(status, "dataplane"), *pods = json_object_get(status, "pods");
	size_t trouble = count_where(pods, "trouble");

	mesh_buf_printf(out, "%s\t%s\t%s\t%zu\t", node, mesh_text(status, "version"),
			json_is_true(json_object_get(status, "left"))        ? "has left"
			: json_is_true(json_object_get(status, "published")) ? "yes"
									     : "NO",
			count_where(pods, "captured"));
	if (trouble)
		mesh_buf_printf(out, "%zu", trouble);
	else
		mesh_buf_char(out, '-');
	mesh_buf_printf(out, "\t%zu\t", json_array_size(json_object_get(dp, "programs")));
	fullest_map(out, json_object_get(dp, "maps"));
	mesh_buf_char(out, '\t');
	refusals(out, json_object_get(dp, "reasons"));
	mesh_buf_char(out, '\n');
}

static void pods_in_trouble(struct mesh_buf *out, const char *node, const json_t *pods)
{
	const json_t *pod;
	size_t i;

	json_array_foreach(pods, i, pod) if (mesh_text(pod, "trouble")[0])
		mesh_buf_printf(out, "%s: pod %s/%s is not captured: %s\n", node, mesh_text(pod, "namespace"),
				mesh_text(pod, "name"), mesh_text(pod, "trouble"));
}

void mesh_status_nodes(struct mesh_buf *out, const json_t *nodes)
{
	struct mesh_tabs t = {.min_width = 6, .padding = 3};
	const char *name;
	json_t *node;

	if (json_object_size(nodes) == 0)
		return;
	mesh_buf_str(&t.text, "NODE\tVERSION\tIN FORCE\tPODS\tTROUBLE\tPROGRAMS\tFULLEST MAP\tREFUSED\n");
	json_object_foreach((json_t *)nodes, name, node)
	{
		if (json_object_get(node, "status"))
			node_row(&t.text, name, json_object_get(node, "status"));
	}
	mesh_tabs_flush(&t, out);
	mesh_tabs_free(&t);
	json_object_foreach((json_t *)nodes, name, node)
	{
		pods_in_trouble(out, name, json_object_get(json_object_get(node, "status"), "pods"));
		if (json_object_get(node, "error"))
			mesh_buf_printf(out, "%s: its agent could not be asked: %s\n", name, mesh_text(node, "error"));
	}
}

void mesh_status_control(struct mesh_buf *out, const json_t *status)
{
	const json_t *control = json_object_get(status, "control"), *item;
	size_t i;

	if (control)
		mesh_buf_printf(out, "control: %lld of %lld available, version %s, leader %s\n",
				(long long)json_integer_value(json_object_get(control, "available")),
				(long long)json_integer_value(json_object_get(control, "replicas")),
				mesh_text(control, "version"),
				mesh_text(control, "leader")[0] ? mesh_text(control, "leader") : "none");
	json_array_foreach(json_object_get(status, "webhooks"), i, item) mesh_buf_printf(
		out, "webhook: %s (failurePolicy %s, certificate authority %s)\n", mesh_text(item, "name"),
		mesh_text(item, "failurePolicy"), json_is_true(json_object_get(item, "caBundle")) ? "set" : "NOT SET");
	json_array_foreach(json_object_get(status, "gateways"), i, item)
		mesh_buf_printf(out, "gateway: %s/%s on %s, %s\n", mesh_text(item, "namespace"),
				mesh_text(item, "name"), mesh_text(item, "node"), mesh_text(item, "state"));
}

static void value_out(struct mesh_buf *out, const json_t *v)
{
	if (json_is_string(v))
		mesh_buf_str(out, json_string_value(v));
	else
		mesh_json_out(out, v, 0);
}

/* The fields of all items, in the order in which they first come. New reference. */
static json_t *fields_of(const json_t *list)
{
	json_t *fields = json_object(), *item, *value;
	const char *key;
	size_t i;

	json_array_foreach(list, i, item) json_object_foreach(item, key, value)
		json_object_set_new(fields, key, json_null());
	return fields;
}

static void table_row(struct mesh_buf *out, const json_t *item, const json_t *fields)
{
	const char *key, *between = "";
	json_t *value;

	json_object_foreach((json_t *)fields, key, value)
	{
		mesh_buf_str(out, between);
		if (json_object_get(item, key))
			value_out(out, json_object_get(item, key));
		else
			mesh_buf_char(out, '-');
		between = "\t";
	}
	mesh_buf_char(out, '\n');
}

static void print_table(struct mesh_buf *out, const json_t *list, int depth)
{
	struct mesh_tabs t = {.min_width = 4, .padding = 2};
	mesh_auto(mesh_buf_free) struct mesh_buf laid = {0};
	json_t *fields = fields_of(list), *item, *value;
	struct mesh_slice rest, line;
	const char *key, *between = "";
	size_t i;

	json_object_foreach(fields, key, value)
	{
		mesh_buf_printf(&t.text, "%s%s", between, key);
		between = "\t";
	}
	mesh_buf_char(&t.text, '\n');
	json_array_foreach(list, i, item) table_row(&t.text, item, fields);
	mesh_tabs_flush(&t, &laid);
	rest = mesh_buf_view(&laid);
	while (rest.len && mesh_slice_split(&rest, '\n', &line))
		mesh_buf_printf(out, "%*s%.*s\n", depth * 2, "", (int)line.len, line.ptr);
	mesh_tabs_free(&t);
	json_decref(fields);
}

/* Numbers and words on a line each, objects within objects indented; lists of objects as tables of their own fields. */
void mesh_status_details(struct mesh_buf *out, const json_t *agent, int depth)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)agent, key, value)
	{
		mesh_buf_printf(out, "%*s%s:", depth * 2, "", key);
		if (json_is_object(value) && json_object_size(value)) {
			mesh_buf_char(out, '\n');
			mesh_status_details(out, value, depth + 1);
		} else if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
			mesh_buf_char(out, '\n');
			print_table(out, value, depth + 1);
		} else {
			mesh_buf_char(out, ' ');
			value_out(out, value);
			mesh_buf_char(out, '\n');
		}
	}
}
