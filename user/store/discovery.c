/* SPDX-License-Identifier: Apache-2.0 */
/* What the API has: discovery (plain and aggregated), OpenAPI, version, health. */
#include "store/call.h"

#include "core/mem.h"
#include "core/version.h"
#include "store/auth.h"

/* Every resource that is served: those of the store, and the views of them that OpenShift has. */
struct served {
	MESH_VEC(const struct mesh_kind *) kinds;
};

static void collect(struct mesh_store *store, struct served *out)
{
	size_t count;
	const struct mesh_kind *const *rows = mesh_kinds(&count);

	for (size_t i = 0; i < count; i++)
		mesh_vec_push(&out->kinds, rows[i]);
	mesh_vec_each (r, &store->state->resources)
		if ((*r)->dynamic && !(*r)->gone)
			mesh_vec_push(&out->kinds, (*r)->kind);
}

static json_t *strings(const char *const *list)
{
	json_t *out = json_array();

	for (; list && *list; list++)
		json_array_append_new(out, json_string(*list));
	return out;
}

static bool is_request(const struct mesh_kind *k)
{
	return strcmp(k->plural, "projectrequests") == 0;
}

static json_t *verbs_of(const struct mesh_kind *k)
{
	if (is_request(k))
		return json_pack("[s,s]", "create", "list");
	if (strcmp(k->plural, "namespaces") == 0 || strcmp(k->plural, "projects") == 0)
		return json_pack("[s,s,s,s,s,s,s]", "create", "delete", "get", "list", "patch", "update", "watch");
	return json_pack("[s,s,s,s,s,s,s,s]", "create", "delete", "deletecollection", "get", "list", "patch", "update",
			 "watch");
}

/* Subresources beside status and scale. */
static const struct sub {
	const char *plural, *name, *group, *version, *kind, *verbs[3];
} subs[] = {
	{"pods", "pods/attach", NULL, NULL, "PodAttachOptions", {"create", "get", NULL}},
	{"pods", "pods/binding", NULL, NULL, "Binding", {"create", NULL}},
	{"pods", "pods/exec", NULL, NULL, "PodExecOptions", {"create", "get", NULL}},
	{"pods", "pods/log", NULL, NULL, "Pod", {"get", NULL}},
	{"pods", "pods/portforward", NULL, NULL, "PodPortForwardOptions", {"create", "get", NULL}},
	{"serviceaccounts", "serviceaccounts/token", "authentication.k8s.io", "v1", "TokenRequest", {"create", NULL}},
};

static void add_subs(json_t *list, const struct mesh_kind *k)
{
	bool namespaced = k->flags & MESH_KIND_NAMESPACED;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(subs) && k->group[0] == '\0'; i++) {
		json_t *r;

		if (strcmp(subs[i].plural, k->plural) != 0)
			continue;
		r = json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", subs[i].name, "singularName", "", "namespaced",
			      namespaced, "kind", subs[i].kind, "verbs", strings(subs[i].verbs));
		if (subs[i].group) {
			mesh_js_set(r, "group", subs[i].group);
			mesh_js_set(r, "version", subs[i].version);
		}
		json_array_append_new(list, r);
	}
	if (k->flags & MESH_KIND_STATUS)
		json_array_append_new(list, json_pack("{s:s+,s:s,s:b,s:s,s:[s,s,s]}", "name", k->plural, "/status",
						      "singularName", "", "namespaced", namespaced, "kind", k->kind,
						      "verbs", "get", "patch", "update"));
	if (k->flags & MESH_KIND_SCALE)
		json_array_append_new(list,
				      json_pack("{s:s+,s:s,s:b,s:s,s:s,s:s,s:[s,s,s]}", "name", k->plural, "/scale",
						"singularName", "", "namespaced", namespaced, "group", "autoscaling",
						"version", "v1", "kind", "Scale", "verbs", "get", "patch", "update"));
}

