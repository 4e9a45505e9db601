/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile.h"

#include "core/buf.h"
#include "core/mem.h"
#include "core/vec.h"
#include "model/names.h"

#include <string.h>

struct gateway_row {
	const char *name, *label;
	const char *service_type;
	bool route;
};

static const struct gateway_row gateways[] = {
	{"istio-ingressgateway", "ingressgateway", "LoadBalancer", true},
	{"istio-egressgateway", "egressgateway", "ClusterIP", false},
};

const json_t *mesh_control_condition_get(const json_t *obj, const char *type)
{
	json_t *list = json_object_get(json_object_get(obj, "status"), "conditions"), *c;
	size_t i;

	json_array_foreach(list, i, c)
	{
		const char *t = json_string_value(json_object_get(c, "type"));

		if (t && strcmp(t, type) == 0)
			return c;
	}
	return NULL;
}

json_t *mesh_control_condition(const json_t *obj, const char *type, bool ok, const char *reason, const char *message)
{
	const json_t *before = mesh_control_condition_get(obj, type);
	const char *status = json_string_value(json_object_get(before, "status"));
	json_t *time = json_object_get(before, "lastTransitionTime");

	if (!status || strcmp(status, ok ? "True" : "False") != 0 || !json_is_string(time))
		time = mesh_json_time_now();
	else
		json_incref(time);
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", type, "status", ok ? "True" : "False", "reason", reason,
			 "message", message, "lastTransitionTime", time);
}

void mesh_control_namespaces(struct mesh_cache *cache)
{
	static const char *const names[] = {"default", "kube-system", MESH_ROOT_NAMESPACE};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++)
		if (!mesh_cache_get(cache, MESH_CONTROL_NAMESPACE, NULL, names[i]))
			mesh_cache_ensure(cache, MESH_CONTROL_NAMESPACE,
					  mesh_json_format("{\"metadata\": {\"name\": \"%s\"}}", names[i]));
}

/* spec.istio.gateways.NAME.enabled is not false. */
static bool gateway_enabled(const json_t *smcp, const char *name)
{
	const json_t *o = json_object_get(json_object_get(smcp, "spec"), "istio");

	o = json_object_get(json_object_get(json_object_get(o, "gateways"), name), "enabled");
	return !json_is_false(o);
}

/* Who an object belongs to goes in its metadata: when the control plane goes, so does the object. */
static json_t *owned(json_t *obj, const json_t *smcp)
{
	json_t *meta = json_object_get(obj, "metadata"), *labels = json_object_get(meta, "labels");

	json_object_set_new(meta, "namespace", json_string(mesh_control_ns(smcp)));
	if (!labels)
		json_object_set_new(meta, "labels", labels = json_object());
	json_object_set_new(labels, "maistra.io/owner", json_string(mesh_control_ns(smcp)));
	json_object_set_new(meta, "ownerReferences",
			    json_pack("[{s:s, s:s, s:s, s:s, s:b, s:b}]", "apiVersion", "maistra.io/v1", "kind",
				      "ServiceMeshControlPlane", "name", mesh_control_name(smcp), "uid",
				      mesh_control_uid(smcp), "controller", 1, "blockOwnerDeletion", 1));
	return obj;
}

static void ensure_rbac(struct mesh_cache *cache, const json_t *smcp, const struct gateway_row *row)
{
	const char *ns = mesh_control_ns(smcp);

	mesh_cache_ensure(
		cache, MESH_CONTROL_SERVICE_ACCOUNT,
		owned(mesh_json_format("{\"metadata\": {\"name\": \"%s-service-account\"}}", row->name), smcp));
	mesh_cache_ensure(
		cache, MESH_CONTROL_ROLE,
		owned(mesh_json_format("{\"metadata\": {\"name\": \"%s\"}, \"rules\": ["
				       "{\"apiGroups\": [\"coordination.k8s.io\"], \"resources\": [\"leases\"], "
				       "\"verbs\": [\"get\", \"create\", \"patch\", \"delete\"]}]}",
				       row->name),
		      smcp));
	mesh_cache_ensure(
		cache, MESH_CONTROL_ROLE_BINDING,
		owned(mesh_json_format(
			      "{\"metadata\": {\"name\": \"%s\"}, \"roleRef\": {\"apiGroup\": "
			      "\"rbac.authorization.k8s.io\", \"kind\": \"Role\", \"name\": \"%s\"}, \"subjects\": "
			      "[{\"kind\": \"ServiceAccount\", \"name\": \"%s-service-account\", \"namespace\": "
			      "\"%s\"}]}",
			      row->name, row->name, row->name, ns),
		      smcp));
	mesh_cache_ensure(cache, MESH_CONTROL_CLUSTER_ROLE_BINDING,
			  mesh_json_format("{\"metadata\": {\"name\": \"sockmesh-%s-%s\"}, \"roleRef\": {\"apiGroup\": "
					   "\"rbac.authorization.k8s.io\", \"kind\": \"ClusterRole\", \"name\": "
					   "\"sockmesh-gateway\"}, \"subjects\": [{\"kind\": \"ServiceAccount\", "
					   "\"name\": \"%s-service-account\", \"namespace\": \"%s\"}]}",
					   row->name, ns, row->name, ns));
}

