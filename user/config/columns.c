/* SPDX-License-Identifier: Apache-2.0 */
#include "config/columns.h"

#include "config/cells.h"
#include "config/condition.h"
#include "config/decode.h"
#include "core/mem.h"

#include <inttypes.h>
#include <time.h>

json_t *mesh_cell_steal(struct mesh_buf *b)
{
	json_t *v = json_stringn(b->data ? b->data : "", b->len);

	mesh_buf_free(b);
	return v ? v : json_string("");
}

json_t *mesh_cell_text(const char *s, const char *otherwise)
{
	return json_string(s && *s ? s : otherwise);
}

void mesh_duration_text(int64_t s, struct mesh_buf *out)
{
	int64_t m = s / 60, h = s / 3600, d = h / 24, y = d / 365;

	if (s < -1)
		mesh_buf_str(out, "<invalid>");
	else if (s < 0)
		mesh_buf_str(out, "0s");
	else if (s < 120)
		mesh_buf_printf(out, "%" PRId64 "s", s);
	else if (m < 10 && s % 60)
		mesh_buf_printf(out, "%" PRId64 "m%" PRId64 "s", m, s % 60);
	else if (m < 180)
		mesh_buf_printf(out, "%" PRId64 "m", m);
	else if (h < 8 && m % 60)
		mesh_buf_printf(out, "%" PRId64 "h%" PRId64 "m", h, m % 60);
	else if (h < 48)
		mesh_buf_printf(out, "%" PRId64 "h", h);
	else if (h < 192 && h % 24)
		mesh_buf_printf(out, "%" PRId64 "d%" PRId64 "h", d, h % 24);
	else if (d < 365 * 2)
		mesh_buf_printf(out, "%" PRId64 "d", d);
	else if (d < 365 * 8 && d % 365)
		mesh_buf_printf(out, "%" PRId64 "y%" PRId64 "d", y, d % 365);
	else
		mesh_buf_printf(out, "%" PRId64 "y", y);
}

void mesh_since_text(const char *text, struct mesh_buf *out)
{
	int64_t t;

	if (!text || mesh_decode_time(text, &t) < 0)
		mesh_buf_str(out, text ? "<invalid>" : "<unknown>");
	else
		mesh_duration_text((int64_t)time(NULL) - t, out);
}

json_t *mesh_cell_since(const char *text)
{
	struct mesh_buf b = {0};

	mesh_since_text(text, &b);
	return mesh_cell_steal(&b);
}

json_t *mesh_cell_name(const json_t *obj)
{
	return mesh_cell_text(mesh_json_text(json_object_get(obj, "metadata"), "name"), "");
}

json_t *mesh_cell_age(const json_t *obj)
{
	return mesh_cell_since(mesh_json_text(json_object_get(obj, "metadata"), "creationTimestamp"));
}

static json_t *cell_created(const json_t *obj)
{
	const char *t = mesh_json_text(json_object_get(obj, "metadata"), "creationTimestamp");

	return t ? json_string(t) : json_null();
}

/* ---- lists of texts ---- */

void mesh_cell_add(struct mesh_buf *b, const char *sep, const char *part)
{
	if (b->len)
		mesh_buf_str(b, sep);
	mesh_buf_str(b, part);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "a=b,c=d" with sorted keys. */
static void labels_text(const json_t *labels, struct mesh_buf *out)
{
	size_t count = json_object_size(labels), n = 0;
	mesh_auto_free const char **keys = mesh_xcalloc(count + 1, sizeof(*keys));
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)labels, key, v) keys[n++] = key;
	qsort(keys, n, sizeof(*keys), by_text);
	for (size_t i = 0; i < n; i++) {
		const char *value = mesh_json_text(labels, keys[i]);

		mesh_cell_add(out, ",", keys[i]);
		mesh_buf_printf(out, "=%s", value ? value : "");
	}
}

json_t *mesh_cell_labels(const json_t *labels)
{
	struct mesh_buf b = {0};

	if (json_object_size(labels) == 0)
		return json_string("<none>");
	labels_text(labels, &b);
	return mesh_cell_steal(&b);
}

