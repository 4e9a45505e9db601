/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateways.h"

#include "core/mem.h"

#include <inttypes.h>
#include <string.h>

/* On a Deployment: what its template was made from, and the number of pods that was set with it. */
#define SPEC_HASH "sockmesh.io/spec"
#define REPLICAS  "sockmesh.io/replicas"

const struct mesh_gateway_row mesh_gateway_rows[MESH_GATEWAY_ROWS] = {
	{"istio-ingressgateway", "ingressgateway", "LoadBalancer", true},
	{"istio-egressgateway", "egressgateway", "ClusterIP", false},
};

const json_t *mesh_gateway_settings(const json_t *smcp, const struct mesh_gateway_row *row)
{
	const json_t *o = json_object_get(json_object_get(smcp, "spec"), "istio");

	return json_object_get(json_object_get(o, "gateways"), row->name);
}

bool mesh_gateway_enabled(const json_t *smcp, const struct mesh_gateway_row *row)
{
	return !json_is_false(json_object_get(mesh_gateway_settings(smcp, row), "enabled"));
}

bool mesh_gateway_autoscaled(const json_t *smcp, const struct mesh_gateway_row *row)
{
	return json_is_true(json_object_get(mesh_gateway_settings(smcp, row), "autoscaleEnabled"));
}

static json_int_t number(const json_t *settings, const char *key, json_int_t fallback)
{
	json_t *v = json_object_get(settings, key);

	return json_is_integer(v) && json_integer_value(v) >= 0 ? json_integer_value(v) : fallback;
}

/* --- who the pods are, and what they may do --- */

json_t *mesh_gateway_account(const struct mesh_gateway_row *row)
{
	return mesh_json_format("{\"metadata\": {\"name\": \"%s\"}}", row->name);
}

/* Its own Lease says how far the configuration is in force there. */
json_t *mesh_gateway_role(const struct mesh_gateway_row *row)
{
	return mesh_json_format("{\"metadata\": {\"name\": \"%s\"}, \"rules\": ["
				"{\"apiGroups\": [\"coordination.k8s.io\"], \"resources\": [\"leases\"], "
				"\"verbs\": [\"get\", \"create\", \"patch\", \"delete\"]}]}",
				row->name);
}

json_t *mesh_gateway_role_binding(const struct mesh_gateway_row *row, const char *ns)
{
	return mesh_json_format("{\"metadata\": {\"name\": \"%s\"}, \"roleRef\": {\"apiGroup\": "
				"\"rbac.authorization.k8s.io\", \"kind\": \"Role\", \"name\": \"%s\"}, \"subjects\": "
				"[{\"kind\": \"ServiceAccount\", \"name\": \"%s\", \"namespace\": \"%s\"}]}",
				row->name, row->name, row->name, ns);
}

/* Where requests may go, and by which rules: read, in all namespaces. What mesh_feed_new() watches for a gateway. */
json_t *mesh_gateway_cluster_role(void)
{
	return mesh_json_format(
		"{\"metadata\": {\"name\": \"sockmesh-gateway\"}, \"rules\": ["
		"{\"apiGroups\": [\"\"], \"resources\": [\"pods\", \"services\"], "
		"\"verbs\": [\"list\", \"watch\"]},"
		"{\"apiGroups\": [\"discovery.k8s.io\"], \"resources\": [\"endpointslices\"], "
		"\"verbs\": [\"list\", \"watch\"]},"
		"{\"apiGroups\": [\"networking.istio.io\"], \"resources\": [\"virtualservices\", "
		"\"destinationrules\", \"serviceentries\", \"gateways\"], \"verbs\": [\"list\", \"watch\"]},"
		"{\"apiGroups\": [\"maistra.io\"], \"resources\": [\"servicemeshmemberrolls\"], "
		"\"verbs\": [\"list\", \"watch\"]}]}");
}

