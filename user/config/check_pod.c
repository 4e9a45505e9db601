/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods and what makes them (Deployment, ReplicaSet), by Kubernetes' rules and in its words.
 */
#include "config/at.h"
#include "config/check.h"
#include "config/columns.h"
#include "config/names.h"
#include "model/workload.h"

#include <ctype.h>

#define PORT_RANGE "must be between 1 and 65535, inclusive"

static void bad_number(struct mesh_at *at, const char *key, json_int_t n, const char *why)
{
	mesh_at_err_key(at, key, "Invalid value: %" JSON_INTEGER_FORMAT ": %s", n, why);
}

static void not_negative(struct mesh_at *at, const json_t *v, const char *key)
{
	if (mesh_number(v, key) < 0)
		bad_number(at, key, mesh_number(v, key), "must be greater than or equal to 0");
}

/* Names of ports: at most 15 of a-z, 0-9 and "-", a letter among them. */
static const char *port_name_fault(const char *s)
{
	bool letter = false;

	if (strlen(s) > 15)
		return "must be no more than 15 characters";
	for (const char *p = s; *p; p++) {
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-')
			return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
		letter |= islower((unsigned char)*p) != 0;
	}
	if (!letter)
		return "must contain at least one letter (a-z)";
	if (strstr(s, "--"))
		return "must not contain consecutive hyphens";
	if (s[0] == '-' || s[strlen(s) - 1] == '-')
		return "must not begin or end with a hyphen";
	return NULL;
}

/* Whether an item before v in list has the same name. */
static bool is_repeated(const json_t *list, const json_t *v, const char *key)
{
	const json_t *other;

	for (size_t i = 0; (other = json_array_get(list, i)) && other != v; i++)
		if (*mesh_text(v, key) && mesh_is(mesh_text(other, key), mesh_text(v, key)))
			return true;
	return false;
}

static void container_port(struct mesh_at *at, const json_t *v, void *arg)
{
	json_int_t n = mesh_number(v, "containerPort"), host = mesh_number(v, "hostPort");
	const char *name = mesh_text(v, "name"), *fault = *name ? port_name_fault(name) : NULL;

	if (fault)
		mesh_at_err_key(at, "name", "Invalid value: \"%s\": %s", name, fault);
	else if (is_repeated(arg, v, "name"))
		mesh_at_err_key(at, "name", "Duplicate value: \"%s\"", name);
	if (n == 0 && mesh_has(v, "containerPort"))
		mesh_at_err_key(at, "containerPort", "Required value");
	else if (n < 0 || n > 65535)
		bad_number(at, "containerPort", n, PORT_RANGE);
	if (host < 0 || host > 65535)
		bad_number(at, "hostPort", host, PORT_RANGE);
}

static void handler_port(struct mesh_at *at, const json_t *v)
{
	const json_t *port = json_object_get(v, "port");
	const char *fault = json_is_string(port) ? port_name_fault(json_string_value(port)) : NULL;

	if (json_is_integer(port) && (json_integer_value(port) < 1 || json_integer_value(port) > 65535))
		bad_number(at, "port", json_integer_value(port), PORT_RANGE);
	else if (fault)
		mesh_at_err_key(at, "port", "Invalid value: \"%s\": %s", json_string_value(port), fault);
}

static void network_handler(struct mesh_at *at, const json_t *v, void *arg)
{
	int *methods = arg;

	if ((*methods)++)
		mesh_at_err(at, "Forbidden: may not specify more than 1 handler type");
	else
		handler_port(at, v);
}

static void exec_handler(struct mesh_at *at, const json_t *v, void *arg)
{
	int *methods = arg;

	if ((*methods)++)
		mesh_at_err(at, "Forbidden: may not specify more than 1 handler type");
	else if (json_array_size(json_object_get(v, "command")) == 0)
		mesh_at_err_key(at, "command", "Required value");
}

static void probe(struct mesh_at *at, const json_t *v, void *arg)
{
	static const char *const counts[] = {"initialDelaySeconds", "timeoutSeconds", "periodSeconds",
					     "successThreshold", "failureThreshold"};
	int methods = 0;

	(void)arg;
	mesh_at_in(at, v, "exec", exec_handler, &methods);
	mesh_at_in(at, v, "httpGet", network_handler, &methods);
	mesh_at_in(at, v, "tcpSocket", network_handler, &methods);
	mesh_at_in(at, v, "grpc", network_handler, &methods);
	if (!methods)
		mesh_at_err(at, "Required value: must specify a handler type");
	for (size_t i = 0; i < MESH_ARRAY_SIZE(counts); i++)
		not_negative(at, v, counts[i]);
}

static void once_probe(struct mesh_at *at, const json_t *v, void *arg)
{
	probe(at, v, arg);
	if (mesh_number(v, "successThreshold") > 1)
		bad_number(at, "successThreshold", mesh_number(v, "successThreshold"), "must be 1");
}

/* ---- resources ---- */