static void ensure_cluster_role(struct mesh_cache *cache)
{
	mesh_cache_ensure(
		cache, MESH_CONTROL_CLUSTER_ROLE,
		mesh_json_format("{\"metadata\": {\"name\": \"sockmesh-gateway\"}, \"rules\": ["
				 "{\"apiGroups\": [\"\"], \"resources\": [\"pods\", \"services\"], "
				 "\"verbs\": [\"get\", \"list\", \"watch\"]},"
				 "{\"apiGroups\": [\"discovery.k8s.io\"], \"resources\": [\"endpointslices\"], "
				 "\"verbs\": [\"get\", \"list\", \"watch\"]},"
				 "{\"apiGroups\": [\"networking.istio.io\"], \"resources\": [\"*\"], "
				 "\"verbs\": [\"get\", \"list\", \"watch\"]},"
				 "{\"apiGroups\": [\"maistra.io\"], \"resources\": [\"servicemeshmemberrolls\"], "
				 "\"verbs\": [\"get\", \"list\", \"watch\"]}]}"));
}

static json_t *gateway_deployment(const struct gateway_row *row, const struct mesh_control_opts *opts)
{
	return mesh_json_format(
		"{\"metadata\": {\"name\": \"%s\", \"labels\": {\"app\": \"%s\", \"istio\": \"%s\"}}, \"spec\": {"
		"\"selector\": {\"matchLabels\": {\"app\": \"%s\", \"istio\": \"%s\"}}, \"template\": {"
		"\"metadata\": {\"labels\": {\"app\": \"%s\", \"istio\": \"%s\"}}, \"spec\": {"
		"\"serviceAccountName\": \"%s-service-account\", \"containers\": [{\"name\": \"istio-proxy\", "
		"\"image\": \"%s\", \"imagePullPolicy\": \"IfNotPresent\", \"args\": [\"gateway\"], \"env\": ["
		"{\"name\": \"POD_NAME\", \"valueFrom\": {\"fieldRef\": {\"apiVersion\": \"v1\", \"fieldPath\": "
		"\"metadata.name\"}}}, {\"name\": \"POD_NAMESPACE\", \"valueFrom\": {\"fieldRef\": {\"apiVersion\": "
		"\"v1\", \"fieldPath\": \"metadata.namespace\"}}}], \"ports\": ["
		"{\"name\": \"http2\", \"containerPort\": 8080, \"protocol\": \"TCP\"}, "
		"{\"name\": \"https\", \"containerPort\": 8443, \"protocol\": \"TCP\"}, "
		"{\"name\": \"status-port\", \"containerPort\": 15021, \"protocol\": \"TCP\"}], \"readinessProbe\": {"
		"\"httpGet\": {\"path\": \"/healthz/ready\", \"port\": 15021, \"scheme\": \"HTTP\"}, "
		"\"periodSeconds\": 1, \"timeoutSeconds\": 3, \"failureThreshold\": 10, \"successThreshold\": 1}}]}}}}",
		row->name, row->name, row->label, row->name, row->label, row->name, row->label, row->name, opts->image);
}

static json_t *gateway_service(const struct gateway_row *row)
{
	return mesh_json_format(
		"{\"metadata\": {\"name\": \"%s\", \"labels\": {\"app\": \"%s\", \"istio\": \"%s\"}}, \"spec\": {"
		"\"type\": \"%s\", \"selector\": {\"app\": \"%s\", \"istio\": \"%s\"}, \"ports\": ["
		"{\"name\": \"status-port\", \"port\": 15021, \"protocol\": \"TCP\", \"targetPort\": 15021}, "
		"{\"name\": \"http2\", \"port\": 80, \"protocol\": \"TCP\", \"targetPort\": 8080}, "
		"{\"name\": \"https\", \"port\": 443, \"protocol\": \"TCP\", \"targetPort\": 8443}]}}",
		row->name, row->name, row->label, row->service_type, row->name, row->label);
}

