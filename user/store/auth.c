/* SPDX-License-Identifier: Apache-2.0 */
#include "store/auth.h"

#include "core/mem.h"

#include <strings.h>

#define MASTERS       "system:masters"
#define AUTHENTICATED "system:authenticated"

static void add_group(struct mesh_call *call, const char *group)
{
	size_t n = 0;
	const char **groups;

	while (call->user.groups && call->user.groups[n])
		n++;
	groups = mesh_arena_array(call->arena, const char *, n + 2);
	for (size_t i = 0; i < n; i++)
		groups[i] = call->user.groups[i];
	groups[n] = group;
	call->user.groups = groups;
	call->user.master |= strcmp(group, MASTERS) == 0;
}

static bool from_token(struct mesh_call *call, const char *text)
{
	struct mesh_token token;

	if (!mesh_token_check(call->store, call->arena, text, NULL, &token))
		return false;
	json_decref(token.audiences);
	call->user.name = mesh_arena_printf(call->arena, "system:serviceaccount:%s:%s", token.ns, token.name);
	call->user.uid = token.uid;
	add_group(call, "system:serviceaccounts");
	add_group(call, mesh_arena_printf(call->arena, "system:serviceaccounts:%s", token.ns));
	return true;
}

/* What --as-group, --as-uid and the like need beside them, and what is not served. Returns false after having replied:
 * a request that asks for less power than its sender has is never served with all of it. */
static bool impersonation_is_whole(struct mesh_call *call, bool as_user)
{
	for (size_t i = 0; i < call->req->header_count; i++) {
		const struct mesh_pair *h = &call->req->headers[i];
		bool extra = strncasecmp(h->name, "Impersonate-Extra-", 18) == 0;

		if (!extra && (as_user || strcasecmp(h->name, "Impersonate-User") == 0 ||
			       strncasecmp(h->name, "Impersonate-", 12) != 0))
			continue;
		if (extra)
			mesh_call_bad_request(call, "%s: impersonation of extra fields is not served by this API",
					      h->name);
		else
			mesh_call_bad_request(call, "%s is set without Impersonate-User", h->name);
		return false;
	}
	return true;
}

static void impersonated_groups(struct mesh_call *call, const char *as)
{
	struct mesh_slice rest = mesh_slice_str(as), part;

	for (size_t i = 0; i < call->req->header_count; i++)
		if (strcasecmp(call->req->headers[i].name, "Impersonate-Group") == 0)
			add_group(call, call->req->headers[i].value);
	if (mesh_slice_starts(rest, MESH_SLICE("system:serviceaccount:")) && !call->user.groups) {
		for (int i = 0; i < 3; i++)
			mesh_slice_split(&rest, ':', &part);
		add_group(call, "system:serviceaccounts");
		add_group(call, mesh_arena_printf(call->arena, "system:serviceaccounts:%.*s", (int)part.len, part.ptr));
	}
	add_group(call, strcmp(as, "system:anonymous") == 0 ? "system:unauthenticated" : AUTHENTICATED);
}

/* --as, --as-group and --as-uid, for those who may do everything. Returns false after having replied. */
static bool impersonate(struct mesh_call *call)
{
	const char *as = mesh_request_header(call->req, "Impersonate-User");
	const char *uid = mesh_request_header(call->req, "Impersonate-Uid");

	if (as && !as[0])
		as = NULL;
	if (!impersonation_is_whole(call, as))
		return false;
	if (!as)
		return true;
	if (!call->user.master) {
		mesh_call_status(call, 403, "Forbidden", json_object(),
				 "users \"%s\" is forbidden: User \"%s\" cannot impersonate resource \"users\" in API "
				 "group \"\" at the cluster scope",
				 as, call->user.name);
		return false;
	}
	call->user = (struct mesh_identity){.name = as, .uid = uid ? uid : ""};
	impersonated_groups(call, as);
	return true;
}

