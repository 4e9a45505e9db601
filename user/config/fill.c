/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The defaults that a Kubernetes API server (1.34) writes into objects of its own kinds. What depends on other objects
 * (addresses, node ports, tolerations) is the store's.
 */
#include "config/check.h"
#include "config/columns.h"

static json_t *obj_in(json_t *parent, const char *key)
{
	json_t *v = json_object_get(parent, key);

	if (!json_is_object(v)) {
		v = json_object();
		json_object_set_new(parent, key, v);
	}
	return v;
}

static bool has(const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);

	return v && !json_is_null(v) && !(json_is_string(v) && !*json_string_value(v));
}

static void text(json_t *obj, const char *key, const char *value)
{
	if (json_is_object(obj) && !has(obj, key))
		json_object_set_new(obj, key, json_string(value));
}

static void number(json_t *obj, const char *key, json_int_t value)
{
	if (json_is_object(obj) && !has(obj, key))
		json_object_set_new(obj, key, json_integer(value));
}

static void flag(json_t *obj, const char *key, bool value)
{
	if (json_is_object(obj) && !has(obj, key))
		json_object_set_new(obj, key, json_boolean(value));
}

/* Zero is as good as not there for these. */
static void positive(json_t *obj, const char *key, json_int_t value)
{
	if (json_is_object(obj) && json_integer_value(json_object_get(obj, key)) == 0)
		json_object_set_new(obj, key, json_integer(value));
}

MESH_FILL(namespace)
{
	json_t *labels = obj_in(obj_in(obj, "metadata"), "labels"), *spec = obj_in(obj, "spec");
	const char *name = mesh_json_text(json_object_get(obj, "metadata"), "name");

	(void)kind;
	if (name)
		json_object_set_new(labels, "kubernetes.io/metadata.name", json_string(name));
	if (!old && !has(spec, "finalizers"))
		json_object_set_new(spec, "finalizers", json_pack("[s]", "kubernetes"));
	if (!has(json_object_get(obj, "status"), "phase"))
		json_object_set_new(obj_in(obj, "status"), "phase", json_string("Active"));
}

static void fill_probe(json_t *probe)
{
	json_t *get = json_object_get(probe, "httpGet");

	if (!json_is_object(probe))
		return;
	positive(probe, "timeoutSeconds", 1);
	positive(probe, "periodSeconds", 10);
	positive(probe, "successThreshold", 1);
	positive(probe, "failureThreshold", 3);
	text(get, "path", "/");
	text(get, "scheme", "HTTP");
	if (json_is_object(json_object_get(probe, "grpc")) &&
	    !json_object_get(json_object_get(probe, "grpc"), "service"))
		json_object_set_new(json_object_get(probe, "grpc"), "service", json_string(""));
}

/* ":latest", or no tag and no digest: pulled each time. */
static const char *pull_policy(const char *image)
{
	const char *slash = image ? strrchr(image, '/') : NULL, *name = slash ? slash + 1 : image;
	const char *colon = name ? strrchr(name, ':') : NULL;

	if (name && strchr(name, '@'))
		return "IfNotPresent";
	return !colon || strcmp(colon, ":latest") == 0 ? "Always" : "IfNotPresent";
}

static void fill_handler(json_t *handler)
{
	json_t *get = json_object_get(handler, "httpGet");

	text(get, "path", "/");
	text(get, "scheme", "HTTP");
}

/* What is requested by its limit alone. */
static void fill_resources(json_t *resources)
{
	const json_t *limits = json_object_get(resources, "limits");
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)limits, key, v)
	{
		json_t *requests = obj_in(resources, "requests");

		if (!json_object_get(requests, key))
			json_object_set(requests, key, v);
	}
}

static void fill_container(json_t *c)
{
	static const char *const probes[] = {"livenessProbe", "readinessProbe", "startupProbe"};
	json_t *p, *life = json_object_get(c, "lifecycle");
	size_t i;

	if (!json_is_object(c))
		return;
	text(c, "imagePullPolicy", pull_policy(mesh_json_text(c, "image")));
	text(c, "terminationMessagePath", "/dev/termination-log");
	text(c, "terminationMessagePolicy", "File");
	obj_in(c, "resources");
	json_array_foreach(json_object_get(c, "ports"), i, p) text(p, "protocol", "TCP");
	json_array_foreach(json_object_get(c, "env"), i, p)
		text(json_object_get(json_object_get(p, "valueFrom"), "fieldRef"), "apiVersion", "v1");
	for (i = 0; i < MESH_ARRAY_SIZE(probes); i++)
		fill_probe(json_object_get(c, probes[i]));
	fill_handler(json_object_get(life, "postStart"));
	fill_handler(json_object_get(life, "preStop"));
}

