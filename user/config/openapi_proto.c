/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI v2 as the protobuf message openapi.v2.Document (gnostic), written from the JSON document. One table a
 * message: which JSON key is which field of which form.
 */
#include "config/document.h"

enum form {
	TEXT,       /* string */
	TEXTS,      /* repeated string */
	DOUBLE,     /* double */
	INT,        /* int64 */
	ANYS,       /* repeated Any, as YAML */
	MESSAGE,    /* of */
	NAMED,      /* an object's members as repeated {name = 1, value = 2 of}, inside a message of their own */
	TYPE,       /* TypeItem: {value = 1: repeated string} */
	ITEMS,      /* ItemsItem: {schema = 1: of} */
	MAP_OF,     /* AdditionalPropertiesItem: {schema = 1: of} */
	PARAMETERS, /* repeated ParametersItem around a query parameter */
	RESPONSES,  /* Responses: {response_code = 1: {name = 1, value = 2: {response = 1: {description = 1}}}} */
};

struct message;

struct row {
	const char *key;
	unsigned number;
	enum form form;
	const struct message *of;
	unsigned inner; /* NAMED: number of the repeated field inside */
};

struct message {
	const struct row *rows;
	unsigned extensions; /* number of vendor_extension; 0: none */
};

static const struct message schema;

static const struct row schema_rows[] = {
	{"$ref", 1, TEXT, NULL, 0},
	{"format", 2, TEXT, NULL, 0},
	{"description", 4, TEXT, NULL, 0},
	{"maximum", 7, DOUBLE, NULL, 0},
	{"minimum", 9, DOUBLE, NULL, 0},
	{"maxLength", 11, INT, NULL, 0},
	{"minLength", 12, INT, NULL, 0},
	{"maxItems", 14, INT, NULL, 0},
	{"minItems", 15, INT, NULL, 0},
	{"maxProperties", 17, INT, NULL, 0},
	{"minProperties", 18, INT, NULL, 0},
	{"required", 19, TEXTS, NULL, 0},
	{"enum", 20, ANYS, NULL, 0},
	{"additionalProperties", 21, MAP_OF, &schema, 0},
	{"type", 22, TYPE, NULL, 0},
	{"items", 23, ITEMS, &schema, 0},
	{"properties", 25, NAMED, &schema, 1},
	{NULL, 0, TEXT, NULL, 0},
};
static const struct message schema = {schema_rows, 31};

static const struct row operation_rows[] = {
	{"parameters", 8, PARAMETERS, NULL, 0},
	{"responses", 9, RESPONSES, NULL, 0},
	{NULL, 0, TEXT, NULL, 0},
};
static const struct message operation = {operation_rows, 13};

static const struct row path_rows[] = {
	{"get", 2, MESSAGE, &operation, 0},   {"put", 3, MESSAGE, &operation, 0},
	{"post", 4, MESSAGE, &operation, 0},  {"delete", 5, MESSAGE, &operation, 0},
	{"patch", 8, MESSAGE, &operation, 0}, {NULL, 0, TEXT, NULL, 0},
};
static const struct message path = {path_rows, 0};

static const struct row info_rows[] = {
	{"title", 1, TEXT, NULL, 0},
	{"version", 2, TEXT, NULL, 0},
	{NULL, 0, TEXT, NULL, 0},
};
static const struct message info = {info_rows, 0};

static const struct row document_rows[] = {
	{"swagger", 1, TEXT, NULL, 0},         {"info", 2, MESSAGE, &info, 0}, {"paths", 8, NAMED, &path, 2},
	{"definitions", 9, NAMED, &schema, 1}, {NULL, 0, TEXT, NULL, 0},
};
static const struct message document = {document_rows, 0};

static const struct row parameter_rows[] = {
	{"in", 2, TEXT, NULL, 0},
	{"name", 4, TEXT, NULL, 0},
	{"type", 6, TEXT, NULL, 0},
	{NULL, 0, TEXT, NULL, 0},
};
static const struct message parameter = {parameter_rows, 0};

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

static void put_varint(struct mesh_buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		mesh_buf_char(out, (char)(v | 0x80));
	mesh_buf_char(out, (char)v);
}

static void put_tag(struct mesh_buf *out, unsigned number, enum wire wire)
{
	put_varint(out, (uint64_t)number << 3 | wire);
}

static void put_bytes(struct mesh_buf *out, unsigned number, struct mesh_slice s)
{
	put_tag(out, number, WIRE_BYTES);
	put_varint(out, s.len);
	mesh_buf_slice(out, s);
}

static void put_text(struct mesh_buf *out, unsigned number, const char *s)
{
	put_bytes(out, number, mesh_slice_str(s ? s : ""));
}