json_t *mesh_gateway_cluster_binding(const struct mesh_gateway_row *row, const char *ns)
{
	return mesh_json_format("{\"metadata\": {\"name\": \"sockmesh-%s-%s\"}, \"roleRef\": {\"apiGroup\": "
				"\"rbac.authorization.k8s.io\", \"kind\": \"ClusterRole\", \"name\": "
				"\"sockmesh-gateway\"}, \"subjects\": [{\"kind\": \"ServiceAccount\", "
				"\"name\": \"%s\", \"namespace\": \"%s\"}]}",
				row->name, ns, row->name, ns);
}

/* --- the pods --- */

static json_t *container(const json_t *settings, const struct mesh_control_opts *opts)
{
	json_t *c = mesh_json_format(
		"{\"name\": \"istio-proxy\", \"imagePullPolicy\": \"IfNotPresent\", \"args\": [\"gateway\"], "
		"\"env\": [{\"name\": \"POD_NAME\", \"valueFrom\": {\"fieldRef\": {\"apiVersion\": \"v1\", "
		"\"fieldPath\": \"metadata.name\"}}}, {\"name\": \"POD_NAMESPACE\", \"valueFrom\": {\"fieldRef\": "
		"{\"apiVersion\": \"v1\", \"fieldPath\": \"metadata.namespace\"}}}], \"ports\": ["
		"{\"name\": \"http2\", \"containerPort\": 8080, \"protocol\": \"TCP\"}, "
		"{\"name\": \"https\", \"containerPort\": 8443, \"protocol\": \"TCP\"}, "
		"{\"name\": \"status-port\", \"containerPort\": 15021, \"protocol\": \"TCP\"}], \"readinessProbe\": {"
		"\"httpGet\": {\"path\": \"/healthz/ready\", \"port\": 15021, \"scheme\": \"HTTP\"}, "
		"\"periodSeconds\": 1, \"timeoutSeconds\": 3, \"failureThreshold\": 10, \"successThreshold\": 1}, "
		"\"livenessProbe\": {\"httpGet\": {\"path\": \"/healthz\", \"port\": 15021, \"scheme\": \"HTTP\"}, "
		"\"initialDelaySeconds\": 5, \"periodSeconds\": 10, \"timeoutSeconds\": 5, \"failureThreshold\": 3, "
		"\"successThreshold\": 1}}");
	json_t *resources = json_object_get(settings, "resources");

	json_object_set_new(c, "image", json_string(opts->image));
	if (json_is_object(resources))
		json_object_set(c, "resources", resources);
	else
		json_object_set_new(c, "resources",
				    mesh_json_format("{\"requests\": {\"cpu\": \"50m\", \"memory\": \"48Mi\"}}"));
	if (!opts->embedded) /* a lab's pods are processes of the machine, run from anywhere */
		json_object_set_new(c, "securityContext",
				    mesh_json_format("{\"allowPrivilegeEscalation\": false, "
						     "\"readOnlyRootFilesystem\": true, \"capabilities\": {\"drop\": "
						     "[\"ALL\"]}}"));
	return c;
}

static void place(json_t *pod, const json_t *settings, const char *key, bool object)
{
	json_t *v = json_object_get(settings, key);

	if (object ? json_is_object(v) : json_is_array(v))
		json_object_set(pod, key, v);
	else
		json_object_set_new(pod, key, json_null());
}

static json_t *pod_spec(const json_t *settings, const struct mesh_gateway_row *row,
			const struct mesh_control_opts *opts)
{
	json_t *pod =
		mesh_json_format("{\"serviceAccountName\": \"%s\", \"terminationGracePeriodSeconds\": 30, "
				 "\"enableServiceLinks\": false, \"topologySpreadConstraints\": [{\"maxSkew\": "
				 "1, \"topologyKey\": \"kubernetes.io/hostname\", \"whenUnsatisfiable\": "
				 "\"ScheduleAnyway\", \"labelSelector\": {\"matchLabels\": {\"istio\": \"%s\"}}}]}",
				 row->name, row->label);

	json_object_set_new(pod, "containers", json_pack("[o]", container(settings, opts)));
	place(pod, settings, "nodeSelector", true);
	place(pod, settings, "tolerations", false);
	if (!opts->embedded)
		json_object_set_new(pod, "securityContext",
				    mesh_json_format("{\"runAsNonRoot\": true, \"runAsUser\": 65532, \"runAsGroup\": "
						     "65532, \"seccompProfile\": {\"type\": \"RuntimeDefault\"}}"));
	return pod;
}