static bool identify(struct mesh_call *call)
{
	const char *header = mesh_request_header(call->req, "Authorization");

	call->user.uid = "";
	if (call->req->cert_user) {
		call->user.name = call->req->cert_user;
		for (const char **g = call->req->cert_groups; *g; g++)
			add_group(call, *g);
	} else if (header && strncasecmp(header, "Bearer ", 7) == 0) {
		if (!from_token(call, header + 7)) {
			mesh_call_status(call, 401, "Unauthorized", NULL, "Unauthorized");
			return false;
		}
	} else {
		call->user.name = "system:anonymous";
		add_group(call, "system:unauthenticated");
		return true;
	}
	add_group(call, AUTHENTICATED);
	return true;
}

bool mesh_auth_known(void *arg, struct mesh_request *req)
{
	const char *header = mesh_request_header(req, "Authorization");
	struct mesh_token token;

	if (req->cert_user)
		return true;
	if (!header || strncasecmp(header, "Bearer ", 7) != 0 ||
	    !mesh_token_check(arg, &req->arena, header + 7, NULL, &token))
		return false;
	json_decref(token.audiences);
	return true;
}

bool mesh_auth_identify(struct mesh_call *call)
{
	return identify(call) && impersonate(call);
}

/* --- roles --- */

static bool in_group(const struct mesh_identity *user, const char *group)
{
	for (const char **g = user->groups; g && *g; g++)
		if (strcmp(*g, group) == 0)
			return true;
	return false;
}

static bool names_user(const json_t *binding, const struct mesh_identity *user)
{
	size_t i;
	json_t *s;

	json_array_foreach(json_object_get(binding, "subjects"), i, s)
	{
		const char *kind = mesh_js_str(s, "kind"), *name = mesh_js_str(s, "name");

		if (strcmp(kind, "User") == 0 && strcmp(name, user->name) == 0)
			return true;
		if (strcmp(kind, "Group") == 0 && in_group(user, name))
			return true;
		if (strcmp(kind, "ServiceAccount") == 0) {
			mesh_auto_free char *full =
				mesh_xasprintf("system:serviceaccount:%s:%s", mesh_js_str(s, "namespace"), name);

			if (strcmp(full, user->name) == 0)
				return true;
		}
	}
	return false;
}

static bool any_of(const json_t *list, const char *value)
{
	return mesh_js_has(list, "*") || mesh_js_has(list, value);
}

static bool path_covered(const json_t *urls, const char *path)
{
	size_t i;
	json_t *url;

	json_array_foreach((json_t *)urls, i, url)
	{
		const char *text = json_string_value(url);
		size_t n = text ? strlen(text) : 0;

		if (n && (strcmp(text, path) == 0 || (text[n - 1] == '*' && strncmp(text, path, n - 1) == 0)))
			return true;
	}
	return false;
}

static bool rule_allows(const json_t *rule, const struct mesh_access *a)
{
	const json_t *names = json_object_get(rule, "resourceNames"), *resources = json_object_get(rule, "resources");
	mesh_auto_free char *full = NULL, *any = NULL;

	if (!any_of(json_object_get(rule, "verbs"), a->verb))
		return false;
	if (a->path)
		return path_covered(json_object_get(rule, "nonResourceURLs"), a->path);
	if (!any_of(json_object_get(rule, "apiGroups"), a->group))
		return false;
	full = a->sub && a->sub[0] ? mesh_xasprintf("%s/%s", a->resource, a->sub) : mesh_xstrdup(a->resource);
	any = mesh_xasprintf("*/%s", a->sub ? a->sub : "");
	if (!any_of(resources, full) && !(a->sub && a->sub[0] && mesh_js_has(resources, any)))
		return false;
	return json_array_size(names) == 0 || (a->name && mesh_js_has(names, a->name));
}

/* The rules of a binding's role. */
static const json_t *rules_of(struct mesh_store *store, const json_t *binding, const char *ns)
{
	bool cluster = strcmp(mesh_js_str(binding, "roleRef.kind"), "ClusterRole") == 0;
	struct mesh_resource *res =
		mesh_state_resource(store->state, "rbac.authorization.k8s.io", cluster ? "clusterroles" : "roles");
	struct mesh_entry *e =
		res ? mesh_state_get(res, cluster ? "" : ns, mesh_js_str(binding, "roleRef.name")) : NULL;

	return e ? json_object_get(e->obj, "rules") : NULL;
}

