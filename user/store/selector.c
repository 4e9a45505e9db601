/* SPDX-License-Identifier: Apache-2.0 */
#include "store/selector.h"

#include "core/mem.h"
#include "store/json.h"

#include <errno.h>

enum operation {
	IS,
	IS_NOT,
	IN,
	NOT_IN,
	EXISTS,
	MISSING,
	GREATER,
	LESS,
};

enum { VALUES_MAX = 64 };

struct mesh_requirement {
	struct mesh_requirement *next;
	enum operation op;
	const char *key;
	const char **values;
	size_t count;
};

/* Which fields a kind can be selected by, besides metadata.name and metadata.namespace. */
static const struct {
	const char *group, *plural, *field;
} selectable[] = {
	{"", "pods", "spec.nodeName"},
	{"", "pods", "spec.restartPolicy"},
	{"", "pods", "spec.schedulerName"},
	{"", "pods", "spec.serviceAccountName"},
	{"", "pods", "spec.hostNetwork"},
	{"", "pods", "status.phase"},
	{"", "pods", "status.podIP"},
	{"", "pods", "status.podIPs"},
	{"", "pods", "status.nominatedNodeName"},
	{"", "events", "involvedObject.kind"},
	{"", "events", "involvedObject.namespace"},
	{"", "events", "involvedObject.name"},
	{"", "events", "involvedObject.uid"},
	{"", "events", "involvedObject.apiVersion"},
	{"", "events", "involvedObject.resourceVersion"},
	{"", "events", "involvedObject.fieldPath"},
	{"", "events", "reason"},
	{"", "events", "reportingComponent"},
	{"", "events", "source"},
	{"", "events", "type"},
	{"", "nodes", "spec.unschedulable"},
	{"", "namespaces", "status.phase"},
	{"", "secrets", "type"},
	{"", "services", "spec.clusterIP"},
	{"", "services", "spec.type"},
	{"apps", "replicasets", "status.replicas"},
	{"route.openshift.io", "routes", "spec.host"},
	{"route.openshift.io", "routes", "spec.to.name"},
};

struct scan {
	struct mesh_arena *arena;
	const char *at;
	const char **error;
};

static void skip_space(struct scan *s)
{
	while (*s->at == ' ' || *s->at == '\t')
		s->at++;
}

static const char *word(struct scan *s)
{
	const char *from;
	size_t n;

	skip_space(s);
	from = s->at;
	n = strcspn(from, " \t,()=!<>");
	s->at += n;
	return mesh_arena_slice(s->arena, mesh_slice_of(from, n));
}

static int bad(struct scan *s, const char *found, const char *expected)
{
	*s->error =
		mesh_arena_printf(s->arena, "unable to parse requirement: found '%s', expected: %s", found, expected);
	return -EINVAL;
}

static int value_list(struct scan *s, struct mesh_requirement *q)
{
	skip_space(s);
	if (*s->at != '(') {
		*s->error =
			mesh_arena_printf(s->arena, "unable to parse requirement: found '%s' expected: '('", word(s));
		return -EINVAL;
	}
	s->at++;
	do {
		if (q->count == VALUES_MAX) {
			*s->error = "too many values in a selector";
			return -EINVAL;
		}
		q->values[q->count++] = word(s);
		skip_space(s);
	} while (*s->at == ',' && s->at++);
	if (*s->at != ')')
		return bad(s, *s->at ? word(s) : "", "',', or ')'");
	s->at++;
	return 0;
}

static int operation(struct scan *s, struct mesh_requirement *q)
{
	const char *op;

	skip_space(s);
	q->values = mesh_arena_array(s->arena, const char *, VALUES_MAX);
	if (*s->at == '=' || *s->at == '!' || *s->at == '<' || *s->at == '>') {
		if (*s->at == '!' && s->at[1] != '=')
			return bad(s, "!", "in, notin, =, ==, !=, gt, lt");
		q->op = *s->at == '!' ? IS_NOT : *s->at == '<' ? LESS : *s->at == '>' ? GREATER : IS;
		s->at += *s->at == '!' || s->at[1] == '=' ? 2 : 1;
		q->values[0] = word(s);
		q->count = 1;
		return 0;
	}
	if (*s->at == ',' || *s->at == '\0') {
		q->op = q->op == MISSING ? MISSING : EXISTS;
		return 0;
	}
	op = word(s);
	if (strcmp(op, "in") == 0)
		q->op = IN;
	else if (strcmp(op, "notin") == 0)
		q->op = NOT_IN;
	else
		return bad(s, op, "in, notin, =, ==, !=, gt, lt");
	return value_list(s, q);
}

static bool valid_key(const char *key)
{
	return key[0] && strlen(key) <= 317 &&
	       key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./")] == '\0';
}