static void fill_volume(json_t *v)
{
	static const char *const moded[] = {"secret", "configMap", "downwardAPI", "projected"};
	json_t *source, *item;
	size_t i;

	for (i = 0; i < MESH_ARRAY_SIZE(moded); i++)
		number(json_object_get(v, moded[i]), "defaultMode", 420);
	source = json_object_get(v, "hostPath");
	if (json_is_object(source) && !json_object_get(source, "type"))
		json_object_set_new(source, "type", json_string(""));
	json_array_foreach(json_object_get(json_object_get(v, "downwardAPI"), "items"), i, item)
		text(json_object_get(item, "fieldRef"), "apiVersion", "v1");
	json_array_foreach(json_object_get(json_object_get(v, "projected"), "sources"), i, item)
	{
		number(json_object_get(item, "serviceAccountToken"), "expirationSeconds", 3600);
	}
}

static void fill_pod_spec(json_t *spec)
{
	static const char *const lists[] = {"containers", "initContainers"};
	json_t *v;
	size_t i;

	if (!json_is_object(spec))
		return;
	text(spec, "restartPolicy", "Always");
	number(spec, "terminationGracePeriodSeconds", 30);
	text(spec, "dnsPolicy", "ClusterFirst");
	obj_in(spec, "securityContext");
	text(spec, "schedulerName", "default-scheduler");
	/* Two names for one thing: each is set from the other. */
	if (has(spec, "serviceAccountName"))
		json_object_set(spec, "serviceAccount", json_object_get(spec, "serviceAccountName"));
	else if (has(spec, "serviceAccount"))
		json_object_set(spec, "serviceAccountName", json_object_get(spec, "serviceAccount"));
	for (size_t l = 0; l < MESH_ARRAY_SIZE(lists); l++)
		json_array_foreach(json_object_get(spec, lists[l]), i, v) fill_container(v);
	json_array_foreach(json_object_get(spec, "volumes"), i, v) fill_volume(v);
}

static bool has_quantities(const json_t *pod, const char *which)
{
	size_t i;
	json_t *c;

	json_array_foreach(mesh_json_at(pod, "spec", "containers", NULL), i,
			   c) if (json_object_size(mesh_json_at(c, "resources", which, NULL))) return true;
	return false;
}

/* In pods alone, never in templates. */
static void fill_requests(const json_t *spec)
{
	static const char *const lists[] = {"containers", "initContainers"};
	json_t *c;
	size_t i;

	for (size_t l = 0; l < MESH_ARRAY_SIZE(lists); l++)
		json_array_foreach(json_object_get(spec, lists[l]), i, c) if (json_is_object(c))
			fill_resources(obj_in(c, "resources"));
}

/* Guaranteed: each container has equal limits and requests of cpu and memory. */
static bool is_guaranteed(const json_t *pod)
{
	static const char *const names[] = {"cpu", "memory"};
	size_t i;
	json_t *c;

	json_array_foreach(mesh_json_at(pod, "spec", "containers", NULL), i, c) for (size_t j = 0;
										     j < MESH_ARRAY_SIZE(names); j++)
	{
		const json_t *limit = mesh_json_at(c, "resources", "limits", names[j], NULL);
		const json_t *request = mesh_json_at(c, "resources", "requests", names[j], NULL);

		if (!limit || !json_equal(limit, request))
			return false;
	}
	return i > 0;
}

MESH_FILL(pod)
{
	json_t *spec = json_object_get(obj, "spec"), *status;

	(void)kind;
	fill_pod_spec(spec);
	if (!json_is_object(spec))
		return;
	flag(spec, "enableServiceLinks", true);
	if (old)
		return;
	fill_requests(spec);
	text(spec, "serviceAccountName", "default");
	json_object_set(spec, "serviceAccount", json_object_get(spec, "serviceAccountName"));
	number(spec, "priority", 0);
	text(spec, "preemptionPolicy", "PreemptLowerPriority");
	status = obj_in(obj, "status");
	text(status, "phase", "Pending");
	text(status, "qosClass",
	     is_guaranteed(obj)                                                 ? "Guaranteed"
	     : has_quantities(obj, "limits") || has_quantities(obj, "requests") ? "Burstable"
										: "BestEffort");
}

static void fill_template(json_t *spec)
{
	json_t *template = json_object_get(spec, "template");

	if (!json_is_object(template))
		return;
	fill_pod_spec(json_object_get(template, "spec"));
}

MESH_FILL(deployment)
{
	json_t *spec = json_object_get(obj, "spec"), *strategy, *rolling;
	const char *type;

	(void)kind;
	(void)old;
	if (!json_is_object(spec))
		return;
	number(spec, "replicas", 1);
	number(spec, "revisionHistoryLimit", 10);
	number(spec, "progressDeadlineSeconds", 600);
	strategy = obj_in(spec, "strategy");
	text(strategy, "type", "RollingUpdate");
	type = mesh_json_text(strategy, "type");
	if (type && strcmp(type, "RollingUpdate") == 0) {
		rolling = obj_in(strategy, "rollingUpdate");
		text(rolling, "maxUnavailable", "25%");
		text(rolling, "maxSurge", "25%");
	}
	fill_template(spec);
}