typedef bool rule_fn(void *arg, const json_t *rule);

/* Calls fn for each rule that holds for user (in ns) until it returns true. */
static bool each_rule(struct mesh_store *store, const struct mesh_identity *user, const char *ns, rule_fn *fn,
		      void *arg)
{
	static const char *const plurals[] = {"clusterrolebindings", "rolebindings"};

	for (size_t k = 0; k < MESH_ARRAY_SIZE(plurals); k++) {
		struct mesh_resource *res = mesh_state_resource(store->state, "rbac.authorization.k8s.io", plurals[k]);

		for (size_t b = 0; res && b < res->entries.count; b++) {
			struct mesh_entry *e = res->entries.items[b];
			size_t i;
			json_t *rule;

			if ((k == 1 && (!ns || !ns[0] || strcmp(e->ns, ns) != 0)) || !names_user(e->obj, user))
				continue;
			json_array_foreach((json_t *)rules_of(store, e->obj, e->ns), i,
					   rule) if (fn(arg, rule)) return true;
		}
	}
	return false;
}

static bool allows(void *arg, const json_t *rule)
{
	return rule_allows(rule, arg);
}

static bool append(void *arg, const json_t *rule)
{
	json_array_append(arg, (json_t *)rule);
	return false;
}

static bool open_to_all(const char *path)
{
	static const char *const paths[] = {"/healthz", "/readyz", "/livez", "/version", "/version/"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(paths); i++)
		if (strcmp(paths[i], path) == 0)
			return true;
	return false;
}

bool mesh_access_allowed(struct mesh_store *store, const struct mesh_identity *user, const struct mesh_access *access)
{
	if (user->master || (access->path && open_to_all(access->path)))
		return true;
	return each_rule(store, user, access->path ? NULL : access->ns, allows, (void *)access);
}

json_t *mesh_access_rules(struct mesh_store *store, const struct mesh_identity *user, const char *ns)
{
	json_t *rules = json_array();

	if (user->master) {
		json_array_append_new(
			rules, json_pack("{s:[s],s:[s],s:[s]}", "verbs", "*", "apiGroups", "*", "resources", "*"));
		json_array_append_new(rules, json_pack("{s:[s],s:[s]}", "verbs", "*", "nonResourceURLs", "*"));
	}
	each_rule(store, user, ns, append, rules);
	return rules;
}

static const char *verb_name(enum mesh_verb verb)
{
	static const char *const names[] = {"get",    "list",  "watch",  "create",
					    "update", "patch", "delete", "deletecollection"};

	return names[verb];
}

static void forbid(struct mesh_call *call, const char *verb)
{
	json_t *details = mesh_call_details(call, call->name);
	const char *full = call->sub ? mesh_arena_printf(call->arena, "%s/%s", call->plural, call->sub) : call->plural;
	const char *where = call->ns[0] ? mesh_arena_printf(call->arena, " in the namespace \"%s\"", call->ns)
					: " at the cluster scope";

	mesh_call_status(call, 403, "Forbidden", details,
			 "%s%s%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API group \"%s\"%s",
			 mesh_call_id(call), call->name ? " \"" : "", call->name ? call->name : "",
			 call->name ? "\"" : "", call->user.name, verb, full, call->group, where);
}

bool mesh_auth_allowed(struct mesh_call *call)
{
	struct mesh_access a = {.verb = verb_name(call->verb),
				.group = call->group,
				.resource = call->plural,
				.sub = call->sub,
				.ns = call->ns,
				.name = call->name};
	/* Any user that is known may ask for a project, and whether it may. */
	bool project = strcmp(call->plural, "projectrequests") == 0 &&
		       strcmp(call->group, "project.openshift.io") == 0 && in_group(&call->user, AUTHENTICATED);

	if (strcmp(call->res->id, "namespaces") == 0 && call->name && !a.ns[0])
		a.ns = call->name;
	if (project || mesh_access_allowed(call->store, &call->user, &a))
		return true;
	forbid(call, a.verb);
	return false;
}

/* --- no one hands out more than it has --- */

enum { COVER_MAX = 20000 }; /* combinations of verb, group, resource and name that are looked at */