int mesh_selector_parse_labels(struct mesh_arena *arena, const char *text, struct mesh_selector *ret,
			       const char **error)
{
	struct mesh_requirement *first = NULL, **last = &first;
	struct scan s = {arena, text, error};

	for (skip_space(&s); *s.at; skip_space(&s)) {
		struct mesh_requirement *q = mesh_arena_new(arena, struct mesh_requirement);
		bool missing = *s.at == '!';

		s.at += missing;
		q->op = missing ? MISSING : EXISTS;
		q->key = word(&s);
		if (!valid_key(q->key))
			return bad(&s, q->key[0] ? q->key : "", "identifier");
		if (operation(&s, q) < 0)
			return -EINVAL;
		*last = q;
		last = &q->next;
		skip_space(&s);
		if (*s.at && *s.at != ',')
			return bad(&s, word(&s), "',' or 'end of string'");
		if (*s.at)
			s.at++;
	}
	ret->first = first;
	return 0;
}

/* Is field one that kind can be selected by? *any: does kind have any beside its metadata's? */
static bool field_allowed(const struct mesh_kind *kind, const char *field, bool *any)
{
	*any = false;
	if (strcmp(field, "metadata.name") == 0 || strcmp(field, "metadata.namespace") == 0)
		return true;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(selectable); i++) {
		if (strcmp(selectable[i].plural, kind->plural) != 0 || strcmp(selectable[i].group, kind->group) != 0)
			continue;
		*any = true;
		if (strcmp(selectable[i].field, field) == 0)
			return true;
	}
	return false;
}

int mesh_selector_parse_fields(struct mesh_arena *arena, const struct mesh_kind *kind, const char *text,
			       struct mesh_selector *ret, const char **error)
{
	struct mesh_requirement *first = NULL, **last = &first;
	struct mesh_slice rest = mesh_slice_str(text), term;

	while (mesh_slice_split(&rest, ',', &term)) {
		struct mesh_requirement *q = mesh_arena_new(arena, struct mesh_requirement);
		ssize_t at = mesh_slice_find(term, '=');
		size_t value;
		bool any;

		if (term.len == 0)
			continue;
		if (at < 1) {
			*error = mesh_arena_printf(arena, "invalid selector: '%s'; can't understand '%.*s'", text,
						   (int)term.len, term.ptr);
			return -EINVAL;
		}
		q->op = term.ptr[at - 1] == '!' ? IS_NOT : IS;
		value = (size_t)at + 1 + ((size_t)at + 1 < term.len && term.ptr[at + 1] == '=');
		q->key = mesh_arena_slice(arena, mesh_slice_of(term.ptr, (size_t)at - (q->op == IS_NOT)));
		q->values = mesh_arena_array(arena, const char *, 1);
		q->values[0] = mesh_arena_slice(arena, mesh_slice_of(term.ptr + value, term.len - value));
		q->count = 1;
		if (!field_allowed(kind, q->key, &any)) {
			*error = any || !(kind->flags & MESH_KIND_BUILTIN)
					 ? mesh_arena_printf(arena, "field label not supported: %s", q->key)
					 : mesh_arena_printf(
						   arena,
						   "\"%s\" is not a known field selector: only \"metadata.name\", "
						   "\"metadata.namespace\"",
						   q->key);
			return -EINVAL;
		}
		*last = q;
		last = &q->next;
	}
	ret->first = first;
	return 0;
}

static bool among(const struct mesh_requirement *q, const char *value)
{
	for (size_t i = 0; i < q->count; i++)
		if (strcmp(q->values[i], value) == 0)
			return true;
	return false;
}

static bool satisfied(const struct mesh_requirement *q, const char *value)
{
	switch (q->op) {
	case IS:
	case IN:
		return value && among(q, value);
	case IS_NOT:
	case NOT_IN:
		return !value || !among(q, value);
	case EXISTS:
		return value;
	case MISSING:
		return !value;
	case GREATER:
		return value && strtoll(value, NULL, 10) > strtoll(q->values[0], NULL, 10);
	case LESS:
		return value && strtoll(value, NULL, 10) < strtoll(q->values[0], NULL, 10);
	}
	return false;
}

bool mesh_selector_labels(const struct mesh_selector *selector, const json_t *obj)
{
	const json_t *labels = mesh_js_at(obj, "metadata.labels");

	for (const struct mesh_requirement *q = selector->first; q; q = q->next)
		if (!satisfied(q, json_string_value(json_object_get(labels, q->key))))
			return false;
	return true;
}

bool mesh_selector_fields(const struct mesh_selector *selector, const json_t *obj)
{
	for (const struct mesh_requirement *q = selector->first; q; q = q->next) {
		const json_t *v = mesh_js_at(obj, strcmp(q->key, "source") == 0 ? "source.component" : q->key);
		char number[32];
		const char *text = "";

		if (json_is_string(v)) {
			text = json_string_value(v);
		} else if (json_is_boolean(v)) {
			text = json_is_true(v) ? "true" : "false";
		} else if (json_is_integer(v)) {
			snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
			text = number;
		} else if (strcmp(q->key, "spec.unschedulable") == 0 || strcmp(q->key, "spec.hostNetwork") == 0) {
			text = "false";
		}
		if (!satisfied(q, text))
			return false;
	}
	return true;
}