/* FNV-1a, the same in every process: it is kept in the API. */
static json_t *hash_of(const json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
	uint64_t h = 0xcbf29ce484222325ULL;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		h = (h ^ *p) * 0x100000001b3ULL;
	free(text);
	return json_sprintf("%016" PRIx64, h);
}

static void set_replicas(json_t *deployment, const json_t *smcp, const struct mesh_gateway_row *row, const json_t *have,
			 bool scaled)
{
	const json_t *settings = mesh_gateway_settings(smcp, row);
	json_int_t asked = number(settings, "replicaCount", -1);
	bool automatic = scaled || mesh_gateway_autoscaled(smcp, row);
	json_t *notes = json_object_get(json_object_get(deployment, "metadata"), "annotations"), *before;
	json_t *text = asked >= 0 ? json_sprintf("%" JSON_INTEGER_FORMAT, asked) : json_null();
	bool set = !have;

	before = json_object_get(json_object_get(json_object_get(have, "metadata"), "annotations"), REPLICAS);
	if (have && !automatic && asked >= 0)
		set = !before || !json_equal(before, text);
	if (asked < 0)
		asked = automatic ? number(settings, "autoscaleMin", 1) : 1;
	if (set)
		json_object_set_new(json_object_get(deployment, "spec"), "replicas", json_integer(asked));
	json_object_set_new(notes, REPLICAS, text);
}

json_t *mesh_gateway_deployment(const json_t *smcp, const struct mesh_gateway_row *row,
				const struct mesh_control_opts *opts, const json_t *have, bool scaled)
{
	json_t *d = mesh_json_format(
		"{\"metadata\": {\"name\": \"%s\", \"annotations\": {}, \"labels\": {\"app\": \"%s\", \"istio\": "
		"\"%s\"}}, \"spec\": {\"strategy\": {\"type\": \"RollingUpdate\", \"rollingUpdate\": "
		"{\"maxUnavailable\": 0, \"maxSurge\": 1}}, \"selector\": {\"matchLabels\": {\"app\": \"%s\", "
		"\"istio\": \"%s\"}}, \"template\": {\"metadata\": {\"labels\": {\"app\": \"%s\", \"istio\": \"%s\", "
		"\"app.kubernetes.io/name\": \"sockmesh\", \"app.kubernetes.io/component\": \"gateway\"}}}}}",
		row->name, row->name, row->label, row->name, row->label, row->name, row->label);
	json_t *spec = json_object_get(d, "spec");

	json_object_set_new(json_object_get(spec, "template"), "spec",
			    pod_spec(mesh_gateway_settings(smcp, row), row, opts));
	/* With another hash all of it is written again, so that what a setting no longer says goes. */
	json_object_set_new(json_object_get(json_object_get(d, "metadata"), "annotations"), SPEC_HASH, hash_of(spec));
	set_replicas(d, smcp, row, have, scaled);
	return d;
}

/* --- what leads to them --- */

json_t *mesh_gateway_service(const json_t *smcp, const struct mesh_gateway_row *row)
{
	const char *type = json_string_value(json_object_get(mesh_gateway_settings(smcp, row), "type"));
	bool known = type && (strcmp(type, "LoadBalancer") == 0 || strcmp(type, "NodePort") == 0 ||
			      strcmp(type, "ClusterIP") == 0);

	return mesh_json_format(
		"{\"metadata\": {\"name\": \"%s\", \"labels\": {\"app\": \"%s\", \"istio\": \"%s\"}}, \"spec\": {"
		"\"type\": \"%s\", \"ipFamilyPolicy\": \"PreferDualStack\", \"selector\": {\"app\": \"%s\", \"istio\": "
		"\"%s\"}, \"ports\": ["
		"{\"name\": \"status-port\", \"port\": 15021, \"protocol\": \"TCP\", \"targetPort\": 15021}, "
		"{\"name\": \"http2\", \"port\": 80, \"protocol\": \"TCP\", \"targetPort\": 8080}, "
		"{\"name\": \"https\", \"port\": 443, \"protocol\": \"TCP\", \"targetPort\": 8443}]}}",
		row->name, row->name, row->label, known ? type : row->service_type, row->name, row->label);
}