static const char *text_at(const json_t *list, size_t i)
{
	const char *text = json_string_value(json_array_get(list, i));

	return text ? text : "";
}

struct cover {
	struct mesh_call *call;
	const char *ns;
	size_t looked;
};

static bool covers_one(struct cover *c, const json_t *rule, const char *verb, const char *group, const char *resource)
{
	const json_t *names = json_object_get(rule, "resourceNames");
	const char *slash = strchr(resource, '/');
	struct mesh_access a = {
		.verb = verb,
		.group = group,
		.ns = c->ns,
		.resource =
			slash ? mesh_arena_slice(c->call->arena, mesh_slice_of(resource, (size_t)(slash - resource)))
			      : resource,
		.sub = slash ? slash + 1 : "",
		.name = "",
	};
	size_t i = 0;

	do {
		if (json_array_size(names))
			a.name = text_at(names, i);
		if (c->looked++ >= COVER_MAX || !mesh_access_allowed(c->call->store, &c->call->user, &a))
			return false;
	} while (++i < json_array_size(names));
	return true;
}

static bool covers_paths(struct cover *c, const json_t *urls, const char *verb)
{
	for (size_t i = 0; i < json_array_size(urls); i++) {
		struct mesh_access a = {.verb = verb, .path = text_at(urls, i)};

		if (c->looked++ >= COVER_MAX || !mesh_access_allowed(c->call->store, &c->call->user, &a))
			return false;
	}
	return true;
}

/* May the user do all that rule says? "*" is covered by "*" only. */
static bool covers(struct cover *c, const json_t *rule)
{
	const json_t *verbs = json_object_get(rule, "verbs"), *groups = json_object_get(rule, "apiGroups");
	const json_t *resources = json_object_get(rule, "resources"), *urls = json_object_get(rule, "nonResourceURLs");

	for (size_t v = 0; v < json_array_size(verbs); v++) {
		if (!covers_paths(c, urls, text_at(verbs, v)))
			return false;
		for (size_t g = 0; g < json_array_size(groups); g++)
			for (size_t r = 0; r < json_array_size(resources); r++)
				if (!covers_one(c, rule, text_at(verbs, v), text_at(groups, g), text_at(resources, r)))
					return false;
	}
	return true;
}

static bool may_anyway(struct mesh_call *call, const char *verb, const char *resource, const char *ns, const char *name)
{
	struct mesh_access a = {.verb = verb,
				.group = "rbac.authorization.k8s.io",
				.resource = resource,
				.sub = "",
				.ns = ns,
				.name = name};

	return mesh_access_allowed(call->store, &call->user, &a);
}

bool mesh_auth_no_escalation(struct mesh_call *call, const json_t *obj)
{
	bool binding = strcmp(call->plural, "rolebindings") == 0 || strcmp(call->plural, "clusterrolebindings") == 0;
	bool role = strcmp(call->plural, "roles") == 0 || strcmp(call->plural, "clusterroles") == 0;
	bool cluster = strcmp(mesh_js_str(obj, "roleRef.kind"), "ClusterRole") == 0;
	struct cover c = {.call = call, .ns = call->ns};
	const json_t *rules;
	size_t i;
	json_t *rule;

	if (strcmp(call->group, "rbac.authorization.k8s.io") != 0 || (!binding && !role) || call->user.master)
		return true;
	if (binding ? may_anyway(call, "bind", cluster ? "clusterroles" : "roles", call->ns,
				 mesh_js_str(obj, "roleRef.name"))
		    : may_anyway(call, "escalate", call->plural, call->ns, mesh_js_str(obj, "metadata.name")))
		return true;
	rules = binding ? rules_of(call->store, obj, call->ns) : json_object_get(obj, "rules");
	json_array_foreach((json_t *)rules, i, rule)
	{
		if (covers(&c, rule))
			continue;
		mesh_call_status(
			call, 403, "Forbidden", mesh_call_details(call, mesh_js_str(obj, "metadata.name")),
			"%s \"%s\" is forbidden: user \"%s\" is attempting to grant RBAC permissions not currently "
			"held",
			mesh_call_id(call), mesh_js_str(obj, "metadata.name"), call->user.name);
		return false;
	}
	return true;
}