/* metav1.FormatLabelSelector: pairs, then expressions. */
static json_t *selector_cell(const json_t *selector)
{
	struct mesh_buf b = {0};
	size_t i, j;
	json_t *e, *v;

	labels_text(json_object_get(selector, "matchLabels"), &b);
	json_array_foreach(json_object_get(selector, "matchExpressions"), i, e)
	{
		const char *key = mesh_json_text(e, "key"), *op = mesh_json_text(e, "operator");
		struct mesh_buf values = {0};

		if (!key || !op)
			continue;
		json_array_foreach(json_object_get(e, "values"), j, v)
			mesh_cell_add(&values, ",", json_string_value(v) ? json_string_value(v) : "");
		mesh_cell_add(&b, ",", strcmp(op, "DoesNotExist") == 0 ? "!" : "");
		mesh_buf_str(&b, key);
		if (strcmp(op, "In") == 0 || strcmp(op, "NotIn") == 0)
			mesh_buf_printf(&b, " %s (%s)", op[0] == 'I' ? "in" : "notin", values.data ? values.data : "");
		mesh_buf_free(&values);
	}
	if (b.len == 0)
		mesh_buf_str(&b, "<none>");
	return mesh_cell_steal(&b);
}

static json_t *containers_cell(const json_t *obj, const char *field)
{
	const json_t *list = mesh_json_at(obj, "spec", "template", "spec", "containers", NULL);
	struct mesh_buf b = {0};
	size_t i;
	json_t *c;

	json_array_foreach(list, i, c)
	{
		const char *s = mesh_json_text(c, field);

		mesh_cell_add(&b, ",", s ? s : "");
	}
	return mesh_cell_steal(&b);
}

static json_int_t number_at(const json_t *obj, const char *a, const char *b)
{
	return json_integer_value(mesh_json_at(obj, a, b, NULL));
}

/* ---- namespaces, nodes ---- */

static json_t *cell_phase(const json_t *obj)
{
	return mesh_cell_text(json_string_value(mesh_json_at(obj, "status", "phase", NULL)), "");
}

const struct mesh_column mesh_columns_namespace[] = {
	{"Name", "string", "Name of the namespace.", 0, NULL, mesh_cell_name},
	{"Status", "string", "Active or Terminating.", 0, NULL, cell_phase},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};

static json_t *cell_display_name(const json_t *obj)
{
	return mesh_cell_text(
		json_string_value(mesh_json_at(obj, "metadata", "annotations", "openshift.io/display-name", NULL)), "");
}

const struct mesh_column mesh_columns_project[] = {
	{"Name", "string", "Name of the project.", 0, NULL, mesh_cell_name},
	{"Display Name", "string", "A name for people.", 0, NULL, cell_display_name},
	{"Status", "string", "Active or Terminating.", 0, NULL, cell_phase},
	{.name = NULL},
};

const struct mesh_column mesh_columns_project_request[] = {
	{"Name", "string", "Name of the project.", 0, NULL, mesh_cell_name},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};

static const json_t *find_by(const json_t *list, const char *key, const char *value)
{
	size_t i;
	json_t *e;

	json_array_foreach(list, i, e)
	{
		const char *v = mesh_json_text(e, key);

		if (v && strcmp(v, value) == 0)
			return e;
	}
	return NULL;
}

static json_t *cell_node_status(const json_t *obj)
{
	const json_t *ready = mesh_condition_find(obj, "Ready");
	const char *status = mesh_json_text(ready, "status");
	struct mesh_buf b = {0};

	mesh_buf_str(&b, !ready ? "Unknown" : status && strcmp(status, "True") == 0 ? "Ready" : "NotReady");
	if (json_is_true(mesh_json_at(obj, "spec", "unschedulable", NULL)))
		mesh_buf_str(&b, ",SchedulingDisabled");
	return mesh_cell_steal(&b);
}

static json_t *cell_node_roles(const json_t *obj)
{
	static const char prefix[] = "node-role.kubernetes.io/";
	const json_t *labels = mesh_json_at(obj, "metadata", "labels", NULL);
	size_t count = json_object_size(labels), n = 0;
	mesh_auto_free const char **roles = mesh_xcalloc(count + 1, sizeof(*roles));
	struct mesh_buf b = {0};
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)labels, key, v)
	{
		if (strncmp(key, prefix, sizeof(prefix) - 1) == 0 && key[sizeof(prefix) - 1])
			roles[n++] = key + sizeof(prefix) - 1;
		else if (strcmp(key, "kubernetes.io/role") == 0 && json_string_value(v) && *json_string_value(v))
			roles[n++] = json_string_value(v);
	}
	qsort(roles, n, sizeof(*roles), by_text);
	for (size_t i = 0; i < n; i++)
		mesh_cell_add(&b, ",", roles[i]);
	if (!n)
		mesh_buf_str(&b, "<none>");
	return mesh_cell_steal(&b);
}

