/* SPDX-License-Identifier: Apache-2.0 */
#include "store/meta.h"

#include "core/mem.h"
#include "store/json.h"

#include <openssl/rand.h>
#include <time.h>

enum { NAME_MAX_LABEL = 63, GENERATED = 5 };

/* What a client decides; the rest is the server's. */
static const char *const writable[] = {"labels", "annotations", "ownerReferences", "finalizers"};

const char *mesh_uuid(char *out)
{
	unsigned char b[16];

	if (RAND_bytes(b, sizeof(b)) != 1)
		abort();
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(out, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
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
	const char *base = mesh_js_str(obj, "metadata.generateName");
	char suffix[GENERATED + 1];
	mesh_auto_free char *name = NULL;

	if (!base[0] || mesh_js_str(obj, "metadata.name")[0])
		return;
	name = mesh_xasprintf("%.*s%s", NAME_MAX_LABEL - GENERATED, base, mesh_random_name(suffix, GENERATED));
	mesh_js_set(json_object_get(obj, "metadata"), "name", name);
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

	if (mesh_js_str(from, "name")[0])
		mesh_js_set(to, "name", mesh_js_str(from, "name"));
	if (mesh_js_str(from, "generateName")[0])
		mesh_js_set(to, "generateName", mesh_js_str(from, "generateName"));
	if ((kind->flags & MESH_KIND_NAMESPACED) && mesh_js_str(from, "namespace")[0])
		mesh_js_set(to, "namespace", mesh_js_str(from, "namespace"));
	mesh_js_set(to, "uid", mesh_uuid(text));
	if (kind->flags & MESH_KIND_GENERATION)
		json_object_set_new(to, "generation", json_integer(1));
	mesh_js_set(to, "creationTimestamp", mesh_time_text(time(NULL), text));
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

	json_object_foreach((json_t *)a, key, value)
	{
		if (strcmp(key, "metadata") == 0 || strcmp(key, "status") == 0 || strcmp(key, "apiVersion") == 0)
			continue;
		if (!json_equal(value, json_object_get(b, key)))
			return false;
	}
	return true;
}

static bool same_annotations(const json_t *a, const json_t *b)
{
	json_t *x = mesh_js_at(a, "metadata.annotations"), *y = mesh_js_at(b, "metadata.annotations");

	return (says_nothing(x) && says_nothing(y)) || json_equal(x, y);
}

void mesh_meta_generation(const struct mesh_kind *kind, json_t *obj, const json_t *old)
{
	int64_t was = mesh_js_int(old, "metadata.generation", 0);
	bool deployment = strcmp(kind->plural, "deployments") == 0; /* its annotations go to its replica sets */

	if (!(kind->flags & MESH_KIND_GENERATION))
		return;
	if (!same_but(obj, old) || !same_but(old, obj) || (deployment && !same_annotations(obj, old)))
		json_object_set_new(json_object_get(obj, "metadata"), "generation", json_integer(was + 1));
}
