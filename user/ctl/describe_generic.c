/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/describe.h"

#include "core/mem.h"
#include "core/time.h"
#include "ctl/json_out.h"
#include "ctl/merge.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

enum { ANNOTATION_MAX = 140 };

void mesh_describe_line(struct mesh_tabs *t, int level, const char *fmt, ...)
{
	va_list ap;

	mesh_buf_printf(&t->text, "%*s", level * 2, "");
	va_start(ap, fmt);
	mesh_buf_vprintf(&t->text, fmt, ap);
	va_end(ap);
	mesh_buf_char(&t->text, '\n');
}

const json_t *mesh_at(const json_t *obj, const char *path)
{
	struct mesh_slice rest = mesh_slice_str(path), part;

	while (obj && mesh_slice_split(&rest, '.', &part)) {
		mesh_auto_free char *key = mesh_xstrndup(part.ptr, part.len);

		obj = json_object_get(obj, key);
	}
	return obj;
}

const char *mesh_at_text(const json_t *obj, const char *path)
{
	const char *s = json_string_value(mesh_at(obj, path));

	return s ? s : "";
}

long mesh_at_number(const json_t *obj, const char *path)
{
	return (long)json_number_value(mesh_at(obj, path));
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* NULL-ended; the caller frees the array. */
static const char **sorted_keys(const json_t *object)
{
	const char **keys = mesh_xcalloc(json_object_size(object) + 1, sizeof(*keys)), *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach((json_t *)object, key, value) keys[n++] = key;
	qsort(keys, n, sizeof(*keys), by_bytes);
	return keys;
}

void mesh_describe_value(struct mesh_buf *out, const json_t *v)
{
	if (json_is_string(v))
		mesh_buf_str(out, json_string_value(v));
	else if (!v || json_is_null(v))
		mesh_buf_str(out, "<nil>");
	else
		mesh_json_out(out, v, 0);
}

char *mesh_join_map(const json_t *map, const char *between, const char *next)
{
	mesh_auto_free const char **keys = sorted_keys(map);
	struct mesh_buf b = {0};

	for (const char **k = keys; *k; k++) {
		mesh_buf_printf(&b, "%s%s%s", k == keys ? "" : next, *k, between);
		mesh_describe_value(&b, json_object_get(map, *k));
	}
	if (b.len == 0)
		mesh_buf_str(&b, "<none>");
	return mesh_buf_steal(&b);
}

void mesh_describe_map(struct mesh_tabs *t, int level, const char *title, const json_t *map, const char *between)
{
	mesh_auto_free const char **keys = sorted_keys(map);

	if (!keys[0])
		mesh_describe_line(t, level, "%s:\t<none>", title);
	for (const char **k = keys; *k; k++) {
		mesh_auto(mesh_buf_free) struct mesh_buf value = {0};

		mesh_describe_value(&value, json_object_get(map, *k));
		if (k == keys)
			mesh_describe_line(t, level, "%s:\t%s%s%s", title, *k, between, value.data ? value.data : "");
		else
			mesh_describe_line(t, level, "\t%s%s%s", *k, between, value.data ? value.data : "");
	}
}

static void long_annotation(struct mesh_tabs *t, int level, const char *title, const char *key, struct mesh_slice value)
{
	struct mesh_slice line;

	mesh_describe_line(t, level, "%s\t%s:", title, key);
	while (mesh_slice_split(&value, '\n', &line)) {
		bool cut = line.len > ANNOTATION_MAX - 2;

		mesh_describe_line(t, level, "\t  %.*s%s", (int)(cut ? ANNOTATION_MAX - 2 : line.len), line.ptr,
				   cut ? "..." : "");
	}
}

void mesh_describe_annotations(struct mesh_tabs *t, int level, const json_t *obj)
{
	const json_t *annotations = mesh_at(obj, "metadata.annotations");
	mesh_auto_free const char **keys = sorted_keys(annotations);
	const char *title = "Annotations:";

	for (const char **k = keys; *k; k++) {
		struct mesh_slice value = mesh_slice_str(json_string_value(json_object_get(annotations, *k)));

		if (strcmp(*k, MESH_LAST_APPLIED) == 0)
			continue;
		if (value.len && value.ptr[value.len - 1] == '\n')
			value.len--;
		if (value.len + strlen(*k) + 2 > ANNOTATION_MAX || mesh_slice_find(value, '\n') >= 0)
			long_annotation(t, level, title, *k, value);
		else
			mesh_describe_line(t, level, "%s\t%s: %.*s", title, *k, (int)value.len,
					   value.ptr ? value.ptr : "");
		title = "";
	}
	if (title[0])
		mesh_describe_line(t, level, "Annotations:\t<none>");
}

void mesh_describe_head(struct mesh_tabs *t, const json_t *obj)
{
	mesh_describe_line(t, 0, "Name:\t%s", mesh_meta(obj, "name"));
	mesh_describe_line(t, 0, "Namespace:\t%s", mesh_meta(obj, "namespace"));
}

void mesh_describe_labels(struct mesh_tabs *t, const json_t *obj)
{
	mesh_describe_map(t, 0, "Labels", mesh_at(obj, "metadata.labels"), "=");
	mesh_describe_annotations(t, 0, obj);
}

enum letter { LETTER_LOWER, LETTER_UPPER, LETTER_OTHER };

static enum letter letter_of(char c)
{
	return islower((unsigned char)c) ? LETTER_LOWER : isupper((unsigned char)c) ? LETTER_UPPER : LETTER_OTHER;
}

/* Where the word that starts at p ends: "apiVersion" api|Version, "PDFLoader" PDF|Loader. */
static size_t word_length(const char *p)
{
	enum letter first = letter_of(*p);
	size_t n = 1;

	while (p[n] && letter_of(p[n]) == first)
		n++;
	if (first == LETTER_UPPER && letter_of(p[n]) == LETTER_LOWER && p[n]) {
		if (n > 1)
			return n - 1;
		while (p[n] && letter_of(p[n]) == LETTER_LOWER)
			n++;
	}
	return n;
}

char *mesh_describe_label_for(const char *field)
{
	static const char *const acronyms[] = {"API", "URL", "UID", "OSB", "GUID"};
	struct mesh_buf b = {0};

	for (const char *p = field; *p; p++)
		if (!isalpha((unsigned char)*p) && *p != '-')
			return mesh_xstrdup(field);
	for (const char *p = field; *p;) {
		size_t n = word_length(p), start;
		bool acronym = false;

		for (size_t i = 0; i < MESH_ARRAY_SIZE(acronyms); i++)
			acronym |= mesh_slice_eq_nocase(mesh_slice_of(p, n), mesh_slice_str(acronyms[i]));
		if (b.len)
			mesh_buf_char(&b, ' ');
		start = b.len;
		mesh_buf_add(&b, p, n);
		for (size_t i = start; i < b.len && (acronym || i == start); i++)
			b.data[i] = (char)toupper((unsigned char)b.data[i]);
		p += n;
	}
	return mesh_buf_steal(&b);
}

static bool skipped(int level, const json_t *parent, const json_t *root, const char *key)
{
	static const char *const keys[] = {"managedFields", "name", "namespace", "labels", "annotations"};

	if (level != 1 || parent != json_object_get(root, "metadata"))
		return false;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

static void content(struct mesh_tabs *t, int level, const json_t *obj, const json_t *root);

static void list_content(struct mesh_tabs *t, int level, const json_t *list, const json_t *root)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		mesh_auto(mesh_buf_free) struct mesh_buf value = {0};

		if (json_is_object(item)) {
			content(t, level, item, root);
			continue;
		}
		mesh_describe_value(&value, item);
		mesh_describe_line(t, level, "%s", value.data ? value.data : "");
	}
}