static json_t *resource_list(const struct served *served, const char *group, const char *version)
{
	mesh_auto_free char *gv = group[0] ? mesh_xasprintf("%s/%s", group, version) : mesh_xstrdup(version);
	json_t *list = json_array();

	mesh_vec_each (kp, &served->kinds) {
		const struct mesh_kind *k = *kp;
		json_t *r;

		if (strcmp(k->group, group) != 0 || !mesh_kind_serves(k, version))
			continue;
		r = json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", k->plural, "singularName", k->singular, "namespaced",
			      k->flags & MESH_KIND_NAMESPACED ? 1 : 0, "kind", k->kind, "verbs", verbs_of(k));
		if (k->short_names && k->short_names[0])
			json_object_set_new(r, "shortNames", strings(k->short_names));
		if (k->categories && k->categories[0])
			json_object_set_new(r, "categories", strings(k->categories));
		json_array_append_new(list, r);
		add_subs(list, k);
	}
	if (json_array_size(list) == 0) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:s,s:s,s:s,s:o}", "kind", "APIResourceList", "apiVersion", "v1", "groupVersion", gv,
			 "resources", list);
}

static bool seen_before(const json_t *array, const char *name)
{
	return mesh_js_has(array, name);
}

/* Names of groups, in order of appearance; of versions of a group likewise. */
static json_t *group_names(const struct served *served)
{
	json_t *names = json_array();

	mesh_vec_each (k, &served->kinds)
		if ((*k)->group[0] && !seen_before(names, (*k)->group))
			json_array_append_new(names, json_string((*k)->group));
	return names;
}

static json_t *version_names(const struct served *served, const char *group)
{
	json_t *names = json_array();

	mesh_vec_each (k, &served->kinds)
		if (strcmp((*k)->group, group) == 0)
			for (const char *const *v = (*k)->versions; *v; v++)
				if (!seen_before(names, *v))
					json_array_append_new(names, json_string(*v));
	return names;
}

static json_t *group_object(const struct served *served, const char *group)
{
	json_t *names = version_names(served, group), *versions = json_array(), *out, *v;
	size_t i;

	json_array_foreach(names, i, v) json_array_append_new(
		versions, json_pack("{s:o,s:O}", "groupVersion", json_sprintf("%s/%s", group, json_string_value(v)),
				    "version", v));
	json_decref(names);
	if (json_array_size(versions) == 0) {
		json_decref(versions);
		return NULL;
	}
	out = json_pack("{s:s,s:O,s:O}", "name", group, "versions", versions, "preferredVersion",
			json_array_get(versions, 0));
	json_decref(versions);
	return out;
}

/* --- aggregated discovery (apidiscovery.k8s.io v2 and v2beta1) --- */

static json_t *response_kind(const char *group, const char *version, const char *kind)
{
	return json_pack("{s:s,s:s,s:s}", "group", group, "version", version, "kind", kind);
}

/* pods/log and the like become entries of their parent. */
static json_t *aggregated_subs(const struct mesh_kind *k, const char *version)
{
	json_t *flat = json_array(), *out = json_array(), *sub;
	size_t i;

	add_subs(flat, k);
	json_array_foreach(flat, i, sub)
	{
		const char *slash = strchr(mesh_js_str(sub, "name"), '/');
		const char *group = mesh_js_text(sub, "group"), *v = mesh_js_text(sub, "version");

		json_array_append_new(
			out,
			json_pack("{s:s,s:o,s:O}", "subresource", slash ? slash + 1 : "", "responseKind",
				  response_kind(group ? group : k->group, v ? v : version, mesh_js_str(sub, "kind")),
				  "verbs", json_object_get(sub, "verbs")));
	}
	json_decref(flat);
	return out;
}

static json_t *aggregated_version(const struct served *served, const char *group, const char *version)
{
	json_t *resources = json_array();

	mesh_vec_each (kp, &served->kinds) {
		const struct mesh_kind *k = *kp;
		json_t *r, *sub;

		if (strcmp(k->group, group) != 0 || !mesh_kind_serves(k, version))
			continue;
		r = json_pack("{s:s,s:o,s:s,s:s,s:o}", "resource", k->plural, "responseKind",
			      response_kind(group, version, k->kind), "scope",
			      k->flags & MESH_KIND_NAMESPACED ? "Namespaced" : "Cluster", "singularResource",
			      k->singular, "verbs", verbs_of(k));
		if (k->short_names && k->short_names[0])
			json_object_set_new(r, "shortNames", strings(k->short_names));
		if (k->categories && k->categories[0])
			json_object_set_new(r, "categories", strings(k->categories));
		sub = aggregated_subs(k, version);
		if (json_array_size(sub))
			json_object_set(r, "subresources", sub);
		json_decref(sub);
		json_array_append_new(resources, r);
	}
	return json_pack("{s:s,s:o,s:s}", "version", version, "resources", resources, "freshness", "Current");
}

