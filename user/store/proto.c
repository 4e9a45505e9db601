/* SPDX-License-Identifier: Apache-2.0 */
#include "store/proto.h"

#include "config/schema.h"
#include "core/mem.h"
#include "store/json.h"
#include "store/meta.h"

#include <openssl/evp.h>

enum { DEPTH_MAX = 32, VARINT_MAX = 10 };

/* --- messages that are no kind's --- */

static const struct mesh_field preconditions_fields[] = {{.name = "uid", .type = MESH_TYPE_STRING},
							 {.name = "resourceVersion", .type = MESH_TYPE_STRING},
							 {.name = NULL}};
static const struct mesh_schema preconditions = {.name = "io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions",
						 .fields = preconditions_fields};
static const struct mesh_field delete_options_fields[] = {
	{.name = "gracePeriodSeconds", .type = MESH_TYPE_INT64},
	{.name = "preconditions", .type = MESH_TYPE_OBJECT, .of = &preconditions},
	{.name = "orphanDependents", .type = MESH_TYPE_BOOL},
	{.name = "propagationPolicy", .type = MESH_TYPE_STRING},
	{.name = "dryRun", .type = MESH_TYPE_ARRAY, .item = MESH_TYPE_STRING},
	{.name = NULL}};
static const struct mesh_field resource_attributes_fields[] = {
	{.name = "namespace", .type = MESH_TYPE_STRING}, {.name = "verb", .type = MESH_TYPE_STRING},
	{.name = "group", .type = MESH_TYPE_STRING},     {.name = "version", .type = MESH_TYPE_STRING},
	{.name = "resource", .type = MESH_TYPE_STRING},  {.name = "subresource", .type = MESH_TYPE_STRING},
	{.name = "name", .type = MESH_TYPE_STRING},      {.name = NULL}};
static const struct mesh_schema resource_attributes = {.name = "io.k8s.api.authorization.v1.ResourceAttributes",
						       .fields = resource_attributes_fields};
static const struct mesh_field path_attributes_fields[] = {
	{.name = "path", .type = MESH_TYPE_STRING}, {.name = "verb", .type = MESH_TYPE_STRING}, {.name = NULL}};
static const struct mesh_schema path_attributes = {.name = "io.k8s.api.authorization.v1.NonResourceAttributes",
						   .fields = path_attributes_fields};
static const struct mesh_field access_spec_fields[] = {
	{.name = "resourceAttributes", .type = MESH_TYPE_OBJECT, .of = &resource_attributes},
	{.name = "nonResourceAttributes", .type = MESH_TYPE_OBJECT, .of = &path_attributes},
	{.name = NULL}};
static const struct mesh_schema access_spec = {.name = "io.k8s.api.authorization.v1.SelfSubjectAccessReviewSpec",
					       .fields = access_spec_fields};
static const struct mesh_field access_review_fields[] = {{.name = "spec", .type = MESH_TYPE_OBJECT, .of = &access_spec},
							 {.name = NULL}};
static const struct mesh_field rules_spec_fields[] = {{.name = "namespace", .type = MESH_TYPE_STRING}, {.name = NULL}};
static const struct mesh_schema rules_spec = {.name = "io.k8s.api.authorization.v1.SelfSubjectRulesReviewSpec",
					      .fields = rules_spec_fields};
static const struct mesh_field rules_review_fields[] = {{.name = "spec", .type = MESH_TYPE_OBJECT, .of = &rules_spec},
							{.name = NULL}};
static const struct mesh_field bound_fields[] = {{.name = "kind", .type = MESH_TYPE_STRING},
						 {.name = "apiVersion", .type = MESH_TYPE_STRING},
						 {.name = "name", .type = MESH_TYPE_STRING},
						 {.name = "uid", .type = MESH_TYPE_STRING},
						 {.name = NULL}};
static const struct mesh_schema bound = {.name = "io.k8s.api.authentication.v1.BoundObjectReference",
					 .fields = bound_fields};
static const struct mesh_field token_spec_fields[] = {
	{.name = "audiences", .type = MESH_TYPE_ARRAY, .item = MESH_TYPE_STRING},
	{.name = "boundObjectRef", .type = MESH_TYPE_OBJECT, .of = &bound},
	{.name = "expirationSeconds", .type = MESH_TYPE_INT64},
	{.name = NULL}};
static const struct mesh_schema token_spec = {.name = "io.k8s.api.authentication.v1.TokenRequestSpec",
					      .fields = token_spec_fields};
static const struct mesh_field token_fields[] = {{.name = "spec", .type = MESH_TYPE_OBJECT, .of = &token_spec},
						 {.name = NULL}};