/* Puts what was written to part as field number of out, and empties part. */
static void put_part(struct mesh_buf *out, unsigned number, struct mesh_buf *part)
{
	put_bytes(out, number, mesh_buf_view(part));
	mesh_buf_free(part);
}

/* Any: {yaml = 2}. JSON is YAML. */
static void put_any(struct mesh_buf *out, unsigned number, const json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	struct mesh_buf any = {0};

	put_text(&any, 2, text);
	put_part(out, number, &any);
	free(text);
}

static void put_message(struct mesh_buf *out, const struct message *m, const json_t *v);

static void put_members(struct mesh_buf *out, unsigned number, const struct message *of, const json_t *v)
{
	const char *key;
	json_t *item;

	json_object_foreach((json_t *)v, key, item)
	{
		struct mesh_buf named = {0}, value = {0};

		put_message(&value, of, item);
		put_text(&named, 1, key);
		put_part(&named, 2, &value);
		put_part(out, number, &named);
	}
}

/* ParametersItem {parameter = 1: Parameter {non_body_parameter = 2: NonBodyParameter {query = 3}}} */
static void put_parameter(struct mesh_buf *out, unsigned number, const json_t *v)
{
	struct mesh_buf query = {0}, non_body = {0}, any = {0}, item = {0};

	put_message(&query, &parameter, v);
	put_part(&non_body, 3, &query);
	put_part(&any, 2, &non_body);
	put_part(&item, 1, &any);
	put_part(out, number, &item);
}

static void put_responses(struct mesh_buf *out, unsigned number, const json_t *v)
{
	struct mesh_buf all = {0};
	const char *code;
	json_t *item;

	json_object_foreach((json_t *)v, code, item)
	{
		struct mesh_buf response = {0}, value = {0}, named = {0};

		put_text(&response, 1, json_string_value(json_object_get(item, "description")));
		put_part(&value, 1, &response);
		put_text(&named, 1, code);
		put_part(&named, 2, &value);
		put_part(&all, 1, &named);
	}
	put_part(out, number, &all);
}

static void put_double(struct mesh_buf *out, unsigned number, double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	put_tag(out, number, WIRE_FIXED64);
	for (int i = 0; i < 8; i++)
		mesh_buf_char(out, (char)(bits >> (8 * i)));
}

static void put_list(struct mesh_buf *out, const struct row *r, const json_t *v)
{
	size_t i;
	json_t *item;

	json_array_foreach(v, i, item)
	{
		if (r->form == TEXTS)
			put_text(out, r->number, json_string_value(item));
		else if (r->form == ANYS)
			put_any(out, r->number, item);
		else
			put_parameter(out, r->number, item);
	}
}

static void put_row(struct mesh_buf *out, const struct row *r, const json_t *v)
{
	struct mesh_buf part = {0};

	switch (r->form) {
	case TEXT:
		put_text(out, r->number, json_string_value(v));
		return;
	case TEXTS:
	case ANYS:
	case PARAMETERS:
		put_list(out, r, v);
		return;
	case INT:
		put_tag(out, r->number, WIRE_VARINT);
		put_varint(out, (uint64_t)json_integer_value(v));
		return;
	case DOUBLE:
		put_double(out, r->number, json_number_value(v));
		return;
	case RESPONSES:
		put_responses(out, r->number, v);
		return;
	case NAMED:
		put_members(&part, r->inner, r->of, v);
		break;
	case TYPE:
		put_text(&part, 1, json_string_value(v));
		break;
	case ITEMS:
	case MAP_OF: {
		struct mesh_buf inner = {0};

		put_message(&inner, r->of, v);
		put_part(&part, 1, &inner);
		break;
	}
	case MESSAGE:
		put_message(&part, r->of, v);
		break;
	}
	put_part(out, r->number, &part);
}

static void put_message(struct mesh_buf *out, const struct message *m, const json_t *v)
{
	const char *key;
	json_t *item;

	for (const struct row *r = m->rows; r->key; r++) {
		item = json_object_get(v, r->key);
		if (item)
			put_row(out, r, item);
	}
	if (!m->extensions)
		return;
	json_object_foreach((json_t *)v, key, item)
	{
		struct mesh_buf named = {0};

		if (strncmp(key, "x-", 2) != 0)
			continue;
		put_text(&named, 1, key);
		put_any(&named, 2, item);
		put_part(out, m->extensions, &named);
	}
}

void mesh_openapi_v2_protobuf(struct mesh_buf *out)
{
	json_t *doc = mesh_openapi_v2();

	put_message(out, &document, doc);
	json_decref(doc);
}