static void content(struct mesh_tabs *t, int level, const json_t *obj, const json_t *root)
{
	mesh_auto_free const char **keys = sorted_keys(obj);

	for (const char **k = keys; *k; k++) {
		const json_t *v = json_object_get(obj, *k);
		mesh_auto_free char *label = mesh_describe_label_for(*k);
		mesh_auto(mesh_buf_free) struct mesh_buf value = {0};

		if (skipped(level, obj, root, *k))
			continue;
		if (json_is_object(v) || json_is_array(v)) {
			mesh_describe_line(t, level, "%s:", label);
			if (json_is_object(v))
				content(t, level + 1, v, root);
			else
				list_content(t, level + 1, v, root);
			continue;
		}
		mesh_describe_value(&value, v);
		mesh_describe_line(t, level, "%s:\t%s", label, value.data ? value.data : "");
	}
}

void mesh_describe_generic(struct mesh_tabs *t, const json_t *obj)
{
	mesh_describe_head(t, obj);
	mesh_describe_labels(t, obj);
	content(t, 0, obj, obj);
}

long mesh_seconds_since(const char *text)
{
	int64_t at;

	return mesh_time_parse(text, &at) < 0 ? -1 : MESH_MAX((long)(time(NULL) - at), 0L);
}

const char *mesh_age(long s, char *out)
{
	long m = s / 60, h = s / 3600, d = s / 86400;

	if (s < 0)
		strcpy(out, "<unknown>");
	else if (s < 120)
		snprintf(out, 32, "%lds", s);
	else if (m < 10 && s % 60)
		snprintf(out, 32, "%ldm%lds", m, s % 60);
	else if (m < 180)
		snprintf(out, 32, "%ldm", m);
	else if (h < 8 && m % 60)
		snprintf(out, 32, "%ldh%ldm", h, m % 60);
	else if (h < 48)
		snprintf(out, 32, "%ldh", h);
	else if (d < 8 && h % 24)
		snprintf(out, 32, "%ldd%ldh", d, h % 24);
	else if (d < 730)
		snprintf(out, 32, "%ldd", d);
	else if (d < 365 * 8 && d % 365)
		snprintf(out, 32, "%ldy%ldd", d / 365, d % 365);
	else
		snprintf(out, 32, "%ldy", d / 365);
	return out;
}

