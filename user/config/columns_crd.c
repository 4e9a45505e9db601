/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns by JSON path, as their CRDs have them, and the paths' evaluation.
 */
#include "config/columns.h"

#include "core/slice.h"

static const char created[] = ".metadata.creationTimestamp";

#define AGE                                                                                                            \
	{                                                                                                              \
		"Age", "date", "Time since it was made.", 0, created, NULL                                             \
	}

const struct mesh_column mesh_columns_age[] = {AGE, {.name = NULL}};

const struct mesh_column mesh_columns_virtual_service[] = {
	{"Gateways", "string", "Gateways that serve it.", 0, ".spec.gateways", NULL},
	{"Hosts", "string", "Hosts that it is for.", 0, ".spec.hosts", NULL},
	AGE,
	{.name = NULL},
};

const struct mesh_column mesh_columns_destination_rule[] = {
	{"Host", "string", "Service that it is for.", 0, ".spec.host", NULL},
	AGE,
	{.name = NULL},
};

const struct mesh_column mesh_columns_service_entry[] = {
	{"Hosts", "string", "Hosts that it adds.", 0, ".spec.hosts", NULL},
	{"Location", "string", "Inside the mesh or outside.", 0, ".spec.location", NULL},
	{"Resolution", "string", "How its addresses are found.", 0, ".spec.resolution", NULL},
	AGE,
	{.name = NULL},
};

const struct mesh_column mesh_columns_workload_entry[] = {
	AGE,
	{"Address", "string", "Where the workload is.", 0, ".spec.address", NULL},
	{.name = NULL},
};

const struct mesh_column mesh_columns_authorization_policy[] = {
	{"Action", "string", "What is done with what matches.", 0, ".spec.action", NULL},
	AGE,
	{.name = NULL},
};

const struct mesh_column mesh_columns_peer_authentication[] = {
	{"Mode", "string", "Whether mutual TLS is wanted.", 0, ".spec.mtls.mode", NULL},
	AGE,
	{.name = NULL},
};

const struct mesh_column mesh_columns_control_plane[] = {
	{"Ready", "string", "Components that are ready, of all.", 0, ".status.annotations.readyComponentCount", NULL},
	{"Status", "string", "How far it is.", 0, ".status.conditions[?(@.type==\"Reconciled\")].reason", NULL},
	{"Template", "string", "Template that it is made from.", 0, ".status.lastAppliedConfiguration.template", NULL},
	{"Version", "string", "Version of the mesh.", 0, ".status.lastAppliedConfiguration.version", NULL},
	AGE,
	{"Image HUB", "string", "Where images come from.", 1, ".status.lastAppliedConfiguration.istio.global.hub",
	 NULL},
	{.name = NULL},
};

const struct mesh_column mesh_columns_member_roll[] = {
	{"Ready", "string", "Members that are configured, of all.", 0, ".status.annotations.configuredMemberCount",
	 NULL},
	{"Status", "string", "How far it is.", 0, ".status.conditions[?(@.type==\"Ready\")].reason", NULL},
	AGE,
	{"Members", "string", "Its namespaces.", 1, ".status.members", NULL},
	{.name = NULL},
};

const struct mesh_column mesh_columns_member[] = {
	{"Control Plane", "string", "The mesh that it joins.", 0, ".status.annotations.controlPlaneRef", NULL},
	{"Ready", "string", "Whether it has joined.", 0, ".status.conditions[?(@.type==\"Ready\")].status", NULL},
	AGE,
	{.name = NULL},
};

const struct mesh_column mesh_columns_route[] = {
	{"Host/Port", "string", "Host name outside.", 0, ".spec.host", NULL},
	{"Path", "string", "How the path must begin.", 0, ".spec.path", NULL},
	{"Services", "string", "Where requests go.", 0, ".spec.to.name", NULL},
	{"Port", "string", "Port of the service.", 0, ".spec.port.targetPort", NULL},
	{"Termination", "string", "Where TLS ends.", 0, ".spec.tls.termination", NULL},
	{"Wildcard", "string", "Whether subdomains are served.", 0, ".spec.wildcardPolicy", NULL},
	{.name = NULL},
};

/* "?(@.type==\"Ready\")" against each item; the first that matches. */
static const json_t *filter(const json_t *list, struct mesh_slice expr)
{
	struct mesh_slice key, value;
	size_t i;
	json_t *item;

	if (!mesh_slice_starts(expr, MESH_SLICE("?(@.")) || !mesh_slice_ends(expr, MESH_SLICE("\")")))
		return NULL;
	value = mesh_slice_of(expr.ptr + 4, expr.len - 6);
	if (!mesh_slice_split(&value, '=', &key) || !mesh_slice_starts(value, MESH_SLICE("=\"")))
		return NULL;
	value = mesh_slice_of(value.ptr + 2, value.len - 2);
	json_array_foreach(list, i, item)
	{
		const json_t *have = json_object_getn(item, key.ptr, key.len);

		if (json_is_string(have) && mesh_slice_eq(mesh_slice_str(json_string_value(have)), value))
			return item;
	}
	return NULL;
}

static const json_t *step(const json_t *obj, const char **path)
{
	const char *p = *path;
	size_t len;

	if (*p == '.') {
		p++;
		len = strcspn(p, ".[");
		*path = p + len;
		return len ? json_object_getn(obj, p, len) : obj;
	}
	len = strcspn(p, "]");
	*path = p[len] ? p + len + 1 : p + len;
	return filter(obj, mesh_slice_of(p + 1, len ? len - 1 : 0));
}

json_t *mesh_json_path(const json_t *obj, const char *path)
{
	char *text;
	json_t *v;

	while (obj && *path)
		obj = step(obj, &path);
	if (!obj)
		return json_null();
	if (!json_is_array(obj) && !json_is_object(obj))
		return json_copy((json_t *)obj);
	text = json_dumps(obj, JSON_COMPACT);
	v = text ? json_string(text) : json_null();
	free(text);
	return v;
}
