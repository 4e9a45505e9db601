/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, labels and annotations, by Kubernetes' rules (RFC 1123, RFC 1035) and in its words.
 */
#include "config/check.h"
#include "config/names.h"
#include "model/workload.h"

#include <ctype.h>

#define EXPLAIN_SUBDOMAIN                                                                                              \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "     \
	"start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "              \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define EXPLAIN_LABEL                                                                                                  \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "    \
	"end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "             \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define EXPLAIN_LABEL_1035                                                                                             \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "        \
	"character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "            \
	"validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define EXPLAIN_VALUE                                                                                                  \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "      \
	"start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "   \
	"validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define EXPLAIN_QUALIFIED                                                                                              \
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "          \
	"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "           \
	"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool mesh_name_is_label(struct mesh_slice s)
{
	if (s.len == 0 || s.len > 63 || !is_lower(s.ptr[0]) || !is_lower(s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!is_lower(s.ptr[i]) && s.ptr[i] != '-')
			return false;
	return true;
}

const char *mesh_name_label_rule(void)
{
	return EXPLAIN_LABEL;
}

bool mesh_name_is_subdomain(struct mesh_slice s)
{
	struct mesh_slice part;
	bool any = false;

	if (s.len == 0 || s.len > 253 || s.ptr[s.len - 1] == '.')
		return false;
	while (mesh_slice_split(&s, '.', &part)) {
		/* Each part may be longer than 63 here, as in Kubernetes. */
		if (part.len == 0 || !is_lower(part.ptr[0]) || !is_lower(part.ptr[part.len - 1]))
			return false;
		for (size_t i = 0; i < part.len; i++)
			if (!is_lower(part.ptr[i]) && part.ptr[i] != '-')
				return false;
		any = true;
	}
	return any;
}

static bool is_word(struct mesh_slice s)
{
	if (s.len == 0 || s.len > 63 || !isalnum((unsigned char)s.ptr[0]) || !isalnum((unsigned char)s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.ptr[i]) && !strchr("-_.", s.ptr[i]))
			return false;
	return true;
}

bool mesh_name_is_label_value(struct mesh_slice s)
{
	return s.len == 0 || is_word(s);
}

bool mesh_name_is_label_key(struct mesh_slice s)
{
	ssize_t slash = mesh_slice_find(s, '/');

	if (slash < 0)
		return is_word(s);
	return mesh_name_is_subdomain(mesh_slice_of(s.ptr, (size_t)slash)) &&
	       is_word(mesh_slice_of(s.ptr + slash + 1, s.len - (size_t)slash - 1));
}

static void add(struct mesh_errs *errs, const char *path, const char *value, const char *why)
{
	struct mesh_err *e = mesh_errs_add(errs, "Invalid value: \"%s\": %s", value, why);

	if (e)
		e->path = mesh_xstrdup(path);
}

/* How an object of this kind may be called. */
static void check_name(const struct mesh_kind *kind, const char *name, struct mesh_errs *errs)
{
	struct mesh_slice s = mesh_slice_str(name);

	if (strcmp(kind->group, "rbac.authorization.k8s.io") == 0) {
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			add(errs, "metadata.name", name, name[1] ? "may not be '..'" : "may not be '.'");
		else if (strchr(name, '/'))
			add(errs, "metadata.name", name, "may not contain '/'");
		else if (strchr(name, '%'))
			add(errs, "metadata.name", name, "may not contain '%'");
		return;
	}
	if (strcmp(kind->kind, "Namespace") == 0 || strcmp(kind->kind, "Project") == 0 ||
	    strcmp(kind->kind, "ProjectRequest") == 0) {
		if (!mesh_name_is_label(s))
			add(errs, "metadata.name", name,
			    s.len > 63 ? "must be no more than 63 characters" : EXPLAIN_LABEL);
	} else if (strcmp(kind->kind, "Service") == 0 && !*kind->group) {
		if (!mesh_name_is_label(s) || !isalpha((unsigned char)name[0]))
			add(errs, "metadata.name", name,
			    s.len > 63 ? "must be no more than 63 characters" : EXPLAIN_LABEL_1035);
	} else if (!mesh_name_is_subdomain(s)) {
		add(errs, "metadata.name", name,
		    s.len > 253 ? "must be no more than 253 characters" : EXPLAIN_SUBDOMAIN);
	}
}

void mesh_check_labels(const json_t *labels, const char *path, struct mesh_errs *errs)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)labels, key, v)
	{
		const char *value = json_string_value(v);

		if (!mesh_name_is_label_key(mesh_slice_str(key)))
			add(errs, path, key, EXPLAIN_QUALIFIED);
		if (value && !mesh_name_is_label_value(mesh_slice_str(value)))
			add(errs, path, value,
			    strlen(value) > 63 ? "must be no more than 63 characters" : EXPLAIN_VALUE);
	}
}

static void check_splice(const json_t *annotations, struct mesh_errs *errs)
{
	const char *text = json_string_value(json_object_get(annotations, MESH_SPLICE_ANNOTATION));
	enum mesh_splice_wish wish;
	struct mesh_err *e;

	if (!text || mesh_splice_wish_parse(text, &wish) == 0)
		return;
	e = mesh_errs_add(errs, "Unsupported value: \"%s\": supported values: \"auto\", \"disabled\", \"enabled\"",
			  text);
	if (e)
		e->path = mesh_xstrdup("metadata.annotations[" MESH_SPLICE_ANNOTATION "]");
}

enum { ANNOTATIONS_MAX = 256 << 10 };

static void check_annotations(const json_t *annotations, struct mesh_errs *errs)
{
	size_t total = 0;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)annotations, key, v)
	{
		mesh_auto_free char *lower = mesh_xstrdup(key);

		for (char *c = lower; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (!mesh_name_is_label_key(mesh_slice_str(lower)))
			add(errs, "metadata.annotations", key, EXPLAIN_QUALIFIED);
		total += strlen(key) + json_string_length(v);
	}
	if (total > ANNOTATIONS_MAX) {
		struct mesh_err *e = mesh_errs_add(errs, "Too long: may not be more than %d bytes", ANNOTATIONS_MAX);

		e->path = mesh_xstrdup("metadata.annotations");
	}
}

void mesh_check_metadata(const struct mesh_kind *kind, const json_t *obj, const json_t *old, struct mesh_errs *errs,
			 struct mesh_errs *warnings)
{
	const json_t *metadata = json_object_get(obj, "metadata");
	const char *name = json_string_value(json_object_get(metadata, "name"));
	const char *generate = json_string_value(json_object_get(metadata, "generateName"));

	(void)warnings;
	if (name && *name && !old) {
		check_name(kind, name, errs);
	} else if ((!name || !*name) && (!generate || !*generate)) {
		struct mesh_err *e = mesh_errs_add(errs, "Required value: name or generateName is required");

		e->path = mesh_xstrdup("metadata.name");
	}
	mesh_check_labels(json_object_get(metadata, "labels"), "metadata.labels", errs);
	check_annotations(json_object_get(metadata, "annotations"), errs);
	if (!*kind->group && (strcmp(kind->kind, "Pod") == 0 || strcmp(kind->kind, "Namespace") == 0))
		check_splice(json_object_get(metadata, "annotations"), errs);
}