char *mesh_long_time(const char *text)
{
	char out[64];
	struct tm tm;
	time_t when;
	int64_t at;

	if (mesh_time_parse(text, &at) < 0)
		return mesh_xstrdup("<unset>");
	when = (time_t)at;
	localtime_r(&when, &tm);
	strftime(out, sizeof(out), "%a, %d %b %Y %H:%M:%S %z", &tm);
	return mesh_xstrdup(out);
}

static const char *first_of(const json_t *event, const char *a, const char *b)
{
	const char *s = mesh_at_text(event, a);

	return s[0] ? s : mesh_at_text(event, b);
}

static void event_line(struct mesh_tabs *t, const json_t *e)
{
	char last[32], first[32];
	const char *when = first_of(e, "lastTimestamp", "eventTime"), *host = mesh_at_text(e, "source.host");
	mesh_auto_free char *age = NULL;
	struct mesh_slice message = mesh_slice_trim(mesh_slice_str(mesh_at_text(e, "message")));

	mesh_age(mesh_seconds_since(when[0] ? when : mesh_meta(e, "creationTimestamp")), last);
	mesh_age(mesh_seconds_since(first_of(e, "firstTimestamp", "eventTime")), first);
	if (mesh_at_number(e, "count") > 1)
		age = mesh_xasprintf("%s (x%ld over %s)", last, mesh_at_number(e, "count"), first);
	else
		age = mesh_xstrdup(mesh_at_text(e, "firstTimestamp")[0] ? first : last);
	(void)host;
	mesh_describe_line(t, 1, "%s\t%s\t%s\t%s\t%.*s", mesh_at_text(e, "type"), mesh_at_text(e, "reason"), age,
			   first_of(e, "source.component", "reportingComponent"), (int)message.len, message.ptr);
}

void mesh_describe_events(struct mesh_tabs *t, const json_t *events)
{
	const json_t *e;
	size_t i;

	if (json_array_size(events) == 0) {
		mesh_describe_line(t, 0, "Events:\t<none>");
		return;
	}
	mesh_describe_line(t, 0, "Events:");
	mesh_describe_line(t, 1, "Type\tReason\tAge\tFrom\tMessage");
	mesh_describe_line(t, 1, "----\t------\t----\t----\t-------");
	json_array_foreach(events, i, e) event_line(t, e);
}
