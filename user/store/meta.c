/* SPDX-License-Identifier: Apache-2.0 */
#include "store/meta.h"

#include "core/mem.h"
#include "store/json.h"

#include <ctype.h>
#include <openssl/rand.h>
#include <time.h>

enum { NAME_MAX_LABEL = 63, NAME_MAX_SUBDOMAIN = 253, ANNOTATIONS_MAX = 256 << 10, GENERATED = 5 };

#define TEXT_SUBDOMAIN                                                                                                 \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "   \
	"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                        \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define TEXT_LABEL                                                                                                     \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "    \
	"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "                     \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define TEXT_LABEL_1035                                                                                                \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, " \
	"and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "             \
	"'[a-z]([-a-z0-9]*[a-z0-9])?')"
#define TEXT_QUALIFIED                                                                                                 \
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " \
	"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "                            \
	"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define TEXT_LABEL_VALUE                                                                                               \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "    \
	"and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "  \
	"is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static const char *const fields[] = {
	"name",		     "generateName",	  "namespace",	 "selfLink",	 "uid",		    "resourceVersion",
	"generation",	     "creationTimestamp", "labels",	 "annotations",	 "ownerReferences", "finalizers",
	"deletionTimestamp", "managedFields",	  "deletionGracePeriodSeconds",
};

/* What a client decides; the rest is the server's. */
static const char *const writable[] = {"labels", "annotations", "ownerReferences", "finalizers"};

static bool lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool label_part(const char *s, size_t len)
{
	if (len == 0 || !lower(s[0]) || !lower(s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!lower(s[i]) && s[i] != '-')
			return false;
	return true;
}

bool mesh_name_is_label(const char *name)
{
	return strlen(name) <= NAME_MAX_LABEL && label_part(name, strlen(name));
}

bool mesh_name_is_subdomain(const char *name)
{
	if (strlen(name) > NAME_MAX_SUBDOMAIN)
		return false;
	for (;;) {
		size_t n = strcspn(name, ".");

		if (!label_part(name, n))
			return false;
		if (!name[n])
			return true;
		name += n + 1;
	}
}

static bool word_like(const char *s, size_t len)
{
	if (len == 0 || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("-_.", s[i]))
			return false;
	return true;
}

static void add(struct mesh_errs *errs, const char *path, const char *value, const char *text)
{
	struct mesh_err *e = value ? mesh_errs_add(errs, "Invalid value: \"%s\": %s", value, text) : mesh_errs_add(errs, "%s", text);

	e->path = mesh_xstrdup(path);
}

/* Services are DNS-1035 labels, namespaces labels, RBAC's names anything a URL can hold, all else subdomains. */
static void check_name(const struct mesh_kind *kind, const char *name, struct mesh_errs *errs)
{
	bool core = kind->group[0] == '\0';

	if (strcmp(kind->group, "rbac.authorization.k8s.io") == 0) {
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			add(errs, "metadata.name", name, strcmp(name, ".") == 0 ? "may not be '.'" : "may not be '..'");
		else if (strpbrk(name, "/%"))
			add(errs, "metadata.name", name, strchr(name, '/') ? "may not contain '/'" : "may not contain '%'");
	} else if (core && strcmp(kind->plural, "services") == 0) {
		if (strlen(name) > NAME_MAX_LABEL)
			add(errs, "metadata.name", name, "must be no more than 63 characters");
		else if (!label_part(name, strlen(name)) || isdigit((unsigned char)name[0]))
			add(errs, "metadata.name", name, TEXT_LABEL_1035);
	} else if (core && strcmp(kind->plural, "namespaces") == 0) {
		if (strlen(name) > NAME_MAX_LABEL)
			add(errs, "metadata.name", name, "must be no more than 63 characters");
		else if (!label_part(name, strlen(name)))
			add(errs, "metadata.name", name, TEXT_LABEL);
	} else if (strlen(name) > NAME_MAX_SUBDOMAIN) {
		add(errs, "metadata.name", name, "must be no more than 253 characters");
	} else if (!mesh_name_is_subdomain(name)) {
		add(errs, "metadata.name", name, TEXT_SUBDOMAIN);
	}
}

static void check_key(const char *path, const char *key, struct mesh_errs *errs)
{
	const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;

	if (slash) {
		mesh_auto_free char *prefix = mesh_xstrndup(key, (size_t)(slash - key));

		if (!prefix[0])
			add(errs, path, key, "prefix part must be non-empty");
		else if (!mesh_name_is_subdomain(prefix))
			add(errs, path, key, "prefix part " TEXT_SUBDOMAIN);
	}
	if (!name[0])
		add(errs, path, key, "name part must be non-empty");
	else if (strlen(name) > NAME_MAX_LABEL)
		add(errs, path, key, "name part must be no more than 63 characters");
	if (!word_like(name, strlen(name)))
		add(errs, path, key, TEXT_QUALIFIED);
}

static void check_labels(const json_t *labels, struct mesh_errs *errs)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)labels, key, value) {
		const char *text = json_string_value(value);

		check_key("metadata.labels", key, errs);
		if (!text)
			continue;
		if (strlen(text) > NAME_MAX_LABEL)
			add(errs, "metadata.labels", text, "must be no more than 63 characters");
		if (text[0] && !word_like(text, strlen(text)))
			add(errs, "metadata.labels", text, TEXT_LABEL_VALUE);
	}
}