static const char *node_info(const json_t *obj, const char *key)
{
	return json_string_value(mesh_json_at(obj, "status", "nodeInfo", key, NULL));
}

static json_t *cell_node_version(const json_t *obj)
{
	return mesh_cell_text(node_info(obj, "kubeletVersion"), "");
}

static json_t *node_address(const json_t *obj, const char *type)
{
	return mesh_cell_text(
		mesh_json_text(find_by(mesh_json_at(obj, "status", "addresses", NULL), "type", type), "address"),
		"<none>");
}

static json_t *cell_node_internal(const json_t *obj)
{
	return node_address(obj, "InternalIP");
}

static json_t *cell_node_external(const json_t *obj)
{
	return node_address(obj, "ExternalIP");
}

static json_t *cell_node_os(const json_t *obj)
{
	return mesh_cell_text(node_info(obj, "osImage"), "<unknown>");
}

static json_t *cell_node_kernel(const json_t *obj)
{
	return mesh_cell_text(node_info(obj, "kernelVersion"), "<unknown>");
}

static json_t *cell_node_runtime(const json_t *obj)
{
	return mesh_cell_text(node_info(obj, "containerRuntimeVersion"), "<unknown>");
}

const struct mesh_column mesh_columns_node[] = {
	{"Name", "string", "Name of the node.", 0, NULL, mesh_cell_name},
	{"Status", "string", "Whether it takes pods.", 0, NULL, cell_node_status},
	{"Roles", "string", "From its labels.", 0, NULL, cell_node_roles},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{"Version", "string", "Version of its kubelet.", 0, NULL, cell_node_version},
	{"Internal-IP", "string", "Address inside the cluster.", 1, NULL, cell_node_internal},
	{"External-IP", "string", "Address outside.", 1, NULL, cell_node_external},
	{"OS-Image", "string", "Its system.", 1, NULL, cell_node_os},
	{"Kernel-Version", "string", "Its kernel.", 1, NULL, cell_node_kernel},
	{"Container-Runtime", "string", "What runs its containers.", 1, NULL, cell_node_runtime},
	{.name = NULL},
};

/* ---- small things ---- */

static json_t *cell_secrets(const json_t *obj)
{
	return json_integer((json_int_t)json_array_size(json_object_get(obj, "secrets")));
}

const struct mesh_column mesh_columns_service_account[] = {
	{"Name", "string", "Name of the account.", 0, NULL, mesh_cell_name},
	{"Secrets", "string", "How many secrets it has.", 0, NULL, cell_secrets},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};

static json_t *cell_data(const json_t *obj)
{
	size_t count =
		json_object_size(json_object_get(obj, "data")) + json_object_size(json_object_get(obj, "binaryData"));

	return json_integer((json_int_t)count);
}

const struct mesh_column mesh_columns_config_map[] = {
	{"Name", "string", "Name of the map.", 0, NULL, mesh_cell_name},
	{"Data", "string", "How many keys it has.", 0, NULL, cell_data},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};

static json_t *cell_secret_type(const json_t *obj)
{
	return mesh_cell_text(mesh_json_text(obj, "type"), "");
}

const struct mesh_column mesh_columns_secret[] = {
	{"Name", "string", "Name of the secret.", 0, NULL, mesh_cell_name},
	{"Type", "string", "What it is for.", 0, NULL, cell_secret_type},
	{"Data", "string", "How many keys it has.", 0, NULL, cell_data},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};

static json_t *cell_holder(const json_t *obj)
{
	return mesh_cell_text(json_string_value(mesh_json_at(obj, "spec", "holderIdentity", NULL)), "");
}

const struct mesh_column mesh_columns_lease[] = {
	{"Name", "string", "Name of the lease.", 0, NULL, mesh_cell_name},
	{"Holder", "string", "Who has it.", 0, NULL, cell_holder},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};

const struct mesh_column mesh_columns_crd[] = {
	{"Name", "string", "Name of the definition.", 0, NULL, mesh_cell_name},
	{"Created At", "date", "When it was made.", 0, NULL, cell_created},
	{.name = NULL},
};

const struct mesh_column mesh_columns_role[] = {
	{"Name", "string", "Name of the role.", 0, NULL, mesh_cell_name},
	{"Created At", "date", "When it was made.", 0, NULL, cell_created},
	{.name = NULL},
};

