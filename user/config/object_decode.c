/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server written in Go cannot read into its types, in the words of its decoder.
 */
#include "config/decode.h"
#include "config/document.h"
#include "config/schema.h"
#include "config/schema_walk.h"

#include <ctype.h>
#include <errno.h>

struct decode {
	struct mesh_buf path;   /* without list indexes */
	struct mesh_buf first;  /* the first type error */
	struct mesh_buf parser; /* a value's own parser failed: this is told first */
};

static const char *last_part(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

/* "io.k8s.api.core.v1.PodSpec" is "v1.PodSpec" in Go. */
static void go_struct(const struct mesh_schema *s, struct mesh_buf *out)
{
	const char *last = last_part(s->name), *before = last > s->name ? last - 1 : last;

	while (before > s->name && before[-1] != '.')
		before--;
	mesh_buf_printf(out, "%.*s", (int)(last - before), before);
	mesh_buf_str(out, last);
}

static void go_type(enum mesh_type type, const struct mesh_field *f, struct mesh_buf *out)
{
	static const char *const names[] = {
		[MESH_TYPE_STRING] = "string",    [MESH_TYPE_BOOL] = "bool",      [MESH_TYPE_INT32] = "int32",
		[MESH_TYPE_INT64] = "int64",      [MESH_TYPE_NUMBER] = "float64", [MESH_TYPE_BYTES] = "[]uint8",
		[MESH_TYPE_ANY] = "interface {}",
	};

	if (type == MESH_TYPE_ARRAY || type == MESH_TYPE_MAP) {
		mesh_buf_str(out, type == MESH_TYPE_ARRAY ? "[]" : "map[string]");
		if (f->item != MESH_TYPE_ARRAY && f->item != MESH_TYPE_MAP)
			go_type(f->item, f, out);
	} else if (type == MESH_TYPE_OBJECT && f->of) {
		go_struct(f->of, out);
	} else {
		mesh_buf_str(out, type < MESH_ARRAY_SIZE(names) && names[type] ? names[type] : "string");
	}
}

static void cannot(struct decode *d, const struct mesh_schema *in, enum mesh_type type, const struct mesh_field *f,
		   const json_t *v)
{
	if (d->first.len)
		return;
	mesh_buf_str(&d->first, "json: cannot unmarshal ");
	if (json_is_boolean(v))
		mesh_buf_str(&d->first, "bool");
	else if (json_is_number(v))
		mesh_buf_str(&d->first, "number");
	else
		mesh_buf_str(&d->first, mesh_json_type(v));
	if (json_is_number(v) && (type == MESH_TYPE_INT32 || type == MESH_TYPE_INT64)) {
		if (json_is_integer(v))
			mesh_buf_printf(&d->first, " %" JSON_INTEGER_FORMAT, json_integer_value(v));
		else
			mesh_buf_printf(&d->first, " %.15g", json_real_value(v));
	}
	mesh_buf_printf(&d->first, " into Go struct field %s.%s of type ", last_part(in->name),
			d->path.data ? d->path.data : "");
	go_type(type, f, &d->first);
}

static bool is_quantity(const char *s)
{
	static const char *const suffixes[] = {"",  "n",  "u",  "m",  "k",  "M",  "G",  "T", "P",
					       "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", NULL};
	size_t digits = 0;

	if (*s == '+' || *s == '-')
		s++;
	for (; isdigit((unsigned char)*s); s++)
		digits++;
	if (*s == '.')
		for (s++; isdigit((unsigned char)*s); s++)
			digits++;
	if (!digits)
		return false;
	for (const char *const *x = suffixes; *x; x++)
		if (strcmp(s, *x) == 0)
			return true;
	if (*s != 'e' && *s != 'E')
		return false;
	s++;
	if (*s == '+' || *s == '-')
		s++;
	return *s && strspn(s, "0123456789") == strlen(s);
}

static void parse_text(struct decode *d, enum mesh_type type, const char *s)
{
	int64_t t;

	if (d->parser.len)
		return;
	if (type == MESH_TYPE_QUANTITY && !is_quantity(s))
		mesh_buf_str(&d->parser, "quantities must match the regular expression "
					 "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
	else if (type == MESH_TYPE_TIME && mesh_decode_time(s, &t) < 0)
		mesh_buf_printf(&d->parser,
				"parsing time \"%s\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"%s\" as \"2006\"",
				s, s);
	else if (type == MESH_TYPE_BYTES && !mesh_text_is_base64(s))
		mesh_buf_str(&d->parser, "illegal base64 data at input byte 0");
}

static void decode_object(struct decode *d, const struct mesh_schema *s, const json_t *obj);

static void decode_value(struct decode *d, const struct mesh_schema *in, enum mesh_type type,
			 const struct mesh_field *f, const json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_null(v))
		return;
	if (!mesh_type_fits(type, v) || (json_is_real(v) && (type == MESH_TYPE_INT32 || type == MESH_TYPE_INT64)) ||
	    (type == MESH_TYPE_INT32 && (json_integer_value(v) > INT32_MAX || json_integer_value(v) < INT32_MIN))) {
		cannot(d, in, type, f, v);
	} else if (type == MESH_TYPE_OBJECT) {
		decode_object(d, f->of, v);
	} else if (type == MESH_TYPE_ARRAY) {
		json_array_foreach(v, i, item) decode_value(d, in, f->item, f, item);
	} else if (type == MESH_TYPE_MAP) {
		json_object_foreach((json_t *)v, key, item) decode_value(d, in, f->item, f, item);
	} else if (json_is_string(v)) {
		parse_text(d, type, json_string_value(v));
	}
}

static void decode_field(struct decode *d, const struct mesh_schema *in, const struct mesh_field *f, const json_t *v)
{
	size_t len = d->path.len;

	mesh_buf_printf(&d->path, "%s%s", len ? "." : "", f->name);
	decode_value(d, in, f->type, f, v);
	d->path.len = len;
	d->path.data[len] = '\0';
}

static void decode_object(struct decode *d, const struct mesh_schema *s, const json_t *obj)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)obj, key, v)
	{
		const struct mesh_field *f = mesh_schema_find(s, key);

		if (f)
			decode_field(d, s, f, v);
	}
}

int mesh_object_decodable(const struct mesh_kind *kind, const json_t *obj, struct mesh_buf *why)
{
	static const struct mesh_field field = {
		.name = "metadata", .type = MESH_TYPE_OBJECT, .of = &mesh_schema_object_meta};
	const json_t *metadata = json_object_get(obj, "metadata");
	struct decode d = {0};
	int r = 0;

	if (metadata)
		decode_field(&d, kind->schema, &field, metadata);
	if (kind->flags & MESH_KIND_BUILTIN)
		decode_object(&d, kind->schema, obj);
	if (d.parser.len || d.first.len) {
		mesh_buf_slice(why, mesh_buf_view(d.parser.len ? &d.parser : &d.first));
		r = -EINVAL;
	}
	mesh_buf_free(&d.path);
	mesh_buf_free(&d.first);
	mesh_buf_free(&d.parser);
	return r;
}