static double quantity(const json_t *v)
{
	static const struct {
		const char *suffix;
		double factor;
	} units[] = {{"n", 1e-9},
		     {"u", 1e-6},
		     {"m", 1e-3},
		     {"k", 1e3},
		     {"M", 1e6},
		     {"G", 1e9},
		     {"T", 1e12},
		     {"P", 1e15},
		     {"E", 1e18},
		     {"Ki", 1024.0},
		     {"Mi", 1048576.0},
		     {"Gi", 1073741824.0},
		     {"Ti", 1099511627776.0}};
	const char *s = json_string_value(v);
	char *rest;
	double d;

	if (!s)
		return json_number_value(v);
	d = strtod(s, &rest);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(units); i++)
		if (mesh_is(rest, units[i].suffix))
			return d * units[i].factor;
	return d;
}

static void amount(struct mesh_at *at, const char *name, const json_t *v, void *arg)
{
	(void)name;
	(void)arg;
	if (quantity(v) < 0)
		mesh_at_err(at, "Invalid value: \"%s\": must be greater than or equal to 0",
			    json_string_value(v) ? json_string_value(v) : "");
}

static void resources(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *limits = json_object_get(v, "limits"), *requests = json_object_get(v, "requests");
	const char *name;
	json_t *r;

	(void)arg;
	mesh_at_members(at, v, "limits", amount, NULL);
	mesh_at_members(at, v, "requests", amount, NULL);
	json_object_foreach((json_t *)requests, name, r)
	{
		const json_t *limit = json_object_get(limits, name);

		if (limit && quantity(r) > quantity(limit))
			mesh_at_err_key(at, "requests",
					"Invalid value: \"%s\": must be less than or equal to %s limit of %s",
					json_string_value(r) ? json_string_value(r) : "", name,
					json_string_value(limit) ? json_string_value(limit) : "");
	}
}

/* ---- containers ---- */

static void mount(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *volumes = json_object_get(arg, "volumes"), *volume;
	const char *name = mesh_text(v, "name");

	for (size_t i = 0; (volume = json_array_get(volumes, i)); i++)
		if (mesh_is(mesh_text(volume, "name"), name))
			return;
	if (*name)
		mesh_at_err_key(at, "name", "Not found: \"%s\"", name);
}

struct containers {
	const json_t *spec, *list;
};

static void container(struct mesh_at *at, const json_t *v, void *arg)
{
	const struct containers *c = arg;
	const char *name = mesh_text(v, "name");

	if (!json_is_object(v))
		return;
	if (*name && !mesh_name_is_label(mesh_slice_str(name)))
		mesh_at_err_key(at, "name", "Invalid value: \"%s\": %s", name, mesh_name_label_rule());
	else if (is_repeated(c->list, v, "name"))
		mesh_at_err_key(at, "name", "Duplicate value: \"%s\"", name);
	if (!*mesh_text(v, "image"))
		mesh_at_err_key(at, "image", "Required value");
	mesh_at_each(at, v, "ports", container_port, json_object_get(v, "ports"));
	mesh_at_each(at, v, "volumeMounts", mount, (void *)c->spec);
	mesh_at_in(at, v, "livenessProbe", once_probe, NULL);
	mesh_at_in(at, v, "readinessProbe", probe, NULL);
	mesh_at_in(at, v, "startupProbe", once_probe, NULL);
	mesh_at_in(at, v, "resources", resources, NULL);
}

static void volume(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *name = mesh_text(v, "name");

	if (*name && !mesh_name_is_label(mesh_slice_str(name)))
		mesh_at_err_key(at, "name", "Invalid value: \"%s\": %s", name, mesh_name_label_rule());
	else if (is_repeated(arg, v, "name"))
		mesh_at_err_key(at, "name", "Duplicate value: \"%s\"", name);
}

static void pod_spec(struct mesh_at *at, const json_t *spec, void *arg)
{
	static const char *const lists[] = {"containers", "initContainers"};

	(void)arg;
	mesh_at_each(at, spec, "volumes", volume, json_object_get(spec, "volumes"));
	for (size_t i = 0; i < MESH_ARRAY_SIZE(lists); i++) {
		struct containers c = {spec, json_object_get(spec, lists[i])};

		mesh_at_each(at, spec, lists[i], container, &c);
	}
	not_negative(at, spec, "terminationGracePeriodSeconds");
}

MESH_CHECK(pod)
{
	(void)kind;
	(void)old;
	mesh_check_spec(obj, errs, warnings, pod_spec);
}

/* ---- what makes pods ---- */

static bool selects(const json_t *selector, const json_t *labels)
{
	const char *key;
	json_t *v;

	json_object_foreach(json_object_get(selector, "matchLabels"), key,
			    v) if (!json_equal(v, json_object_get(labels, key))) return false;
	return true;
}