static const struct mesh_field binding_fields[] = {
	{.name = "target", .type = MESH_TYPE_OBJECT, .of = &mesh_schema_object_reference}, {.name = NULL}};
static const struct mesh_field scale_spec_fields[] = {{.name = "replicas", .type = MESH_TYPE_INT32}, {.name = NULL}};
static const struct mesh_schema scale_spec = {.name = "io.k8s.api.autoscaling.v1.ScaleSpec",
					      .fields = scale_spec_fields};
static const struct mesh_field scale_fields[] = {{.name = "spec", .type = MESH_TYPE_OBJECT, .of = &scale_spec},
						 {.name = NULL}};
static const struct mesh_field no_fields[] = {{.name = NULL}};

static const struct {
	const char *kind;
	struct mesh_schema schema;
} others[] = {
	{"DeleteOptions",
	 {.name = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", .fields = delete_options_fields}},
	{"SelfSubjectAccessReview",
	 {.name = "io.k8s.api.authorization.v1.SelfSubjectAccessReview", .fields = access_review_fields}},
	{"SelfSubjectRulesReview",
	 {.name = "io.k8s.api.authorization.v1.SelfSubjectRulesReview", .fields = rules_review_fields}},
	{"SelfSubjectReview", {.name = "io.k8s.api.authentication.v1.SelfSubjectReview", .fields = no_fields}},
	{"TokenRequest", {.name = "io.k8s.api.authentication.v1.TokenRequest", .fields = token_fields}},
	{"Binding", {.name = "io.k8s.api.core.v1.Binding", .fields = binding_fields}},
	{"Scale", {.name = "io.k8s.api.autoscaling.v1.Scale", .fields = scale_fields}},
};

/* Numbers and booleans whose zero a client may mean: absent is something else. */
static const char *const meant_zeros[] = {
	"replicas",
	"gracePeriodSeconds",
	"terminationGracePeriodSeconds",
	"activeDeadlineSeconds",
	"runAsUser",
	"runAsGroup",
	"fsGroup",
	"revisionHistoryLimit",
	"expirationSeconds",
	"enableServiceLinks",
	"runAsNonRoot",
	"allowPrivilegeEscalation",
	"privileged",
	"readOnlyRootFilesystem",
	"orphanDependents",
	"deletionGracePeriodSeconds",
	"automountServiceAccountToken",
	"shareProcessNamespace",
	"optional",
	"ready",
	"serving",
	"terminating",
	"defaultMode",
	"mode",
	"leaseTransitions",
	"port",
	"priority",
	"tolerationSeconds",
	"hostUsers",
	"allocateLoadBalancerNodePorts",
	"controller",
	"blockOwnerDeletion",
	"immutable",
};

struct reader {
	struct mesh_slice in;
	struct mesh_buf *error;
	const char *message;
};

static bool varint(struct reader *r, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_MAX && r->in.len; i++) {
		unsigned char b = (unsigned char)r->in.ptr[0];

		r->in = mesh_slice_of(r->in.ptr + 1, r->in.len - 1);
		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

struct value {
	unsigned field;
	bool is_bytes;
	uint64_t number;
	struct mesh_slice bytes;
};

/* Returns 1 with a field, 0 at the end, -1 when the bytes make no sense. */
static int next_value(struct reader *r, struct value *v)
{
	uint64_t tag, n;

	if (r->in.len == 0)
		return 0;
	if (!varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911)
		return -1;
	*v = (struct value){.field = (unsigned)(tag >> 3)};
	switch (tag & 7) {
	case 0:
		return varint(r, &v->number) ? 1 : -1;
	case 2:
		if (!varint(r, &n) || n > r->in.len)
			return -1;
		v->is_bytes = true;
		v->bytes = mesh_slice_of(r->in.ptr, n);
		r->in = mesh_slice_of(r->in.ptr + n, r->in.len - n);
		return 1;
	default:
		return -1;
	}
}

static json_t *text_of(struct mesh_slice s)
{
	return json_stringn(s.ptr, s.len);
}

/* Time and MicroTime: seconds and nanoseconds; nothing is no time. */
static json_t *time_of(struct mesh_slice s)
{
	struct reader r = {.in = s};
	struct value v;
	uint64_t seconds = 0, nanos = 0;
	char text[48];

	while (next_value(&r, &v) == 1)
		*(v.field == 1 ? &seconds : &nanos) = v.number;
	if (seconds == 0)
		return NULL;
	mesh_time_text((int64_t)seconds, text);
	if (nanos)
		snprintf(text + 19, sizeof(text) - 19, ".%06uZ", (unsigned)(nanos / 1000 % 1000000));
	return json_string(text);
}

static json_t *int_or_string(struct mesh_slice s)
{
	struct reader r = {.in = s};
	struct value v;
	uint64_t kind = 0, number = 0;
	struct mesh_slice text = {"", 0};

	while (next_value(&r, &v) == 1) {
		if (v.field == 1)
			kind = v.number;
		else if (v.field == 2)
			number = v.number;
		else if (v.field == 3)
			text = v.bytes;
	}
	if (kind == 1)
		return text_of(text);
	return number ? json_integer((int32_t)number) : NULL;
}

static json_t *quantity(struct mesh_slice s)
{
	struct reader r = {.in = s};
	struct value v;

	return next_value(&r, &v) == 1 && v.is_bytes ? text_of(v.bytes) : json_string("0");
}

static json_t *base64(struct mesh_slice s)
{
	char *text = mesh_xcalloc(1, s.len / 3 * 4 + 8);
	json_t *out;

	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)s.ptr, (int)s.len);
	out = json_string(text);
	free(text);
	return out;
}

static bool message(const char *name, const struct mesh_schema *schema, struct mesh_slice in, json_t *to,
		    unsigned depth, struct mesh_buf *error);

static bool zero_is_meant(const char *name)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(meant_zeros); i++)
		if (strcmp(meant_zeros[i], name) == 0)
			return true;
	return false;
}

