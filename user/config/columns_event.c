/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of events, of core and of events.k8s.io.
 */
#include "config/cells.h"
#include "config/columns.h"

static const char *first_text(const json_t *obj, const char *a, const char *b)
{
	const char *v = mesh_json_text(obj, a);

	return v ? v : mesh_json_text(obj, b);
}

static json_t *cell_last_seen(const json_t *obj)
{
	const json_t *series = json_object_get(obj, "series");
	const char *t = first_text(obj, "lastTimestamp", "deprecatedLastTimestamp");

	if (series)
		t = mesh_json_text(series, "lastObservedTime");
	if (!t)
		t = first_text(obj, "firstTimestamp", "deprecatedFirstTimestamp");
	return mesh_cell_since(t ? t : mesh_json_text(obj, "eventTime"));
}

static json_t *cell_first_seen(const json_t *obj)
{
	const char *t = first_text(obj, "firstTimestamp", "deprecatedFirstTimestamp");

	return mesh_cell_since(t ? t : mesh_json_text(obj, "eventTime"));
}

static json_t *cell_event_type(const json_t *obj)
{
	return mesh_cell_text(mesh_json_text(obj, "type"), "");
}

static json_t *cell_event_reason(const json_t *obj)
{
	return mesh_cell_text(mesh_json_text(obj, "reason"), "");
}

static const json_t *event_object(const json_t *obj)
{
	const json_t *about = json_object_get(obj, "involvedObject");

	return about ? about : json_object_get(obj, "regarding");
}

static json_t *cell_event_object(const json_t *obj)
{
	const json_t *about = event_object(obj);
	const char *kind = mesh_json_text(about, "kind"), *name = mesh_json_text(about, "name");
	struct mesh_buf b = {0};

	for (; kind && *kind; kind++)
		mesh_buf_char(&b, *kind >= 'A' && *kind <= 'Z' ? (char)(*kind + 32) : *kind);
	if (name && *name)
		mesh_buf_printf(&b, "/%s", name);
	return mesh_cell_steal(&b);
}

static json_t *cell_event_field(const json_t *obj)
{
	return mesh_cell_text(mesh_json_text(event_object(obj), "fieldPath"), "");
}

static json_t *cell_event_source(const json_t *obj)
{
	const json_t *source = json_object_get(obj, "source");
	const char *component, *host;
	struct mesh_buf b = {0};

	if (!source)
		source = json_object_get(obj, "deprecatedSource");
	component = mesh_json_text(source, "component");
	host = mesh_json_text(source, "host");
	if (!component)
		component = first_text(obj, "reportingComponent", "reportingController");
	if (!host)
		host = mesh_json_text(obj, "reportingInstance");
	mesh_buf_str(&b, component ? component : "");
	if (host && *host)
		mesh_buf_printf(&b, ", %s", host);
	return mesh_cell_steal(&b);
}

static json_t *cell_event_message(const json_t *obj)
{
	const char *m = first_text(obj, "message", "note");
	struct mesh_slice s = mesh_slice_trim(mesh_slice_str(m));

	return json_stringn(s.len ? s.ptr : "", s.len);
}

static json_t *cell_event_count(const json_t *obj)
{
	const json_t *count = mesh_json_at(obj, "series", "count", NULL);

	if (!count)
		count = json_object_get(obj, "count");
	if (!count)
		count = json_object_get(obj, "deprecatedCount");
	return json_integer(json_integer_value(count) ? json_integer_value(count) : 1);
}

const struct mesh_column mesh_columns_event[] = {
	{"Last Seen", "string", "Time since it happened last.", 0, NULL, cell_last_seen},
	{"Type", "string", "Normal or Warning.", 0, NULL, cell_event_type},
	{"Reason", "string", "What happened, in one word.", 0, NULL, cell_event_reason},
	{"Object", "string", "What it happened to.", 0, NULL, cell_event_object},
	{"Subobject", "string", "The part of it.", 1, NULL, cell_event_field},
	{"Source", "string", "Who says so.", 1, NULL, cell_event_source},
	{"Message", "string", "What happened.", 0, NULL, cell_event_message},
	{"First Seen", "string", "Time since it happened first.", 1, NULL, cell_first_seen},
	{"Count", "string", "How often it happened.", 1, NULL, cell_event_count},
	{"Name", "string", "Name of the event.", 1, NULL, mesh_cell_name},
	{.name = NULL},
};