static json_t *cell_role_ref(const json_t *obj)
{
	const json_t *ref = json_object_get(obj, "roleRef");
	const char *kind = mesh_json_text(ref, "kind"), *name = mesh_json_text(ref, "name");

	return json_sprintf("%s/%s", kind ? kind : "", name ? name : "");
}

static json_t *subjects_of(const json_t *obj, const char *kind)
{
	struct mesh_buf b = {0};
	size_t i;
	json_t *s;

	json_array_foreach(json_object_get(obj, "subjects"), i, s)
	{
		const char *k = mesh_json_text(s, "kind"), *name = mesh_json_text(s, "name");
		const char *ns = mesh_json_text(s, "namespace");

		if (!k || !name || strcmp(k, kind) != 0)
			continue;
		mesh_cell_add(&b, ", ", "");
		if (strcmp(kind, "ServiceAccount") == 0)
			mesh_buf_printf(&b, "%s/", ns ? ns : "");
		mesh_buf_str(&b, name);
	}
	return mesh_cell_steal(&b);
}

static json_t *cell_users(const json_t *obj)
{
	return subjects_of(obj, "User");
}

static json_t *cell_groups(const json_t *obj)
{
	return subjects_of(obj, "Group");
}

static json_t *cell_accounts(const json_t *obj)
{
	return subjects_of(obj, "ServiceAccount");
}

const struct mesh_column mesh_columns_role_binding[] = {
	{"Name", "string", "Name of the binding.", 0, NULL, mesh_cell_name},
	{"Role", "string", "The role that is given.", 0, NULL, cell_role_ref},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{"Users", "string", "Users who have it.", 1, NULL, cell_users},
	{"Groups", "string", "Groups that have it.", 1, NULL, cell_groups},
	{"ServiceAccounts", "string", "Service accounts that have it.", 1, NULL, cell_accounts},
	{.name = NULL},
};

/* ---- deployments, replica sets ---- */

static json_t *cell_deployment_ready(const json_t *obj)
{
	return json_sprintf("%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT, number_at(obj, "status", "readyReplicas"),
			    number_at(obj, "spec", "replicas"));
}

static json_t *cell_updated(const json_t *obj)
{
	return json_integer(number_at(obj, "status", "updatedReplicas"));
}

static json_t *cell_available(const json_t *obj)
{
	return json_integer(number_at(obj, "status", "availableReplicas"));
}

static json_t *cell_containers(const json_t *obj)
{
	return containers_cell(obj, "name");
}

static json_t *cell_images(const json_t *obj)
{
	return containers_cell(obj, "image");
}

static json_t *cell_selector(const json_t *obj)
{
	return selector_cell(mesh_json_at(obj, "spec", "selector", NULL));
}

const struct mesh_column mesh_columns_deployment[] = {
	{"Name", "string", "Name of the deployment.", 0, NULL, mesh_cell_name},
	{"Ready", "string", "Pods that are ready, of those wanted.", 0, NULL, cell_deployment_ready},
	{"Up-to-date", "string", "Pods of the newest template.", 0, NULL, cell_updated},
	{"Available", "string", "Pods that have been ready long enough.", 0, NULL, cell_available},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{"Containers", "string", "Names of its containers.", 1, NULL, cell_containers},
	{"Images", "string", "Their images.", 1, NULL, cell_images},
	{"Selector", "string", "Labels of its pods.", 1, NULL, cell_selector},
	{.name = NULL},
};

static json_t *cell_desired(const json_t *obj)
{
	return json_integer(number_at(obj, "spec", "replicas"));
}

static json_t *cell_current(const json_t *obj)
{
	return json_integer(number_at(obj, "status", "replicas"));
}

static json_t *cell_ready_replicas(const json_t *obj)
{
	return json_integer(number_at(obj, "status", "readyReplicas"));
}

const struct mesh_column mesh_columns_replica_set[] = {
	{"Name", "string", "Name of the replica set.", 0, NULL, mesh_cell_name},
	{"Desired", "integer", "Pods wanted.", 0, NULL, cell_desired},
	{"Current", "integer", "Pods that there are.", 0, NULL, cell_current},
	{"Ready", "integer", "Pods that are ready.", 0, NULL, cell_ready_replicas},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{"Containers", "string", "Names of its containers.", 1, NULL, cell_containers},
	{"Images", "string", "Their images.", 1, NULL, cell_images},
	{"Selector", "string", "Labels of its pods.", 1, NULL, cell_selector},
	{.name = NULL},
};