static json_t *gateway_route(const struct gateway_row *row, const struct mesh_control_opts *opts)
{
	json_t *route = mesh_json_format(
		"{\"metadata\": {\"name\": \"%s\"}, \"spec\": {\"port\": {\"targetPort\": \"http2\"}, \"to\": "
		"{\"kind\": \"Service\", \"name\": \"%s\", \"weight\": 100}, \"wildcardPolicy\": \"None\"}}",
		row->name, row->name);

	if (opts->route_host)
		json_object_set_new(json_object_get(route, "spec"), "host", json_string(opts->route_host));
	return route;
}

static void ensure_deployment(struct mesh_cache *cache, const json_t *smcp, const struct gateway_row *row,
			      const struct mesh_control_opts *opts)
{
	json_t *want = owned(gateway_deployment(row, opts), smcp);

	/* How many is set once: who scales a gateway keeps what they chose. */
	if (!mesh_cache_get(cache, MESH_CONTROL_DEPLOYMENT, mesh_control_ns(smcp), row->name))
		json_object_set_new(json_object_get(want, "spec"), "replicas", json_integer(1));
	mesh_cache_ensure(cache, MESH_CONTROL_DEPLOYMENT, want);
}

static bool deployment_ready(const json_t *deployment)
{
	json_t *spec = json_object_get(deployment, "spec"), *status = json_object_get(deployment, "status");
	json_int_t want = json_integer_value(json_object_get(spec, "replicas"));

	return status && json_integer_value(json_object_get(status, "readyReplicas")) >= want &&
	       json_integer_value(json_object_get(status, "observedGeneration")) >= mesh_control_generation(deployment);
}

/* What the original's users set and what changes nothing here: told, not hidden. */
static void without_effect(const json_t *smcp, struct mesh_buf *out)
{
	static const char *const parts[] = {"mixer",   "pilot",    "kiali",
					    "tracing", "grafana",  "prometheus",
					    "galley",  "security", "sidecarInjectorWebhook"};
	json_t *spec = json_object_get(smcp, "spec"), *istio = json_object_get(spec, "istio");
	json_t *global = json_object_get(istio, "global"), *mtls = json_object_get(global, "mtls");

	if (json_object_get(spec, "threeScale"))
		mesh_buf_str(out, "threeScale, ");
	if (json_is_true(mtls) || json_is_true(json_object_get(mtls, "enabled")))
		mesh_buf_str(out, "istio.global.mtls, ");
	if (json_object_get(global, "proxy"))
		mesh_buf_str(out, "istio.global.proxy, ");
	for (size_t i = 0; i < MESH_ARRAY_SIZE(parts); i++)
		if (json_object_get(istio, parts[i]))
			mesh_buf_printf(out, "istio.%s, ", parts[i]);
	if (out->len)
		out->len -= 2;
	if (out->data)
		out->data[out->len] = '\0';
}

static json_t *component(const json_t *smcp, const struct gateway_row *row, bool ready)
{
	(void)smcp;
	return mesh_json_format(
		"{\"resource\": \"istio/gateways/%s\", \"conditions\": [{\"type\": \"Ready\", \"status\": "
		"\"%s\"}]}",
		row->name, ready ? "True" : "False");
}

static void plane_status(struct mesh_cache *cache, const json_t *smcp, size_t want, size_t ready, json_t *components)
{
	mesh_auto(mesh_buf_free) struct mesh_buf no_effect = {0}, message = {0};
	bool ok = ready == want;
	json_t *status, *spec = json_object_get(smcp, "spec"), *applied = json_deep_copy(spec);

	without_effect(smcp, &no_effect);
	mesh_buf_str(&message, "All gateways are set up");
	if (no_effect.len)
		mesh_buf_printf(&message, "; accepted, but without effect in this mesh: spec.%s", no_effect.data);
	if (!json_is_object(applied)) {
		json_decref(applied);
		applied = json_object();
	}
	if (!json_object_get(applied, "template"))
		json_object_set_new(applied, "template", json_string("default"));
	if (!json_object_get(applied, "version"))
		json_object_set_new(applied, "version", json_string("v1.1"));
	status = json_pack("{s:I, s:s, s:o, s:{s:o}, s:o, s:[o, o, o]}", "observedGeneration",
			   mesh_control_generation(smcp), "reconciledVersion", MESH_VERSION, "lastAppliedConfiguration",
			   applied, "annotations", "readyComponentCount", json_sprintf("%zu/%zu", ready, want),
			   "components", components, "conditions",
			   mesh_control_condition(smcp, "Installed", true, "InstallSuccessful",
						  "Successfully installed all mesh components"),
			   mesh_control_condition(smcp, "Reconciled", true, "InstallSuccessful", message.data),
			   mesh_control_condition(smcp, "Ready", ok, ok ? "ComponentsReady" : "ComponentsNotReady",
						  ok ? "All component deployments are Available"
						     : "Some component deployments are not available yet"));
	mesh_cache_status(cache, MESH_CONTROL_SMCP, smcp, status);
}

