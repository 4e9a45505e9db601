/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/resource.h"

#include "core/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

static void resource_free(struct mesh_resource *res)
{
	free(res->group);
	free(res->version);
	free(res->plural);
	free(res->singular);
	free(res->kind);
	mesh_vec_each (s, &res->short_names)
		free(*s);
	mesh_vec_free(&res->short_names);
	mesh_vec_each (s, &res->categories)
		free(*s);
	mesh_vec_free(&res->categories);
	free(res);
}

void mesh_resources_free(struct mesh_resources *r)
{
	if (!r)
		return;
	mesh_vec_each (res, &r->list)
		resource_free(*res);
	mesh_vec_free(&r->list);
	free(r);
}

static bool has_text(const json_t *list, const char *word)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i,
			   one) if (json_is_string(one) && strcmp(json_string_value(one), word) == 0) return true;
	return false;
}

static char *lower(const char *s)
{
	char *copy = mesh_xstrdup(s);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static struct mesh_resource *add(struct mesh_resources *r, const char *group, const char *version, bool preferred,
				 const char *plural, const char *singular, const char *kind, const json_t *row)
{
	struct mesh_resource *res = mesh_xcalloc(1, sizeof(*res));
	json_t *one;
	size_t i;

	res->group = mesh_xstrdup(group);
	res->version = mesh_xstrdup(version);
	res->plural = mesh_xstrdup(plural);
	res->kind = mesh_xstrdup(kind);
	res->singular = singular[0] ? mesh_xstrdup(singular) : lower(kind);
	res->preferred = preferred;
	res->listable = has_text(json_object_get(row, "verbs"), "list");
	json_array_foreach(json_object_get(row, "shortNames"), i, one)
		mesh_vec_push(&res->short_names, mesh_xstrdup(json_string_value(one)));
	json_array_foreach(json_object_get(row, "categories"), i, one)
		mesh_vec_push(&res->categories, mesh_xstrdup(json_string_value(one)));
	mesh_vec_push(&r->list, res);
	return res;
}

/* apidiscovery.k8s.io/v2 (and v2beta1): everything in one answer. */
static void read_aggregated(struct mesh_resources *r, const json_t *body)
{
	const json_t *group, *version, *row, *sub;
	size_t g, v, i, j;

	json_array_foreach(json_object_get(body, "items"), g, group)
		json_array_foreach(json_object_get(group, "versions"), v, version)
			json_array_foreach(json_object_get(version, "resources"), i, row)
	{
		struct mesh_resource *res = add(r, mesh_meta(group, "name"), mesh_text(version, "version"), v == 0,
						mesh_text(row, "resource"), mesh_text(row, "singularResource"),
						mesh_text(json_object_get(row, "responseKind"), "kind"), row);

		res->namespaced = strcmp(mesh_text(row, "scope"), "Namespaced") == 0;
		json_array_foreach(json_object_get(row, "subresources"), j, sub) res->scalable |=
			strcmp(mesh_text(sub, "subresource"), "scale") == 0;
	}
}

/* An APIResourceList: one group's version. */
static void read_plain(struct mesh_resources *r, const char *group, const char *version, bool preferred,
		       const json_t *body)
{
	size_t first = r->list.count, i;
	const json_t *row;

	json_array_foreach(json_object_get(body, "resources"), i, row)
	{
		const char *name = mesh_text(row, "name"), *slash = strchr(name, '/');

		if (!slash) {
			add(r, group, version, preferred, name, mesh_text(row, "singularName"), mesh_text(row, "kind"),
			    row)
				->namespaced = json_is_true(json_object_get(row, "namespaced"));
			continue;
		}
		if (strcmp(slash, "/scale") != 0)
			continue;
		for (size_t k = first; k < r->list.count; k++)
			if (mesh_slice_eq(mesh_slice_str(r->list.items[k]->plural),
					  mesh_slice_of(name, (size_t)(slash - name))))
				r->list.items[k]->scalable = true;
	}
}

static const char accept_aggregated[] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
					"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
					"application/json";

static int discover_version(struct mesh_ctl *ctl, struct mesh_resources *r, const char *group, const char *version,
			    bool preferred)
{
	mesh_auto_free char *path =
		group[0] ? mesh_xasprintf("/apis/%s/%s", group, version) : mesh_xasprintf("/api/%s", version);
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

	if (mesh_ctl_get(ctl, path, &a) == 0)
		read_plain(r, group, version, preferred, a.body);
	return a.status ? 0 : -EIO;
}

static void discover_groups(struct mesh_ctl *ctl, struct mesh_resources *r, const json_t *body)
{
	const json_t *group, *version;
	size_t g, v;

	json_array_foreach(json_object_get(body, "groups"), g, group)
	{
		const char *first = mesh_text(json_object_get(group, "preferredVersion"), "version");

		discover_version(ctl, r, mesh_text(group, "name"), first, true);
		json_array_foreach(json_object_get(group, "versions"), v,
				   version) if (strcmp(mesh_text(version, "version"), first) != 0)
			discover_version(ctl, r, mesh_text(group, "name"), mesh_text(version, "version"), false);
	}
}

static int discover(struct mesh_ctl *ctl, struct mesh_resources *r)
{
	mesh_auto(mesh_answer_free) struct mesh_answer core = {0}, groups = {0};
	const json_t *version;
	size_t i;

	if (mesh_ctl_request(ctl, "GET", "/api", NULL, NULL, accept_aggregated, &core) < 0) {
		mesh_ctl_fail(ctl, &core, NULL);
		return -EIO;
	}
	if (strcmp(mesh_text(core.body, "kind"), "APIGroupDiscoveryList") == 0)
		read_aggregated(r, core.body);
	else
		json_array_foreach(json_object_get(core.body, "versions"), i, version)
			discover_version(ctl, r, "", json_string_value(version), i == 0);
	if (mesh_ctl_request(ctl, "GET", "/apis", NULL, NULL, accept_aggregated, &groups) < 0) {
		mesh_ctl_fail(ctl, &groups, NULL);
		return -EIO;
	}
	if (strcmp(mesh_text(groups.body, "kind"), "APIGroupDiscoveryList") == 0)
		read_aggregated(r, groups.body);
	else
		discover_groups(ctl, r, groups.body);
	return 0;
}

struct mesh_resources *mesh_resources_get(struct mesh_ctl *ctl)
{
	if (ctl->resources)
		return ctl->resources;
	ctl->resources = mesh_xcalloc(1, sizeof(*ctl->resources));
	if (discover(ctl, ctl->resources) < 0) {
		mesh_resources_free(ctl->resources);
		ctl->resources = NULL;
	}
	return ctl->resources;
}

static bool named(const struct mesh_resource *res, struct mesh_slice word)
{
	if (mesh_slice_eq_nocase(word, mesh_slice_str(res->plural)) ||
	    mesh_slice_eq_nocase(word, mesh_slice_str(res->singular)) ||
	    mesh_slice_eq_nocase(word, mesh_slice_str(res->kind)))
		return true;
	mesh_vec_each (s, &res->short_names)
		if (mesh_slice_eq_nocase(word, mesh_slice_str(*s)))
			return true;
	return false;
}

/* rest: "", "group", "version.group" */
static bool in_group(const struct mesh_resource *res, const char *rest)
{
	size_t len = strlen(res->version);

	if (rest[0] == '\0' || strcmp(rest, res->group) == 0)
		return true;
	return strncmp(rest, res->version, len) == 0 && rest[len] == '.' && strcmp(rest + len + 1, res->group) == 0;
}

const struct mesh_resource *mesh_resource_by_word(const struct mesh_resources *r, const char *word)
{
	const char *dot = strchr(word, '.');
	struct mesh_slice first = dot ? mesh_slice_of(word, (size_t)(dot - word)) : mesh_slice_str(word);
	const char *rest = dot ? dot + 1 : "";
	const struct mesh_resource *second = NULL;

	mesh_vec_each (one, &r->list) {
		const struct mesh_resource *res = *one;

		if (!named(res, first) || !in_group(res, rest))
			continue;
		if (res->preferred || strncmp(rest, res->version, strlen(res->version)) == 0)
			return res;
		second = second ? second : res;
	}
	return second;
}

const struct mesh_resource *mesh_resource_by_kind(const struct mesh_resources *r, const char *api_version,
						  const char *kind)
{
	const char *slash = strchr(api_version, '/');
	struct mesh_slice group = slash ? mesh_slice_of(api_version, (size_t)(slash - api_version)) : MESH_SLICE("");
	const char *version = slash ? slash + 1 : api_version;

	mesh_vec_each (one, &r->list)
		if (strcmp((*one)->kind, kind) == 0 && mesh_slice_eq(group, mesh_slice_str((*one)->group)) &&
		    strcmp((*one)->version, version) == 0)
			return *one;
	return NULL;
}

char *mesh_resource_path(const struct mesh_resource *res, const char *ns, const char *name)
{
	mesh_auto_free char *safe_ns = mesh_kube_escape(ns ? ns : ""), *safe_name = mesh_kube_escape(name ? name : "");
	struct mesh_buf b = {0};

	if (res->group[0])
		mesh_buf_printf(&b, "/apis/%s/%s", res->group, res->version);
	else
		mesh_buf_printf(&b, "/api/%s", res->version);
	if (res->namespaced && ns)
		mesh_buf_printf(&b, "/namespaces/%s", safe_ns);
	mesh_buf_printf(&b, "/%s", res->plural);
	if (name)
		mesh_buf_printf(&b, "/%s", safe_name);
	return mesh_buf_steal(&b);
}

char *mesh_resource_full(const struct mesh_resource *res)
{
	return mesh_xasprintf("%s%s%s", res->plural, res->group[0] ? "." : "", res->group);
}

char *mesh_object_name(const char *group, const char *kind, const char *name)
{
	mesh_auto_free char *low = lower(kind);

	return mesh_xasprintf("%s%s%s/%s", low, group[0] ? "." : "", group, name);
}

char *mesh_object_name_of(const json_t *obj)
{
	const char *version = mesh_text(obj, "apiVersion"), *slash = strchr(version, '/');
	mesh_auto_free char *group = slash ? mesh_xstrndup(version, (size_t)(slash - version)) : mesh_xstrdup("");

	return mesh_object_name(group, mesh_text(obj, "kind"), mesh_meta(obj, "name"));
}

void mesh_targets_free(struct mesh_targets *t)
{
	mesh_vec_free(&t->list);
	mesh_vec_each (s, &t->texts)
		free(*s);
	mesh_vec_free(&t->texts);
}

static bool in_category(const struct mesh_resource *res, const char *word)
{
	mesh_vec_each (c, &res->categories)
		if (strcmp(*c, word) == 0)
			return true;
	return false;
}

static bool add_category(const struct mesh_resources *r, const char *word, struct mesh_targets *t)
{
	bool any = false;

	mesh_vec_each (one, &r->list) {
		if (!(*one)->preferred || !(*one)->listable || !in_category(*one, word))
			continue;
		mesh_vec_push(&t->list, ((struct mesh_target){*one, NULL}));
		any = t->by_category = true;
	}
	return any;
}

static int add_type(struct mesh_ctl *ctl, const struct mesh_resources *r, const char *word, struct mesh_targets *t)
{
	const struct mesh_resource *res = mesh_resource_by_word(r, word);

	if (!res && add_category(r, word, t))
		return 0;
	if (!res) {
		mesh_ctl_error(ctl, "the server doesn't have a resource type \"%s\"", word);
		return -EINVAL;
	}
	mesh_vec_push(&t->list, ((struct mesh_target){res, NULL}));
	return 0;
}

static char *keep(struct mesh_targets *t, struct mesh_slice s)
{
	char *copy = mesh_xstrndup(s.ptr, s.len);

	mesh_vec_push(&t->texts, copy);
	return copy;
}

static int parse_slashed(struct mesh_ctl *ctl, const struct mesh_resources *r, const char *const *args, size_t count,
			 struct mesh_targets *t)
{
	for (size_t i = 0; i < count; i++) {
		struct mesh_slice rest = mesh_slice_str(args[i]), part;
		const char *type, *name;

		if (!strchr(args[i], '/')) {
			mesh_ctl_error(
				ctl, "there is no need to specify a resource type as a separate argument when passing "
				     "arguments in resource/name form (e.g. 'meshctl get resource/<resource_name>' "
				     "instead of "
				     "'meshctl get resource resource/<resource_name>'");
			return -EINVAL;
		}
		mesh_slice_split(&rest, '/', &part);
		type = keep(t, part);
		name = keep(t, rest);
		if (!type[0] || !name[0] || strchr(name, '/')) {
			mesh_ctl_error(ctl, "arguments in resource/name form must have a single resource and name");
			return -EINVAL;
		}
		if (add_type(ctl, r, type, t) < 0)
			return -EINVAL;
		t->list.items[t->list.count - 1].name = name;
	}
	t->many = count > 1;
	return 0;
}

static int parse_types(struct mesh_ctl *ctl, const struct mesh_resources *r, const char *const *args, size_t count,
		       struct mesh_targets *t)
{
	struct mesh_slice rest = mesh_slice_str(args[0]), part;
	struct mesh_targets types = {0};

	while (mesh_slice_split(&rest, ',', &part))
		if (part.len && add_type(ctl, r, keep(t, part), &types) < 0) {
			mesh_targets_free(&types);
			return -EINVAL;
		}
	mesh_vec_each (type, &types.list) {
		if (count == 1)
			mesh_vec_push(&t->list, *type);
		for (size_t i = 1; i < count; i++)
			mesh_vec_push(&t->list, ((struct mesh_target){type->resource, args[i]}));
	}
	t->by_category = types.by_category;
	t->many = count != 2 || types.list.count > 1;
	mesh_targets_free(&types);
	return 0;
}

int mesh_targets_parse(struct mesh_ctl *ctl, const char *const *args, size_t count, bool need_name,
		       struct mesh_targets *ret)
{
	const struct mesh_resources *r;
	bool slashed = false;
	int error;

	if (count == 0) {
		if (need_name)
			mesh_ctl_error(ctl, "You must specify the type of resource to act on, and its name.");
		else
			mesh_ctl_error(ctl, "Required resource not specified.");
		return -EINVAL;
	}
	r = mesh_resources_get(ctl);
	if (!r)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		slashed |= strchr(args[i], '/') != NULL;
	error = slashed ? parse_slashed(ctl, r, args, count, ret) : parse_types(ctl, r, args, count, ret);
	if (error < 0)
		return error;
	if (need_name && !ret->list.items[0].name && !ctl->flags->selector && !ctl->flags->all &&
	    !ctl->flags->field_selector) {
		mesh_ctl_error(ctl, "resource(s) were provided, but no name was specified");
		return -EINVAL;
	}
	return 0;
}