json_t *mesh_gateway_autoscaler(const json_t *smcp, const struct mesh_gateway_row *row)
{
	const json_t *settings = mesh_gateway_settings(smcp, row);
	json_int_t min = MESH_MAX(number(settings, "autoscaleMin", 1), (json_int_t)1);
	json_int_t max = MESH_MAX(number(settings, "autoscaleMax", 5), min);
	json_int_t cpu = number(json_object_get(settings, "cpu"), "targetAverageUtilization", 80);

	return mesh_json_format(
		"{\"metadata\": {\"name\": \"%s\", \"labels\": {\"app\": \"%s\", \"istio\": \"%s\"}}, \"spec\": "
		"{\"scaleTargetRef\": {\"apiVersion\": \"apps/v1\", \"kind\": \"Deployment\", \"name\": \"%s\"}, "
		"\"minReplicas\": %" JSON_INTEGER_FORMAT ", \"maxReplicas\": %" JSON_INTEGER_FORMAT
		", \"metrics\": [{\"type\": \"Resource\", \"resource\": {\"name\": \"cpu\", \"target\": {\"type\": "
		"\"Utilization\", \"averageUtilization\": %" JSON_INTEGER_FORMAT "}}}]}}",
		row->name, row->name, row->label, row->name, min, max, MESH_MAX(cpu, (json_int_t)1));
}

json_t *mesh_gateway_route(const struct mesh_gateway_row *row, const struct mesh_control_opts *opts)
{
	json_t *route = mesh_json_format(
		"{\"metadata\": {\"name\": \"%s\"}, \"spec\": {\"port\": {\"targetPort\": \"http2\"}, \"to\": "
		"{\"kind\": \"Service\", \"name\": \"%s\", \"weight\": 100}, \"wildcardPolicy\": \"None\"}}",
		row->name, row->name);

	if (opts->route_host)
		json_object_set_new(json_object_get(route, "spec"), "host", json_string(opts->route_host));
	return route;
}

/* --- what has no effect --- */

bool mesh_gateway_says_nothing(const json_t *v)
{
	return json_is_false(v) || json_is_null(v) || json_is_false(json_object_get(v, "enabled"));
}

static bool is_known(const char *key)
{
	static const char *const known[] = {
		"enabled",   "autoscaleEnabled", "autoscaleMin", "autoscaleMax", "replicaCount",
		"resources", "nodeSelector",     "tolerations",  "type",         "cpu"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(known); i++)
		if (strcmp(key, known[i]) == 0)
			return true;
	return false;
}

void mesh_gateway_without_effect(const json_t *smcp, struct mesh_buf *out)
{
	json_t *all = json_object_get(json_object_get(json_object_get(smcp, "spec"), "istio"), "gateways"), *one, *v;
	const char *name, *key;

	json_object_foreach(all, name, one)
	{
		bool ours = false;

		for (size_t i = 0; i < MESH_GATEWAY_ROWS; i++)
			ours |= strcmp(name, mesh_gateway_rows[i].name) == 0;
		if (!ours && !mesh_gateway_says_nothing(one) && strcmp(name, "enabled") != 0)
			mesh_buf_printf(out, "istio.gateways.%s, ", name);
		if (!ours)
			continue;
		json_object_foreach(one, key, v) if (!is_known(key) && !mesh_gateway_says_nothing(v))
			mesh_buf_printf(out, "istio.gateways.%s.%s, ", name, key);
	}
}