static json_t *aggregated_group(const struct served *served, const char *group)
{
	json_t *names = version_names(served, group), *versions = json_array(), *v, *out;
	size_t i;

	json_array_foreach(names, i, v)
		json_array_append_new(versions, aggregated_version(served, group, json_string_value(v)));
	json_decref(names);
	out = json_pack("{s:{},s:o}", "metadata", "versions", versions);
	if (group[0])
		mesh_js_set(json_object_get(out, "metadata"), "name", group);
	return out;
}

static json_t *aggregated(const struct served *served, bool core, const char *version)
{
	json_t *items = json_array(), *names, *name;
	size_t i;

	if (core) {
		json_array_append_new(items, aggregated_group(served, ""));
	} else {
		names = group_names(served);
		json_array_foreach(names, i, name)
			json_array_append_new(items, aggregated_group(served, json_string_value(name)));
		json_decref(names);
	}
	return json_pack("{s:s,s:o,s:{},s:o}", "kind", "APIGroupDiscoveryList", "apiVersion",
			 json_sprintf("apidiscovery.k8s.io/%s", version), "metadata", "items", items);
}

static bool serve_aggregated(struct mesh_call *call, const struct served *served, bool core)
{
	static const char *const versions[] = {"v2", "v2beta1"};
	const char *accept = mesh_request_header(call->req, "Accept");
	const char *text = accept ? accept : "";

	for (size_t i = 0; i < MESH_ARRAY_SIZE(versions); i++) {
		mesh_auto_free char *want =
			mesh_xasprintf("g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList", versions[i]);
		mesh_auto_free char *type = mesh_xasprintf("application/json;%s", want);
		struct mesh_buf out = {0};
		json_t *list;

		if (!strstr(text, type))
			continue;
		list = aggregated(served, core, versions[i]);
		mesh_js_write(&out, list);
		json_decref(list);
		mesh_request_add(call->req, "Vary", "Accept");
		mesh_call_text(call, 200, type, mesh_buf_view(&out));
		mesh_buf_free(&out);
		return true;
	}
	return false;
}

static void serve_groups(struct mesh_call *call, const struct served *served)
{
	json_t *groups = json_array(), *names = group_names(served), *name;
	size_t i;

	json_array_foreach(names, i, name) json_array_append_new(groups, group_object(served, json_string_value(name)));
	json_decref(names);
	mesh_call_json(call, 200,
		       json_pack("{s:s,s:s,s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", groups));
}

static void serve_core_versions(struct mesh_call *call)
{
	char text[MESH_ADDR_TEXT];

	mesh_call_json(call, 200,
		       json_pack("{s:s,s:[s],s:[{s:s,s:s}]}", "kind", "APIVersions", "versions", "v1",
				 "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress",
				 call->store->addrs.count ? mesh_addr_text(&call->store->addrs.items[0], text) : ""));
}

/* --- OpenAPI, version, health --- */

static void serve_openapi(struct mesh_call *call)
{
	const char *accept = mesh_request_header(call->req, "Accept"), *path = call->req->path;
	json_t *doc = NULL;

	if (strcmp(path, "/openapi/v2") == 0 && accept && strstr(accept, "proto-openapi.spec.v2@v1.0+protobuf")) {
		struct mesh_buf out = {0};

		mesh_openapi_v2_protobuf(&out);
		mesh_call_text(call, 200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
			       mesh_buf_view(&out));
		mesh_buf_free(&out);
		return;
	}
	if (strcmp(path, "/openapi/v2") == 0) {
		doc = mesh_openapi_v2();
	} else if (strcmp(path, "/openapi/v3") == 0) {
		doc = mesh_openapi_v3_index();
	} else if (strcmp(path, "/openapi/v3/api/v1") == 0) {
		doc = mesh_openapi_v3("", "v1");
	} else if (strncmp(path, "/openapi/v3/apis/", 17) == 0) {
		mesh_auto_free char *group = mesh_xstrdup(path + 17);
		char *slash = strchr(group, '/');

		if (slash) {
			*slash = '\0';
			doc = mesh_openapi_v3(group, slash + 1);
		}
	}
	if (doc)
		mesh_call_json(call, 200, doc);
	else
		mesh_call_text(call, 404, "text/plain; charset=utf-8", MESH_SLICE("404 page not found\n"));
}

