/* SPDX-License-Identifier: Apache-2.0 */
#include "control/gateways.h"

#include "config/condition.h"
#include "core/buf.h"
#include "core/mem.h"
#include "core/vec.h"
#include "core/version.h"
#include "model/names.h"

#include <string.h>

json_t *mesh_control_condition(const json_t *obj, const char *type, bool ok, const char *reason, const char *message)
{
	const json_t *before = mesh_condition_find(obj, type);
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

/* Who an object belongs to goes in its metadata: when the control plane goes, so does the object. */
static json_t *owned(json_t *obj, const json_t *smcp)
{
	json_t *meta = json_object_get(obj, "metadata"), *labels = json_object_get(meta, "labels");

	json_object_set_new(meta, "namespace", json_string(mesh_control_ns(smcp)));
	if (!labels)
		json_object_set_new(meta, "labels", labels = json_object());
	json_object_set_new(labels, "maistra.io/owner", json_string(mesh_control_ns(smcp)));
	json_object_set_new(labels, "app.kubernetes.io/name", json_string("sockmesh"));
	json_object_set_new(labels, "app.kubernetes.io/component", json_string("gateway"));
	json_object_set_new(meta, "ownerReferences",
			    json_pack("[{s:s, s:s, s:s, s:s, s:b, s:b}]", "apiVersion", "maistra.io/v1", "kind",
				      "ServiceMeshControlPlane", "name", mesh_control_name(smcp), "uid",
				      mesh_control_uid(smcp), "controller", 1, "blockOwnerDeletion", 0));
	return obj;
}

/* What is of no namespace can have no owner: it is found, and removed, by its labels. */
static json_t *labelled(json_t *obj)
{
	json_object_set_new(json_object_get(obj, "metadata"), "labels",
			    json_pack("{s:s, s:s}", "app.kubernetes.io/name", "sockmesh", "app.kubernetes.io/component",
				      "gateway"));
	return obj;
}

/* One control plane in the making: its objects, and what stands in the way. */
struct plane {
	struct mesh_cache *cache;
	const json_t *smcp;
	const struct mesh_control_opts *opts;
	struct mesh_buf problems; /* "; "-separated */
};

static void note_problem(struct plane *p, enum mesh_control_kind kind, const char *ns, const char *name)
{
	const char *problem = mesh_cache_problem(p->cache, kind, ns, name);

	if (problem)
		mesh_buf_printf(&p->problems, "%s%s", p->problems.len ? "; " : "", problem);
}

static void ensure(struct plane *p, enum mesh_control_kind kind, json_t *want)
{
	mesh_auto_free char *ns = mesh_xstrdup(mesh_control_ns(want)), *name = mesh_xstrdup(mesh_control_name(want));

	if (!mesh_cache_ensure(p->cache, kind, want))
		note_problem(p, kind, ns, name);
}

static void ensure_owned(struct plane *p, enum mesh_control_kind kind, json_t *want)
{
	ensure(p, kind, owned(want, p->smcp));
}

/* One that came with the installation is left to it. */
static void ensure_cluster_role(struct plane *p)
{
	const json_t *have = mesh_cache_get(p->cache, MESH_CONTROL_CLUSTER_ROLE, NULL, "sockmesh-gateway");
	json_t *labels = json_object_get(json_object_get(have, "metadata"), "labels");
	const char *by = json_string_value(json_object_get(labels, "app.kubernetes.io/managed-by"));

	if (!have || (by && strcmp(by, "sockmesh-control") == 0))
		ensure(p, MESH_CONTROL_CLUSTER_ROLE, labelled(mesh_gateway_cluster_role()));
}

static void ensure_rbac(struct plane *p, const struct mesh_gateway_row *row)
{
	const char *ns = mesh_control_ns(p->smcp);

	ensure_owned(p, MESH_CONTROL_SERVICE_ACCOUNT, mesh_gateway_account(row));
	ensure_owned(p, MESH_CONTROL_ROLE, mesh_gateway_role(row));
	ensure_cluster_role(p);
	/* An API server wants to see what is bound. */
	if (mesh_cache_get(p->cache, MESH_CONTROL_ROLE, ns, row->name))
		ensure_owned(p, MESH_CONTROL_ROLE_BINDING, mesh_gateway_role_binding(row, ns));
	if (mesh_cache_get(p->cache, MESH_CONTROL_CLUSTER_ROLE, NULL, "sockmesh-gateway"))
		ensure(p, MESH_CONTROL_CLUSTER_ROLE_BINDING, labelled(mesh_gateway_cluster_binding(row, ns)));
}

/* The autoscaler that has the gateway's Deployment, whoever made it; or NULL. */
static const json_t *autoscaler_of(struct plane *p, const struct mesh_gateway_row *row)
{
	mesh_map_each (e, mesh_cache_all(p->cache, MESH_CONTROL_AUTOSCALER)) {
		json_t *target = json_object_get(json_object_get(e->value, "spec"), "scaleTargetRef");
		const char *kind = json_string_value(json_object_get(target, "kind"));
		const char *name = json_string_value(json_object_get(target, "name"));

		if (kind && name && strcmp(kind, "Deployment") == 0 && strcmp(name, row->name) == 0)
			return e->value;
	}
	return NULL;
}

static bool is_managed(const json_t *obj)
{
	json_t *labels = json_object_get(json_object_get(obj, "metadata"), "labels");
	const char *by = json_string_value(json_object_get(labels, "app.kubernetes.io/managed-by"));

	return by && strcmp(by, "sockmesh-control") == 0;
}

/* One of ours, unless there is somebody else's. */
static bool ensure_autoscaler(struct plane *p, const struct mesh_gateway_row *row)
{
	const json_t *have = autoscaler_of(p, row);

	if (have && !is_managed(have))
		return true;
	if (mesh_gateway_autoscaled(p->smcp, row) && mesh_cache_served(p->cache, MESH_CONTROL_AUTOSCALER))
		ensure_owned(p, MESH_CONTROL_AUTOSCALER, mesh_gateway_autoscaler(p->smcp, row));
	else if (have)
		mesh_cache_delete(p->cache, MESH_CONTROL_AUTOSCALER, have);
	return mesh_gateway_autoscaled(p->smcp, row);
}

static void ensure_gateway(struct plane *p, const struct mesh_gateway_row *row)
{
	const json_t *have = mesh_cache_get(p->cache, MESH_CONTROL_DEPLOYMENT, mesh_control_ns(p->smcp), row->name);
	bool scaled;

	ensure_rbac(p, row);
	ensure_owned(p, MESH_CONTROL_SERVICE, mesh_gateway_service(p->smcp, row));
	scaled = ensure_autoscaler(p, row);
	ensure_owned(p, MESH_CONTROL_DEPLOYMENT, mesh_gateway_deployment(p->smcp, row, p->opts, have, scaled));
	if (row->route && mesh_cache_served(p->cache, MESH_CONTROL_ROUTE))
		ensure_owned(p, MESH_CONTROL_ROUTE, mesh_gateway_route(row, p->opts));
}

/* As the number of pods that the newest template has; status is of an older generation: none. */
static json_int_t deployment_count(const json_t *deployment, const char *key)
{
	json_t *status = json_object_get(deployment, "status");

	if (json_integer_value(json_object_get(status, "observedGeneration")) < mesh_control_generation(deployment))
		return -1;
	return json_integer_value(json_object_get(status, key));
}

static bool deployment_ready(const json_t *deployment)
{
	json_int_t want = json_integer_value(json_object_get(json_object_get(deployment, "spec"), "replicas"));

	return deployment && json_object_get(deployment, "status") &&
	       deployment_count(deployment, "readyReplicas") >= want;
}

/* All its pods are of the newest template, and none of an older one is left. */
static bool deployment_rolled_out(const json_t *deployment)
{
	return deployment_ready(deployment) &&
	       deployment_count(deployment, "updatedReplicas") >= deployment_count(deployment, "replicas");
}

static void name_part(struct mesh_buf *out, const char *name, const json_t *v)
{
	if (v && !mesh_gateway_says_nothing(v))
		mesh_buf_printf(out, "%s, ", name);
}

/* What the original's users set and what changes nothing here: told, not hidden. */
static void without_effect(const json_t *smcp, struct mesh_buf *out)
{
	static const char *const parts[] = {"mixer",   "pilot",    "kiali",
					    "tracing", "grafana",  "prometheus",
					    "galley",  "security", "sidecarInjectorWebhook"};
	json_t *spec = json_object_get(smcp, "spec"), *istio = json_object_get(spec, "istio");
	json_t *global = json_object_get(istio, "global");

	name_part(out, "threeScale", json_object_get(spec, "threeScale"));
	name_part(out, "istio.global.mtls", json_object_get(global, "mtls"));
	name_part(out, "istio.global.proxy", json_object_get(global, "proxy"));
	for (size_t i = 0; i < MESH_ARRAY_SIZE(parts); i++) {
		mesh_auto_free char *name = mesh_xasprintf("istio.%s", parts[i]);

		name_part(out, name, json_object_get(istio, parts[i]));
	}
	mesh_gateway_without_effect(smcp, out);
	if (out->len)
		out->len -= 2;
	if (out->data)
		out->data[out->len] = '\0';
}

static json_t *component(const struct mesh_gateway_row *row, bool ready)
{
	return mesh_json_format(
		"{\"resource\": \"istio/gateways/%s\", \"conditions\": [{\"type\": \"Ready\", \"status\": "
		"\"%s\"}]}",
		row->name, ready ? "True" : "False");
}

/* What came of a round, for the status. */
struct plane_result {
	size_t want, ready, rolled_out;
	json_t *components;
};

static json_t *applied_of(const json_t *smcp)
{
	json_t *applied = json_deep_copy(json_object_get(smcp, "spec"));

	if (!json_is_object(applied)) {
		json_decref(applied);
		applied = json_object();
	}
	if (!json_object_get(applied, "template"))
		json_object_set_new(applied, "template", json_string("default"));
	if (!json_object_get(applied, "version"))
		json_object_set_new(applied, "version", json_string("v1.1"));
	return applied;
}

static json_t *plane_conditions(const struct plane *p, const struct plane_result *r, bool ready)
{
	mesh_auto(mesh_buf_free) struct mesh_buf no_effect = {0}, message = {0};
	bool ok = p->problems.len == 0, in_force = r->rolled_out == r->want;
	const json_t *smcp = p->smcp;

	without_effect(smcp, &no_effect);
	mesh_buf_str(&message, ok ? "All gateways are set up" : p->problems.data);
	if (no_effect.len)
		mesh_buf_printf(&message, "; accepted, but without effect in this mesh: spec.%s", no_effect.data);
	return json_pack("[o, o, o, o]",
			 mesh_control_condition(smcp, "Installed", ok, ok ? "InstallSuccessful" : "InstallError",
						ok ? "Successfully installed all mesh components" : p->problems.data),
			 mesh_control_condition(smcp, "Reconciled", ok, ok ? "InstallSuccessful" : "ReconcileError",
						message.data),
			 mesh_control_condition(smcp, "Ready", ready, ready ? "ComponentsReady" : "ComponentsNotReady",
						ready ? "All component deployments are Available"
						      : "Some component deployments are not available yet"),
			 mesh_control_condition(smcp, "InForce", in_force && ok, in_force && ok ? "InForce" : "Pending",
						in_force && ok
							? "Every gateway's pods are as this object wants them"
							: "Some gateway's pods are not yet as this object wants them"));
}

static void plane_status(struct plane *p, const struct plane_result *r)
{
	bool ready = r->ready == r->want;

	mesh_cache_status(p->cache, MESH_CONTROL_SMCP, p->smcp,
			  json_pack("{s:I, s:s, s:o, s:{s:o}, s:o, s:o}", "observedGeneration",
				    mesh_control_generation(p->smcp), "reconciledVersion", mesh_version,
				    "lastAppliedConfiguration", applied_of(p->smcp), "annotations",
				    "readyComponentCount", json_sprintf("%zu/%zu", r->ready, r->want), "components",
				    r->components, "conditions", plane_conditions(p, r, ready)));
}

static void reconcile_plane(struct mesh_cache *cache, const json_t *smcp, const struct mesh_control_opts *opts)
{
	struct plane p = {.cache = cache, .smcp = smcp, .opts = opts};
	struct plane_result r = {.components = json_array()};

	for (size_t i = 0; i < MESH_GATEWAY_ROWS; i++) {
		const struct mesh_gateway_row *row = &mesh_gateway_rows[i];
		const json_t *deployment;

		if (!mesh_gateway_enabled(smcp, row))
			continue;
		ensure_gateway(&p, row);
		deployment = mesh_cache_get(cache, MESH_CONTROL_DEPLOYMENT, mesh_control_ns(smcp), row->name);
		r.want++;
		r.ready += deployment_ready(deployment);
		r.rolled_out += deployment_rolled_out(deployment);
		json_array_append_new(r.components, component(row, deployment_ready(deployment)));
	}
	plane_status(&p, &r);
	mesh_buf_free(&p.problems);
}

static const struct mesh_gateway_row *row_of(const char *name)
{
	for (size_t i = 0; i < MESH_GATEWAY_ROWS; i++)
		if (strcmp(name, mesh_gateway_rows[i].name) == 0)
			return &mesh_gateway_rows[i];
	return NULL;
}

/*
 * Whether the control plane that an object belongs to wants it. What belongs to one that is gone is the garbage
 * collector's, which knows for sure that it is gone.
 */
static bool still_wanted(struct mesh_cache *cache, const json_t *obj)
{
	json_t *owner = json_array_get(json_object_get(json_object_get(obj, "metadata"), "ownerReferences"), 0);
	const char *uid = json_string_value(json_object_get(owner, "uid"));
	const char *name = json_string_value(json_object_get(owner, "name"));
	const struct mesh_gateway_row *row = row_of(mesh_control_name(obj));
	const json_t *smcp = name ? mesh_cache_get(cache, MESH_CONTROL_SMCP, mesh_control_ns(obj), name) : NULL;

	if (!smcp || !uid || strcmp(mesh_control_uid(smcp), uid) != 0)
		return true;
	return row && mesh_gateway_enabled(smcp, row);
}

/* A binding of no namespace has no owner: it stays while some control plane wants its gateway. */
static bool binding_wanted(struct mesh_cache *cache, const json_t *binding)
{
	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_SMCP))
		for (size_t i = 0; i < MESH_GATEWAY_ROWS; i++) {
			const struct mesh_gateway_row *row = &mesh_gateway_rows[i];
			mesh_auto_free char *name =
				mesh_xasprintf("sockmesh-%s-%s", row->name, mesh_control_ns(e->value));

			if (strcmp(name, mesh_control_name(binding)) == 0 && mesh_gateway_enabled(e->value, row))
				return true;
		}
	return false;
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
	if (!mesh_cache_served(cache, MESH_CONTROL_SMCP)) /* for whatever reason: nothing follows from it */
		return;
	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_CLUSTER_ROLE_BINDING))
		if (!binding_wanted(cache, e->value))
			mesh_cache_delete(cache, MESH_CONTROL_CLUSTER_ROLE_BINDING, e->value);
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