static void check_annotations(const json_t *annotations, struct mesh_errs *errs)
{
	const char *key;
	json_t *value;
	size_t total = 0;

	json_object_foreach ((json_t *)annotations, key, value) {
		mesh_auto_free char *small = mesh_xstrdup(key);

		for (char *p = small; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		check_key("metadata.annotations", small, errs);
		total += strlen(key) + json_string_length(value);
	}
	if (total > ANNOTATIONS_MAX)
		add(errs, "metadata.annotations", NULL, "Too long: may not be more than 262144 bytes");
}

static void check_owners(const json_t *owners, struct mesh_errs *errs)
{
	static const char *const required[] = {"apiVersion", "kind", "name", "uid"};
	size_t i;
	json_t *owner;

	json_array_foreach ((json_t *)owners, i, owner)
		for (size_t k = 0; k < MESH_ARRAY_SIZE(required); k++) {
			mesh_auto_free char *path = mesh_xasprintf("metadata.ownerReferences[%zu].%s", i, required[k]);

			if (!mesh_json_str(owner, required[k])[0])
				add(errs, path, NULL, k == 0 ? "Invalid value: \"\": version must not be empty"
							     : "Invalid value: \"\": must not be empty");
		}
}

void mesh_meta_check(const struct mesh_kind *kind, const json_t *obj, struct mesh_errs *errs)
{
	const char *name = mesh_json_str(obj, "metadata.name");

	if (!name[0])
		add(errs, "metadata.name", NULL, "Required value: name or generateName is required");
	else
		check_name(kind, name, errs);
	check_labels(mesh_json_at(obj, "metadata.labels"), errs);
	check_annotations(mesh_json_at(obj, "metadata.annotations"), errs);
	check_owners(mesh_json_at(obj, "metadata.ownerReferences"), errs);
}

void mesh_meta_unknown(const json_t *obj, struct mesh_errs *unknown)
{
	const char *key;
	json_t *value;

	json_object_foreach (json_object_get(obj, "metadata"), key, value) {
		bool known = false;

		for (size_t i = 0; i < MESH_ARRAY_SIZE(fields) && !known; i++)
			known = strcmp(fields[i], key) == 0;
		if (!known)
			mesh_errs_add(unknown, "unknown field")->path = mesh_xasprintf("metadata.%s", key);
	}
}

const char *mesh_time_text(int64_t seconds, char *out)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

const char *mesh_uuid(char *out)
{
	unsigned char b[16];

	if (RAND_bytes(b, sizeof(b)) != 1)
		abort();
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(out, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4],
		 b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	return out;
}

const char *mesh_random_name(char *out, size_t n)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";

	for (size_t i = 0; i < n;) {
		unsigned char b;

		if (RAND_bytes(&b, 1) != 1)
			abort();
		if (b < 256 / (sizeof(letters) - 1) * (sizeof(letters) - 1))
			out[i++] = letters[b % (sizeof(letters) - 1)];
	}
	out[n] = '\0';
	return out;
}

void mesh_meta_generate_name(json_t *obj)
{
	const char *base = mesh_json_str(obj, "metadata.generateName");
	char suffix[GENERATED + 1];
	mesh_auto_free char *name = NULL;

	if (!base[0] || mesh_json_str(obj, "metadata.name")[0])
		return;
	name = mesh_xasprintf("%.*s%s", NAME_MAX_LABEL - GENERATED, base, mesh_random_name(suffix, GENERATED));
	mesh_json_set(json_object_get(obj, "metadata"), "name", name);
}

/* null, {} and [] say nothing. */
static bool says_nothing(const json_t *v)
{
	return !v || json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0);
}

static void copy_writable(json_t *to, const json_t *from)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(writable); i++)
		if (!says_nothing(json_object_get(from, writable[i])))
			json_object_set(to, writable[i], json_object_get(from, writable[i]));
}

void mesh_meta_create(const struct mesh_kind *kind, json_t *obj)
{
	json_t *from = json_object_get(obj, "metadata"), *to = json_object();
	char text[40];

	if (mesh_json_str(from, "name")[0])
		mesh_json_set(to, "name", mesh_json_str(from, "name"));
	if (mesh_json_str(from, "generateName")[0])
		mesh_json_set(to, "generateName", mesh_json_str(from, "generateName"));
	if ((kind->flags & MESH_KIND_NAMESPACED) && mesh_json_str(from, "namespace")[0])
		mesh_json_set(to, "namespace", mesh_json_str(from, "namespace"));
	mesh_json_set(to, "uid", mesh_uuid(text));
	if (kind->flags & MESH_KIND_GENERATION)
		json_object_set_new(to, "generation", json_integer(1));
	mesh_json_set(to, "creationTimestamp", mesh_time_text(time(NULL), text));
	copy_writable(to, from);
	json_object_set_new(obj, "metadata", to);
}

void mesh_meta_update(json_t *obj, const json_t *old)
{
	json_t *from = json_object_get(obj, "metadata"), *was = json_object_get(old, "metadata"), *to = json_copy(was);

	for (size_t i = 0; i < MESH_ARRAY_SIZE(writable); i++)
		json_object_del(to, writable[i]);
	copy_writable(to, from);
	json_object_set_new(obj, "metadata", to);
}

static bool same_but(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)a, key, value) {
		if (strcmp(key, "metadata") == 0 || strcmp(key, "status") == 0 || strcmp(key, "apiVersion") == 0)
			continue;
		if (!json_equal(value, json_object_get(b, key)))
			return false;
	}
	return true;
}

void mesh_meta_generation(const struct mesh_kind *kind, json_t *obj, const json_t *old)
{
	int64_t was = mesh_json_int(old, "metadata.generation", 0);

	if (!(kind->flags & MESH_KIND_GENERATION))
		return;
	if (!same_but(obj, old) || !same_but(old, obj))
		json_object_set_new(json_object_get(obj, "metadata"), "generation", json_integer(was + 1));
}