/* One value of a type (of an array: an element). NULL: it says nothing. */
static json_t *scalar(const struct mesh_field *f, enum mesh_type type, const struct value *v, unsigned depth,
		      struct mesh_buf *error)
{
	json_t *obj;

	switch (type) {
	case MESH_TYPE_OBJECT:
		obj = json_object();
		if (!message(f->of->name, f->of, v->bytes, obj, depth + 1, error)) {
			json_decref(obj);
			return NULL;
		}
		return obj;
	case MESH_TYPE_BOOL:
		return v->number || zero_is_meant(f->name) ? json_boolean(v->number != 0) : NULL;
	case MESH_TYPE_INT32:
	case MESH_TYPE_INT64:
		return v->number || zero_is_meant(f->name) ? json_integer((json_int_t)v->number) : NULL;
	case MESH_TYPE_INT_OR_STRING:
		return v->is_bytes ? int_or_string(v->bytes) : NULL;
	case MESH_TYPE_QUANTITY:
		return quantity(v->bytes);
	case MESH_TYPE_TIME:
		return time_of(v->bytes);
	case MESH_TYPE_BYTES:
		return base64(v->bytes);
	case MESH_TYPE_STRING:
		return v->bytes.len || f->type == MESH_TYPE_ARRAY || f->type == MESH_TYPE_MAP ? text_of(v->bytes)
											      : NULL;
	default:
		return NULL;
	}
}

static void map_entry(json_t *to, const struct mesh_field *f, struct mesh_slice in, unsigned depth,
		      struct mesh_buf *error)
{
	struct reader r = {.in = in};
	struct value v, item = {.is_bytes = true, .bytes = {"", 0}};
	struct mesh_slice key = {"", 0};
	mesh_auto_free char *name = NULL;
	json_t *out;

	while (next_value(&r, &v) == 1) {
		if (v.field != 1)
			item = v;
		else if (v.is_bytes)
			key = v.bytes;
	}
	name = mesh_xstrndup(key.ptr, key.len);
	out = scalar(f, f->item, &item, depth, error);
	json_object_set_new(to, name, out ? out : json_string(""));
}

static const struct mesh_field *field_named(const struct mesh_schema *schema, struct mesh_slice name)
{
	static const struct mesh_field metadata = {
		.name = "metadata", .type = MESH_TYPE_OBJECT, .of = &mesh_schema_object_meta};

	for (const struct mesh_field *f = schema->fields; f && f->name; f++)
		if (mesh_slice_eq(mesh_slice_str(f->name), name))
			return f;
	return mesh_slice_eq(name, MESH_SLICE("metadata")) ? &metadata : NULL;
}

/* The name that a number has in a list like "1 name,2 spec"; false if it has none. */
static bool name_of(const char *fields, unsigned number, struct mesh_slice *ret)
{
	struct mesh_slice rest = mesh_slice_str(fields), part, digits;
	uint64_t n;

	while (mesh_slice_split(&rest, ',', &part))
		if (mesh_slice_split(&part, ' ', &digits) && mesh_slice_to_u64(digits, UINT32_MAX, &n) == 0 &&
		    n == number) {
			*ret = part;
			return true;
		}
	return false;
}