static void refuse_plane(struct mesh_cache *cache, const json_t *smcp, const char *reason, const char *message)
{
	mesh_cache_status(cache, MESH_CONTROL_SMCP, smcp,
			  json_pack("{s:I, s:[o, o]}", "observedGeneration", mesh_control_generation(smcp),
				    "conditions", mesh_control_condition(smcp, "Reconciled", false, reason, message),
				    mesh_control_condition(smcp, "Ready", false, reason, message)));
}

void mesh_control_planes(struct mesh_cache *cache, const struct mesh_control_opts *opts)
{
	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_SMCP)) {
		if (json_object_get(json_object_get(e->value, "metadata"), "deletionTimestamp"))
			continue;
		if (strcmp(mesh_control_ns(e->value), MESH_ROOT_NAMESPACE) != 0)
			refuse_plane(cache, e->value, "UnsupportedNamespace",
				     "This mesh's control plane is in namespace " MESH_ROOT_NAMESPACE);
		else if (mesh_control_plane_of(cache, mesh_control_ns(e->value)) != e->value) /* two would fight */
			refuse_plane(cache, e->value, "MultipleControlPlanes",
				     "The namespace has an older ServiceMeshControlPlane");
		else
			reconcile_plane(cache, e->value, opts);
	}
	remove_unwanted(cache);
}