static void serve_version(struct mesh_call *call)
{
	mesh_call_json(call, 200,
		       json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "major", "1", "minor", "34", "gitVersion",
				 MESH_VERSION_GIT, "gitCommit", mesh_version, "gitTreeState", "clean", "buildDate",
				 "1970-01-01T00:00:00Z", "goVersion", "none", "compiler", "gcc", "platform",
				 "linux/amd64"));
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* /apis/GROUP and /apis/GROUP/VERSION, /api/v1. Returns false if the path goes on. */
static bool serve_group(struct mesh_call *call, const struct served *served, const char *path)
{
	mesh_auto_free char *group = mesh_xstrdup(starts(path, "/apis/") ? path + 6 : path + 5);
	char *slash = strchr(group, '/');
	json_t *doc;

	if (slash && slash[1] == '\0')
		*slash = '\0', slash = NULL;
	if (slash && strchr(slash + 1, '/') && strchr(slash + 1, '/')[1])
		return false;
	if (starts(path, "/api/")) {
		if (slash)
			return false;
		doc = resource_list(served, "", group);
	} else if (slash) {
		*slash++ = '\0';
		slash[strcspn(slash, "/")] = '\0';
		doc = resource_list(served, group, slash);
	} else {
		doc = group_object(served, group);
		if (doc) {
			json_t *head = json_pack("{s:s,s:s}", "kind", "APIGroup", "apiVersion", "v1");

			json_object_update(head, doc);
			json_decref(doc);
			doc = head;
		}
	}
	if (doc)
		mesh_call_json(call, 200, doc);
	else
		mesh_call_text(call, 404, "text/plain; charset=utf-8", MESH_SLICE("404 page not found\n"));
	return true;
}

static void serve_index(struct mesh_call *call)
{
	mesh_call_json(call, 200,
		       json_pack("{s:[s,s,s,s,s,s,s,s]}", "paths", "/api", "/api/v1", "/apis", "/healthz", "/livez",
				 "/openapi/v2", "/openapi/v3", "/readyz"));
}

static bool allowed(struct mesh_call *call, const char *path)
{
	struct mesh_access a = {.verb = "get", .path = path};

	if (mesh_access_allowed(call->store, &call->user, &a))
		return true;
	mesh_call_status(call, 403, "Forbidden", json_object(), "forbidden: User \"%s\" cannot get path \"%s\"",
			 call->user.name, path);
	return false;
}

bool mesh_discovery_serve(struct mesh_call *call)
{
	const char *path = call->req->path;
	struct served served = {0};
	bool done = true;
	bool health = starts(path, "/healthz") || starts(path, "/readyz") || starts(path, "/livez");
	bool general = health || starts(path, "/version") || starts(path, "/openapi/") || strcmp(path, "/") == 0;
	bool core = strcmp(path, "/api") == 0 || strcmp(path, "/api/") == 0;
	bool groups = strcmp(path, "/apis") == 0 || strcmp(path, "/apis/") == 0;
	size_t slashes = 0;

	for (const char *p = path; *p; p++)
		slashes += *p == '/' && p[1];
	if (!general && !core && !groups && !(starts(path, "/api/") && slashes == 2) &&
	    !(starts(path, "/apis/") && slashes <= 3))
		return false;
	if (strcmp(call->req->method, "GET") != 0 && strcmp(call->req->method, "HEAD") != 0) {
		mesh_call_method_not_allowed(call);
		return true;
	}
	if (!allowed(call, path))
		return true;
	if (health) {
		mesh_call_text(call, 200, "text/plain; charset=utf-8", MESH_SLICE("ok"));
		return true;
	}
	if (starts(path, "/version")) {
		serve_version(call);
		return true;
	}
	if (starts(path, "/openapi/")) {
		serve_openapi(call);
		return true;
	}
	if (strcmp(path, "/") == 0) {
		serve_index(call);
		return true;
	}
	collect(call->store, &served);
	if (core || groups) {
		if (!serve_aggregated(call, &served, core)) {
			if (core)
				serve_core_versions(call);
			else
				serve_groups(call, &served);
		}
	} else {
		done = serve_group(call, &served, path);
	}
	mesh_vec_free(&served.kinds);
	return done;
}