static void put(json_t *to, const struct mesh_field *f, const struct value *v, unsigned depth, struct mesh_buf *error)
{
	json_t *list, *out;

	if (f->type == MESH_TYPE_MAP || f->type == MESH_TYPE_ARRAY) {
		list = json_object_get(to, f->name);
		if (!list) {
			list = f->type == MESH_TYPE_MAP ? json_object() : json_array();
			json_object_set_new(to, f->name, list);
		}
		if (f->type == MESH_TYPE_MAP)
			map_entry(list, f, v->bytes, depth, error);
		else if ((out = scalar(f, f->item, v, depth, error)))
			json_array_append_new(list, out);
		return;
	}
	out = scalar(f, f->type, v, depth, error);
	if (out)
		json_object_set_new(to, f->name, out);
}

static bool message(const char *name, const struct mesh_schema *schema, struct mesh_slice in, json_t *to,
		    unsigned depth, struct mesh_buf *error)
{
	const char *fields = mesh_proto_fields(name);
	struct reader r = {.in = in};
	struct value v;
	int more;

	if (depth > DEPTH_MAX || (!fields && in.len)) {
		mesh_buf_printf(error, depth > DEPTH_MAX ? "nested too deep" : "%s is not supported in protobuf", name);
		return false;
	}
	while ((more = next_value(&r, &v)) == 1 && error->len == 0) {
		const struct mesh_field *f;
		struct mesh_slice field;

		if (!name_of(fields, v.field, &field)) {
			mesh_buf_printf(error, "field %u of %s is not known", v.field, name);
			return false;
		}
		if (field.ptr[0] == '*') { /* its fields stand in this object */
			mesh_auto_free char *inner =
				mesh_xasprintf("io.k8s.api.core.v1.%.*s", (int)field.len - 1, field.ptr + 1);

			if (!message(inner, schema, v.bytes, to, depth + 1, error))
				return false;
			continue;
		}
		f = field_named(schema, field);
		if (f)
			put(to, f, &v, depth, error);
	}
	if (more < 0 && error->len == 0)
		mesh_buf_printf(error, "malformed %s", name);
	return error->len == 0;
}

static const struct mesh_schema *schema_of(const char *version, const char *kind)
{
	mesh_auto_free char *group = mesh_xstrdup(version);
	char *slash = strchr(group, '/');
	const struct mesh_kind *k;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(others); i++)
		if (strcmp(others[i].kind, kind) == 0)
			return &others[i].schema;
	if (slash)
		*slash = '\0';
	k = mesh_kind_by_name(slash ? group : "", kind);
	return k && (k->flags & MESH_KIND_BUILTIN) ? k->schema : NULL;
}

/* runtime.Unknown: 1 {1 apiVersion, 2 kind}, 2 the object. */
json_t *mesh_proto_decode(struct mesh_slice body, char **error)
{
	struct mesh_slice raw = {"", 0}, type = {"", 0}, version = {"", 0}, kind = {"", 0};
	struct reader r = {0};
	mesh_auto_free char *version_text = NULL, *kind_text = NULL;
	const struct mesh_schema *schema;
	struct mesh_buf why = {0};
	json_t *obj;
	struct value v;

	if (body.len < 4 || memcmp(body.ptr, "k8s\0", 4) != 0) {
		*error = mesh_xstrdup(
			"provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
		return NULL;
	}
	r.in = mesh_slice_of(body.ptr + 4, body.len - 4);
	while (next_value(&r, &v) == 1)
		if (v.is_bytes && v.field <= 2)
			*(v.field == 1 ? &type : &raw) = v.bytes;
	r.in = type;
	while (next_value(&r, &v) == 1)
		if (v.is_bytes)
			*(v.field == 1 ? &version : &kind) = v.bytes;
	version_text = mesh_xstrndup(version.ptr, version.len);
	kind_text = mesh_xstrndup(kind.ptr, kind.len);
	schema = schema_of(version_text, kind_text);
	if (!schema) {
		*error = mesh_xasprintf("no kind \"%s\" is registered for version \"%s\" in protobuf", kind_text,
					version_text);
		return NULL;
	}
	obj = json_pack("{s:s,s:s}", "apiVersion", version_text, "kind", kind_text);
	if (obj && message(schema->name, schema, raw, obj, 0, &why))
		return obj;
	*error = why.data ? mesh_buf_steal(&why) : mesh_xstrdup("malformed protobuf");
	mesh_buf_free(&why);
	json_decref(obj);
	return NULL;
}