MESH_FILL(replica_set)
{
	json_t *spec = json_object_get(obj, "spec");

	(void)kind;
	(void)old;
	number(spec, "replicas", 1);
	fill_template(spec);
}

MESH_FILL(service)
{
	json_t *spec = json_object_get(obj, "spec"), *p;
	const char *type;
	size_t i;

	(void)kind;
	(void)old;
	if (!json_is_object(spec))
		return;
	text(spec, "sessionAffinity", "None");
	text(spec, "type", "ClusterIP");
	type = mesh_json_text(spec, "type");
	json_array_foreach(json_object_get(spec, "ports"), i, p)
	{
		text(p, "protocol", "TCP");
		if (!has(p, "targetPort") && json_is_integer(json_object_get(p, "port")))
			json_object_set(p, "targetPort", json_object_get(p, "port"));
	}
	if (type && (strcmp(type, "NodePort") == 0 || strcmp(type, "LoadBalancer") == 0))
		text(spec, "externalTrafficPolicy", "Cluster");
	if (type && strcmp(type, "LoadBalancer") == 0)
		flag(spec, "allocateLoadBalancerNodePorts", true);
	if (type && strcmp(type, "ExternalName") != 0)
		text(spec, "internalTrafficPolicy", "Cluster");
	if (!json_object_get(obj, "status"))
		json_object_set_new(obj, "status", json_pack("{s:{}}", "loadBalancer"));
}

MESH_FILL(endpoints)
{
	size_t i, j;
	json_t *s, *p;

	(void)kind;
	(void)old;
	json_array_foreach(json_object_get(obj, "subsets"), i, s) json_array_foreach(json_object_get(s, "ports"), j, p)
		text(p, "protocol", "TCP");
}

MESH_FILL(endpoint_slice)
{
	size_t i;
	json_t *p;

	(void)kind;
	(void)old;
	json_array_foreach(json_object_get(obj, "ports"), i, p)
	{
		text(p, "protocol", "TCP");
		if (json_is_object(p) && !json_object_get(p, "name"))
			json_object_set_new(p, "name", json_string(""));
	}
	if (!json_is_array(json_object_get(obj, "endpoints")))
		json_object_set_new(obj, "endpoints", json_array());
}

static void base64(struct mesh_buf *out, const unsigned char *s, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)s[i] << 16 | (i + 1 < len ? (unsigned)s[i + 1] << 8 : 0) |
			     (i + 2 < len ? s[i + 2] : 0);

		mesh_buf_char(out, digits[v >> 18]);
		mesh_buf_char(out, digits[v >> 12 & 63]);
		mesh_buf_char(out, i + 1 < len ? digits[v >> 6 & 63] : '=');
		mesh_buf_char(out, i + 2 < len ? digits[v & 63] : '=');
	}
	mesh_buf_str(out, "");
}

MESH_FILL(secret)
{
	json_t *plain = json_object_get(obj, "stringData"), *v;
	const char *key;

	(void)kind;
	(void)old;
	text(obj, "type", "Opaque");
	json_object_foreach(plain, key, v)
	{
		struct mesh_buf b = {0};

		if (!json_is_string(v))
			return;
		base64(&b, (const unsigned char *)json_string_value(v), json_string_length(v));
		json_object_set_new(obj_in(obj, "data"), key, json_string(b.data ? b.data : ""));
		mesh_buf_free(&b);
	}
	json_object_del(obj, "stringData");
}

MESH_FILL(role_binding)
{
	static const char group[] = "rbac.authorization.k8s.io";
	size_t i;
	json_t *s;

	(void)kind;
	(void)old;
	text(json_object_get(obj, "roleRef"), "apiGroup", group);
	json_array_foreach(json_object_get(obj, "subjects"), i, s)
	{
		const char *k = mesh_json_text(s, "kind");

		if (k && (strcmp(k, "User") == 0 || strcmp(k, "Group") == 0))
			text(s, "apiGroup", group);
	}
}

MESH_FILL(crd)
{
	json_t *spec = json_object_get(obj, "spec"), *names = json_object_get(spec, "names");
	const char *k = mesh_json_text(names, "kind");
	char *name;

	(void)kind;
	(void)old;
	if (!json_is_object(names) || !k)
		return;
	text(obj_in(spec, "conversion"), "strategy", "None");
	name = mesh_xstrdup(k);
	for (char *c = name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	text(names, "singular", name);
	free(name);
	name = mesh_xasprintf("%sList", k);
	text(names, "listKind", name);
	free(name);
}

MESH_FILL(route)
{
	json_t *spec = json_object_get(obj, "spec"), *to = json_object_get(spec, "to");

	(void)kind;
	(void)old;
	text(to, "kind", "Service");
	number(to, "weight", 100);
	text(spec, "wildcardPolicy", "None");
}