static void reconcile_plane(struct mesh_cache *cache, const json_t *smcp, const struct mesh_control_opts *opts)
{
	json_t *components = json_array();
	size_t want = 0, ready = 0;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(gateways); i++) {
		const struct gateway_row *row = &gateways[i];
		const json_t *deployment;
		bool ok;

		if (!gateway_enabled(smcp, row->name))
			continue;
		ensure_rbac(cache, smcp, row);
		mesh_cache_ensure(cache, MESH_CONTROL_SERVICE, owned(gateway_service(row), smcp));
		ensure_deployment(cache, smcp, row, opts);
		if (row->route)
			mesh_cache_ensure(cache, MESH_CONTROL_ROUTE, owned(gateway_route(row, opts), smcp));
		deployment = mesh_cache_get(cache, MESH_CONTROL_DEPLOYMENT, mesh_control_ns(smcp), row->name);
		ok = deployment && deployment_ready(deployment);
		want++;
		ready += ok;
		json_array_append_new(components, component(smcp, row, ok));
	}
	plane_status(cache, smcp, want, ready, components);
}

/* Whether the control plane an object belongs to is there and wants it. */
static bool still_wanted(struct mesh_cache *cache, const json_t *obj)
{
	json_t *owner = json_array_get(json_object_get(json_object_get(obj, "metadata"), "ownerReferences"), 0);
	const char *uid = json_string_value(json_object_get(owner, "uid"));
	const char *name = json_string_value(json_object_get(owner, "name"));
	const json_t *smcp;

	if (!uid || !name)
		return true;
	smcp = mesh_cache_get(cache, MESH_CONTROL_SMCP, mesh_control_ns(obj), name);
	if (!smcp || strcmp(mesh_control_uid(smcp), uid) != 0)
		return false;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(gateways); i++)
		if (strncmp(mesh_control_name(obj), gateways[i].name, strlen(gateways[i].name)) == 0)
			return gateway_enabled(smcp, gateways[i].name);
	return true;
}

static void remove_unwanted(struct mesh_cache *cache)
{
	static const enum mesh_control_kind kinds[] = {MESH_CONTROL_DEPLOYMENT,      MESH_CONTROL_SERVICE,
						       MESH_CONTROL_SERVICE_ACCOUNT, MESH_CONTROL_ROLE,
						       MESH_CONTROL_ROLE_BINDING,    MESH_CONTROL_ROUTE};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(kinds); i++)
		mesh_map_each (e, mesh_cache_all(cache, kinds[i]))
			if (!still_wanted(cache, e->value))
				mesh_cache_delete(cache, kinds[i], e->value);
}

/* Times are RFC 3339 in UTC: text order is time order. */
static bool is_older(const json_t *a, const json_t *b)
{
	const char *at = json_string_value(json_object_get(json_object_get(a, "metadata"), "creationTimestamp"));
	const char *bt = json_string_value(json_object_get(json_object_get(b, "metadata"), "creationTimestamp"));
	int c = strcmp(at ? at : "", bt ? bt : "");

	return c ? c < 0 : strcmp(mesh_control_name(a), mesh_control_name(b)) < 0;
}

const json_t *mesh_control_plane_of(struct mesh_cache *cache, const char *ns)
{
	const json_t *oldest = NULL;

	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_SMCP))
		if (strcmp(mesh_control_ns(e->value), ns) == 0 && (!oldest || is_older(e->value, oldest)))
			oldest = e->value;
	return oldest;
}

/* Two would fight over the same gateways. */
static void refuse_plane(struct mesh_cache *cache, const json_t *smcp)
{
	mesh_cache_status(cache, MESH_CONTROL_SMCP, smcp,
			  json_pack("{s:I, s:[o, o]}", "observedGeneration", mesh_control_generation(smcp),
				    "conditions",
				    mesh_control_condition(smcp, "Reconciled", false, "MultipleControlPlanes",
							   "The namespace has an older ServiceMeshControlPlane"),
				    mesh_control_condition(smcp, "Ready", false, "MultipleControlPlanes",
							   "The namespace has an older ServiceMeshControlPlane")));
}

void mesh_control_planes(struct mesh_cache *cache, const struct mesh_control_opts *opts)
{
	const struct mesh_map *all = mesh_cache_all(cache, MESH_CONTROL_SMCP);

	if (all->count)
		ensure_cluster_role(cache);
	mesh_map_each (e, all) {
		if (json_object_get(json_object_get(e->value, "metadata"), "deletionTimestamp"))
			continue;
		if (mesh_control_plane_of(cache, mesh_control_ns(e->value)) == e->value)
			reconcile_plane(cache, e->value, opts);
		else
			refuse_plane(cache, e->value);
	}
	remove_unwanted(cache);
}
