/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual resources: what may I do (authorization.k8s.io), who am I (authentication.k8s.io). */
#include "store/call.h"

#include "core/mem.h"
#include "store/auth.h"

static json_t *groups_of(const struct mesh_identity *user)
{
	json_t *list = json_array();

	for (const char **g = user->groups; g && *g; g++)
		json_array_append_new(list, json_string(*g));
	return list;
}

/* The user that a SubjectAccessReview or TokenReview speaks of. */
static void subject_of(struct mesh_arena *arena, const json_t *spec, struct mesh_identity *user)
{
	const json_t *list = json_object_get(spec, "groups");
	const char **groups = mesh_arena_array(arena, const char *, json_array_size(list) + 1);
	size_t i;
	json_t *g;

	*user = (struct mesh_identity){.name = mesh_js_str(spec, "user"), .uid = "", .groups = groups};
	json_array_foreach((json_t *)list, i, g)
	{
		groups[i] = json_string_value(g) ? json_string_value(g) : "";
		user->master |= strcmp(groups[i], "system:masters") == 0;
	}
}

static void access_review(struct mesh_call *call, json_t *body, const struct mesh_identity *user)
{
	const json_t *r = mesh_js_at(body, "spec.resourceAttributes"),
		     *p = mesh_js_at(body, "spec.nonResourceAttributes");
	struct mesh_access a = {.verb = mesh_js_str(r ? r : p, "verb"),
				.group = mesh_js_str(r, "group"),
				.resource = mesh_js_str(r, "resource"),
				.sub = mesh_js_str(r, "subresource"),
				.ns = mesh_js_str(r, "namespace"),
				.name = mesh_js_str(r, "name"),
				.path = r ? NULL : mesh_js_str(p, "path")};
	bool allowed = mesh_access_allowed(call->store, user, &a);

	json_object_set_new(body, "status",
			    allowed ? json_pack("{s:b}", "allowed", 1) : json_pack("{s:b}", "allowed", 0));
	mesh_call_json(call, 201, json_incref(body));
}

static void rules_review(struct mesh_call *call, json_t *body)
{
	json_t *rules = mesh_access_rules(call->store, &call->user, mesh_js_str(body, "spec.namespace"));
	json_t *resource = json_array(), *path = json_array(), *rule;
	size_t i;

	json_array_foreach(rules, i, rule)
		json_array_append(json_object_get(rule, "nonResourceURLs") ? path : resource, rule);
	json_decref(rules);
	json_object_set_new(
		body, "status",
		json_pack("{s:o,s:o,s:b}", "resourceRules", resource, "nonResourceRules", path, "incomplete", 0));
	mesh_call_json(call, 201, json_incref(body));
}

static void self_review(struct mesh_call *call, json_t *body)
{
	json_object_set_new(
		body, "status",
		json_pack("{s:{s:s,s:o}}", "userInfo", "username", call->user.name, "groups", groups_of(&call->user)));
	mesh_call_json(call, 201, json_incref(body));
}

static void token_review(struct mesh_call *call, json_t *body)
{
	struct mesh_token t;
	json_t *status;

	if (mesh_token_check(call->store, call->arena, mesh_js_str(body, "spec.token"),
			     mesh_js_at(body, "spec.audiences"), &t))
		status = json_pack("{s:b,s:{s:o,s:s,s:[s,o,s]},s:o}", "authenticated", 1, "user", "username",
				   json_sprintf("system:serviceaccount:%s:%s", t.ns, t.name), "uid", t.uid, "groups",
				   "system:serviceaccounts", json_sprintf("system:serviceaccounts:%s", t.ns),
				   "system:authenticated", "audiences", t.audiences);
	else
		status = json_pack("{s:s}", "error", "invalid bearer token");
	json_object_set_new(body, "status", status);
	mesh_call_json(call, 201, json_incref(body));
}

static const struct {
	const char *group, *plural, *kind;
} reviews[] = {
	{"authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"},
	{"authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"},
	{"authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"},
	{"authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"},
	{"authentication.k8s.io", "tokenreviews", "TokenReview"},
};

static bool may_review(struct mesh_call *call, size_t which)
{
	struct mesh_access a = {.verb = "create",
				.group = reviews[which].group,
				.resource = reviews[which].plural,
				.sub = "",
				.ns = "",
				.name = ""};

	if (mesh_access_allowed(call->store, &call->user, &a))
		return true;
	mesh_call_status(call, 403, "Forbidden", json_object(),
			 "%s.%s is forbidden: User \"%s\" cannot create resource \"%s\" in API group \"%s\" at the "
			 "cluster scope",
			 a.resource, a.group, call->user.name, a.resource, a.group);
	return false;
}

bool mesh_review_serve(struct mesh_call *call)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(reviews); i++) {
		mesh_auto_free char *path = mesh_xasprintf("/apis/%s/v1/%s", reviews[i].group, reviews[i].plural);
		struct mesh_identity other;
		json_t *body;

		if (strcmp(path, call->req->path) != 0)
			continue;
		if (strcmp(call->req->method, "POST") != 0) {
			mesh_call_method_not_allowed(call);
			return true;
		}
		body = may_review(call, i) ? mesh_call_body(call) : NULL;
		if (!body)
			return true;
		mesh_js_make(body, "metadata");
		if (i == 0) {
			access_review(call, body, &call->user);
		} else if (i == 1) {
			rules_review(call, body);
		} else if (i == 2) {
			subject_of(call->arena, json_object_get(body, "spec"), &other);
			access_review(call, body, &other);
		} else if (i == 3) {
			self_review(call, body);
		} else {
			token_review(call, body);
		}
		json_decref(body);
		return true;
	}
	return false;
}