static void check_selector(struct mesh_at *at, const json_t *spec)
{
	const json_t *selector = json_object_get(spec, "selector");
	const json_t *labels = mesh_json_at(spec, "template", "metadata", "labels", NULL);
	mesh_auto_free char *text = labels ? json_dumps(labels, JSON_COMPACT) : NULL;

	if (json_is_object(selector) && json_object_size(json_object_get(selector, "matchLabels")) == 0 &&
	    json_array_size(json_object_get(selector, "matchExpressions")) == 0)
		mesh_at_err_key(at, "selector", "Invalid value: {}: empty selector is invalid for deployment");
	else if (!json_is_object(selector) || !selects(selector, labels))
		mesh_at_err_key(at, "template.metadata.labels",
				"Invalid value: %s: `selector` does not match template `labels`", text ? text : "null");
}

static void template_spec(struct mesh_at *at, const json_t *v, void *arg)
{
	const char *policy = mesh_text(v, "restartPolicy");

	pod_spec(at, v, arg);
	if (mesh_is(policy, "Never") || mesh_is(policy, "OnFailure"))
		mesh_at_err_key(at, "restartPolicy", "Unsupported value: \"%s\": supported values: \"Always\"", policy);
}

static void template(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *splice = mesh_json_at(v, "metadata", "annotations", MESH_SPLICE_ANNOTATION, NULL);
	enum mesh_splice_wish wish;

	mesh_at_in(at, v, "spec", template_spec, arg);
	if (json_is_string(splice) && mesh_splice_wish_parse(json_string_value(splice), &wish) < 0)
		mesh_at_err_key(at, "metadata.annotations[" MESH_SPLICE_ANNOTATION "]",
				"Unsupported value: \"%s\": supported values: \"auto\", \"disabled\", \"enabled\"",
				json_string_value(splice));
}

static void immutable_selector(struct mesh_at *at, const json_t *spec, const json_t *old)
{
	const json_t *now = json_object_get(spec, "selector"), *before = mesh_json_at(old, "spec", "selector", NULL);
	mesh_auto_free char *text = NULL;

	if (!before || !now || json_equal(before, now))
		return;
	text = json_dumps(now, JSON_COMPACT | JSON_SORT_KEYS);
	mesh_at_err_key(at, "selector", "Invalid value: %s: field is immutable", text ? text : "");
}

static void replica_set_spec(struct mesh_at *at, const json_t *spec, void *arg)
{
	(void)arg;
	not_negative(at, spec, "replicas");
	not_negative(at, spec, "minReadySeconds");
	check_selector(at, spec);
	mesh_at_in(at, spec, "template", template, NULL);
}

/* "0%" and 0 are both nothing. */
static bool is_zero(const json_t *v)
{
	return v && (json_is_integer(v) ? json_integer_value(v) == 0
					: atof(json_string_value(v) ? json_string_value(v) : "1") == 0);
}

static void strategy(struct mesh_at *at, const json_t *v, void *arg)
{
	const json_t *rolling = json_object_get(v, "rollingUpdate"), *most = json_object_get(rolling, "maxUnavailable");

	(void)arg;
	if (mesh_is(mesh_text(v, "type"), "Recreate") && json_is_object(rolling)) {
		mesh_at_err_key(at, "rollingUpdate",
				"Forbidden: may not be specified when strategy `type` is 'Recreate'");
	} else if (is_zero(most) && is_zero(json_object_get(rolling, "maxSurge"))) {
		mesh_auto_free char *text = json_dumps(most, JSON_ENCODE_ANY);

		mesh_at_err_key(at, "rollingUpdate.maxUnavailable",
				"Invalid value: %s: may not be 0 when `maxSurge` is 0", text ? text : "0");
	}
}

static void deployment_spec(struct mesh_at *at, const json_t *spec, void *arg)
{
	replica_set_spec(at, spec, arg);
	mesh_at_in(at, spec, "strategy", strategy, NULL);
	not_negative(at, spec, "revisionHistoryLimit");
	not_negative(at, spec, "progressDeadlineSeconds");
	if (mesh_has(spec, "progressDeadlineSeconds") &&
	    mesh_number(spec, "progressDeadlineSeconds") <= mesh_number(spec, "minReadySeconds") &&
	    mesh_number(spec, "minReadySeconds") >= 0)
		bad_number(at, "progressDeadlineSeconds", mesh_number(spec, "progressDeadlineSeconds"),
			   "must be greater than minReadySeconds");
}

/* A spec's check that also wants to know what was there before. */
struct before {
	const json_t *old;
	mesh_at_fn *fn;
};

static void with_before(struct mesh_at *at, const json_t *spec, void *arg)
{
	const struct before *b = arg;

	b->fn(at, spec, NULL);
	if (b->old)
		immutable_selector(at, spec, b->old);
}

static void check_owner(const json_t *obj, const json_t *old, struct mesh_errs *errs, struct mesh_errs *warnings,
			mesh_at_fn *fn)
{
	struct mesh_at at = {.errs = errs, .warnings = warnings, .ns = "", .object = obj};
	struct before b = {old, fn};

	mesh_at_in(&at, obj, "spec", with_before, &b);
	mesh_buf_free(&at.path);
}

MESH_CHECK(deployment)
{
	(void)kind;
	check_owner(obj, old, errs, warnings, deployment_spec);
}

MESH_CHECK(replica_set)
{
	(void)kind;
	check_owner(obj, old, errs, warnings, replica_set_spec);
}
