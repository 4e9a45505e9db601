/* SPDX-License-Identifier: Apache-2.0 */
#include "config/columns.h"

#include "config/decode.h"
#include "core/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

const json_t *mesh_json_at(const json_t *obj, ...)
{
	const char *key;
	va_list ap;

	va_start(ap, obj);
	while (obj && (key = va_arg(ap, const char *)))
		obj = json_object_get(obj, key);
	va_end(ap);
	return obj;
}

const char *mesh_json_text(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

static json_t *steal_text(struct mesh_buf *b)
{
	json_t *v = json_stringn(b->data ? b->data : "", b->len);

	mesh_buf_free(b);
	return v ? v : json_string("");
}

static json_t *text_or(const char *s, const char *otherwise)
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

static json_t *since(const char *text)
{
	struct mesh_buf b = {0};

	mesh_since_text(text, &b);
	return steal_text(&b);
}

json_t *mesh_cell_name(const json_t *obj)
{
	return text_or(mesh_json_text(json_object_get(obj, "metadata"), "name"), "");
}

json_t *mesh_cell_age(const json_t *obj)
{
	return since(mesh_json_text(json_object_get(obj, "metadata"), "creationTimestamp"));
}

static json_t *cell_created(const json_t *obj)
{
	const char *t = mesh_json_text(json_object_get(obj, "metadata"), "creationTimestamp");

	return t ? json_string(t) : json_null();
}

/* ---- lists of texts ---- */

static void add_part(struct mesh_buf *b, const char *sep, const char *part)
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

		add_part(out, ",", keys[i]);
		mesh_buf_printf(out, "=%s", value ? value : "");
	}
}

static json_t *labels_cell(const json_t *labels)
{
	struct mesh_buf b = {0};

	if (json_object_size(labels) == 0)
		return json_string("<none>");
	labels_text(labels, &b);
	return steal_text(&b);
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
			add_part(&values, ",", json_string_value(v) ? json_string_value(v) : "");
		add_part(&b, ",", strcmp(op, "DoesNotExist") == 0 ? "!" : "");
		mesh_buf_str(&b, key);
		if (strcmp(op, "In") == 0 || strcmp(op, "NotIn") == 0)
			mesh_buf_printf(&b, " %s (%s)", op[0] == 'I' ? "in" : "notin", values.data ? values.data : "");
		mesh_buf_free(&values);
	}
	if (b.len == 0)
		mesh_buf_str(&b, "<none>");
	return steal_text(&b);
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

		add_part(&b, ",", s ? s : "");
	}
	return steal_text(&b);
}

static json_int_t number_at(const json_t *obj, const char *a, const char *b)
{
	return json_integer_value(mesh_json_at(obj, a, b, NULL));
}

/* ---- namespaces, nodes ---- */

static json_t *cell_phase(const json_t *obj)
{
	return text_or(json_string_value(mesh_json_at(obj, "status", "phase", NULL)), "");
}

const struct mesh_column mesh_columns_namespace[] = {
	{"Name", "string", "Name of the namespace.", 0, NULL, mesh_cell_name},
	{"Status", "string", "Active or Terminating.", 0, NULL, cell_phase},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};

static json_t *cell_display_name(const json_t *obj)
{
	return text_or(
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
	const json_t *ready = find_by(mesh_json_at(obj, "status", "conditions", NULL), "type", "Ready");
	const char *status = mesh_json_text(ready, "status");
	struct mesh_buf b = {0};

	mesh_buf_str(&b, !ready ? "Unknown" : status && strcmp(status, "True") == 0 ? "Ready" : "NotReady");
	if (json_is_true(mesh_json_at(obj, "spec", "unschedulable", NULL)))
		mesh_buf_str(&b, ",SchedulingDisabled");
	return steal_text(&b);
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
		add_part(&b, ",", roles[i]);
	if (!n)
		mesh_buf_str(&b, "<none>");
	return steal_text(&b);
}

static const char *node_info(const json_t *obj, const char *key)
{
	return json_string_value(mesh_json_at(obj, "status", "nodeInfo", key, NULL));
}

static json_t *cell_node_version(const json_t *obj)
{
	return text_or(node_info(obj, "kubeletVersion"), "");
}

static json_t *node_address(const json_t *obj, const char *type)
{
	return text_or(mesh_json_text(find_by(mesh_json_at(obj, "status", "addresses", NULL), "type", type), "address"),
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
	return text_or(node_info(obj, "osImage"), "<unknown>");
}

static json_t *cell_node_kernel(const json_t *obj)
{
	return text_or(node_info(obj, "kernelVersion"), "<unknown>");
}

static json_t *cell_node_runtime(const json_t *obj)
{
	return text_or(node_info(obj, "containerRuntimeVersion"), "<unknown>");
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

/* ---- services and endpoints ---- */

static json_t *cell_service_type(const json_t *obj)
{
	return text_or(json_string_value(mesh_json_at(obj, "spec", "type", NULL)), "ClusterIP");
}

static json_t *cell_cluster_ip(const json_t *obj)
{
	return text_or(json_string_value(mesh_json_at(obj, "spec", "clusterIP", NULL)), "<none>");
}

static void add_ingress(const json_t *obj, struct mesh_buf *b)
{
	size_t i;
	json_t *in;

	json_array_foreach(mesh_json_at(obj, "status", "loadBalancer", "ingress", NULL), i, in)
	{
		const char *ip = mesh_json_text(in, "ip"), *host = mesh_json_text(in, "hostname");

		if (ip || host)
			add_part(b, ",", ip ? ip : host);
	}
}

static json_t *cell_external_ip(const json_t *obj)
{
	const char *type = json_string_value(mesh_json_at(obj, "spec", "type", NULL));
	struct mesh_buf b = {0};
	size_t i;
	json_t *ip;

	if (type && strcmp(type, "ExternalName") == 0)
		return text_or(json_string_value(mesh_json_at(obj, "spec", "externalName", NULL)), "");
	if (type && strcmp(type, "LoadBalancer") == 0)
		add_ingress(obj, &b);
	json_array_foreach(mesh_json_at(obj, "spec", "externalIPs", NULL), i, ip)
		add_part(&b, ",", json_string_value(ip) ? json_string_value(ip) : "");
	if (b.len == 0)
		mesh_buf_str(&b, type && strcmp(type, "LoadBalancer") == 0 ? "<pending>" : "<none>");
	return steal_text(&b);
}

static json_t *cell_service_ports(const json_t *obj)
{
	struct mesh_buf b = {0};
	size_t i;
	json_t *p;

	json_array_foreach(mesh_json_at(obj, "spec", "ports", NULL), i, p)
	{
		json_int_t node = json_integer_value(json_object_get(p, "nodePort"));
		const char *protocol = mesh_json_text(p, "protocol");

		add_part(&b, ",", "");
		mesh_buf_printf(&b, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(p, "port")));
		if (node)
			mesh_buf_printf(&b, ":%" JSON_INTEGER_FORMAT, node);
		mesh_buf_printf(&b, "/%s", protocol ? protocol : "TCP");
	}
	if (b.len == 0)
		mesh_buf_str(&b, "<none>");
	return steal_text(&b);
}

static json_t *cell_service_selector(const json_t *obj)
{
	return labels_cell(mesh_json_at(obj, "spec", "selector", NULL));
}

const struct mesh_column mesh_columns_service[] = {
	{"Name", "string", "Name of the service.", 0, NULL, mesh_cell_name},
	{"Type", "string", "How it is reached.", 0, NULL, cell_service_type},
	{"Cluster-IP", "string", "Its address inside the cluster.", 0, NULL, cell_cluster_ip},
	{"External-IP", "string", "Its addresses outside.", 0, NULL, cell_external_ip},
	{"Port(s)", "string", "Port[:node port]/protocol.", 0, NULL, cell_service_ports},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{"Selector", "string", "Labels of its pods.", 1, NULL, cell_service_selector},
	{.name = NULL},
};

enum { CELL_ITEMS_MAX = 3 };

/* The first three of what was added, and how many more there are. */
static json_t *first_three(struct mesh_buf *b, size_t total)
{
	if (total == 0)
		mesh_buf_str(b, "<none>");
	else if (total > CELL_ITEMS_MAX)
		mesh_buf_printf(b, " + %zu more...", total - CELL_ITEMS_MAX);
	return steal_text(b);
}

static void add_host_port(struct mesh_buf *b, const char *host, json_int_t port)
{
	add_part(b, ",", "");
	mesh_buf_printf(b, strchr(host, ':') ? "[%s]:%" JSON_INTEGER_FORMAT : "%s:%" JSON_INTEGER_FORMAT, host, port);
}

static json_t *cell_endpoints(const json_t *obj)
{
	struct mesh_buf b = {0};
	size_t i, j, k, total = 0;
	json_t *subset, *address, *port;

	json_array_foreach(json_object_get(obj, "subsets"), i, subset)
	{
		const json_t *ports = json_object_get(subset, "ports"), *list = json_object_get(subset, "addresses");

		json_array_foreach(list, j, address)
		{
			const char *ip = mesh_json_text(address, "ip");

			if (!ip)
				continue;
			if (json_array_size(ports) == 0 && total++ < CELL_ITEMS_MAX)
				add_part(&b, ",", ip);
			json_array_foreach(ports, k, port) if (total++ < CELL_ITEMS_MAX)
				add_host_port(&b, ip, json_integer_value(json_object_get(port, "port")));
		}
	}
	return first_three(&b, total);
}

const struct mesh_column mesh_columns_endpoints[] = {
	{"Name", "string", "Name of the service.", 0, NULL, mesh_cell_name},
	{"Endpoints", "string", "Ready addresses.", 0, NULL, cell_endpoints},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};

static json_t *cell_slice_type(const json_t *obj)
{
	return text_or(mesh_json_text(obj, "addressType"), "");
}

static json_t *cell_slice_ports(const json_t *obj)
{
	struct mesh_buf b = {0};
	size_t i, total = 0;
	json_t *p;

	json_array_foreach(json_object_get(obj, "ports"), i, p)
	{
		const json_t *number = json_object_get(p, "port");

		if (total++ >= CELL_ITEMS_MAX)
			continue;
		if (json_is_integer(number)) {
			add_part(&b, ",", "");
			mesh_buf_printf(&b, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
		} else {
			add_part(&b, ",", "*");
		}
	}
	if (total == 0)
		mesh_buf_str(&b, "<unset>");
	return total ? first_three(&b, total) : steal_text(&b);
}

static json_t *cell_slice_endpoints(const json_t *obj)
{
	struct mesh_buf b = {0};
	size_t i, j, total = 0;
	json_t *e, *a;

	json_array_foreach(json_object_get(obj, "endpoints"), i, e) json_array_foreach(
		json_object_get(e, "addresses"), j, a) if (json_string_value(a) && total++ < CELL_ITEMS_MAX)
		add_part(&b, ",", json_string_value(a));
	if (total == 0)
		mesh_buf_str(&b, "<unset>");
	return total ? first_three(&b, total) : steal_text(&b);
}

const struct mesh_column mesh_columns_endpoint_slice[] = {
	{"Name", "string", "Name of the slice.", 0, NULL, mesh_cell_name},
	{"AddressType", "string", "IPv4, IPv6 or FQDN.", 0, NULL, cell_slice_type},
	{"Ports", "string", "Ports of each endpoint.", 0, NULL, cell_slice_ports},
	{"Endpoints", "string", "Addresses.", 0, NULL, cell_slice_endpoints},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
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
	return text_or(mesh_json_text(obj, "type"), "");
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
	return text_or(json_string_value(mesh_json_at(obj, "spec", "holderIdentity", NULL)), "");
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
		add_part(&b, ", ", "");
		if (strcmp(kind, "ServiceAccount") == 0)
			mesh_buf_printf(&b, "%s/", ns ? ns : "");
		mesh_buf_str(&b, name);
	}
	return steal_text(&b);
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

/* ---- events (core and events.k8s.io) ---- */

static const char *first_text(const json_t *obj, const char *a, const char *b)
{
	const char *v = mesh_json_text(obj, a);

	return v ? v : mesh_json_text(obj, b);
}

static json_t *cell_last_seen(const json_t *obj)
{
	const json_t *series = json_object_get(obj, "series");
	const char *t = first_text(obj, "lastTimestamp", "deprecatedLastTimestamp");

	if (series)
		t = mesh_json_text(series, "lastObservedTime");
	if (!t)
		t = first_text(obj, "firstTimestamp", "deprecatedFirstTimestamp");
	return since(t ? t : mesh_json_text(obj, "eventTime"));
}

static json_t *cell_first_seen(const json_t *obj)
{
	const char *t = first_text(obj, "firstTimestamp", "deprecatedFirstTimestamp");

	return since(t ? t : mesh_json_text(obj, "eventTime"));
}

static json_t *cell_event_type(const json_t *obj)
{
	return text_or(mesh_json_text(obj, "type"), "");
}

static json_t *cell_event_reason(const json_t *obj)
{
	return text_or(mesh_json_text(obj, "reason"), "");
}

static const json_t *event_object(const json_t *obj)
{
	const json_t *about = json_object_get(obj, "involvedObject");

	return about ? about : json_object_get(obj, "regarding");
}

static json_t *cell_event_object(const json_t *obj)
{
	const json_t *about = event_object(obj);
	const char *kind = mesh_json_text(about, "kind"), *name = mesh_json_text(about, "name");
	struct mesh_buf b = {0};

	for (; kind && *kind; kind++)
		mesh_buf_char(&b, *kind >= 'A' && *kind <= 'Z' ? (char)(*kind + 32) : *kind);
	if (name && *name)
		mesh_buf_printf(&b, "/%s", name);
	return steal_text(&b);
}

static json_t *cell_event_field(const json_t *obj)
{
	return text_or(mesh_json_text(event_object(obj), "fieldPath"), "");
}

static json_t *cell_event_source(const json_t *obj)
{
	const json_t *source = json_object_get(obj, "source");
	const char *component, *host;
	struct mesh_buf b = {0};

	if (!source)
		source = json_object_get(obj, "deprecatedSource");
	component = mesh_json_text(source, "component");
	host = mesh_json_text(source, "host");
	if (!component)
		component = first_text(obj, "reportingComponent", "reportingController");
	if (!host)
		host = mesh_json_text(obj, "reportingInstance");
	mesh_buf_str(&b, component ? component : "");
	if (host && *host)
		mesh_buf_printf(&b, ", %s", host);
	return steal_text(&b);
}

static json_t *cell_event_message(const json_t *obj)
{
	const char *m = first_text(obj, "message", "note");
	struct mesh_slice s = mesh_slice_trim(mesh_slice_str(m));

	return json_stringn(s.len ? s.ptr : "", s.len);
}

static json_t *cell_event_count(const json_t *obj)
{
	const json_t *count = mesh_json_at(obj, "series", "count", NULL);

	if (!count)
		count = json_object_get(obj, "count");
	if (!count)
		count = json_object_get(obj, "deprecatedCount");
	return json_integer(json_integer_value(count) ? json_integer_value(count) : 1);
}

const struct mesh_column mesh_columns_event[] = {
	{"Last Seen", "string", "Time since it happened last.", 0, NULL, cell_last_seen},
	{"Type", "string", "Normal or Warning.", 0, NULL, cell_event_type},
	{"Reason", "string", "What happened, in one word.", 0, NULL, cell_event_reason},
	{"Object", "string", "What it happened to.", 0, NULL, cell_event_object},
	{"Subobject", "string", "The part of it.", 1, NULL, cell_event_field},
	{"Source", "string", "Who says so.", 1, NULL, cell_event_source},
	{"Message", "string", "What happened.", 0, NULL, cell_event_message},
	{"First Seen", "string", "Time since it happened first.", 1, NULL, cell_first_seen},
	{"Count", "string", "How often it happened.", 1, NULL, cell_event_count},
	{"Name", "string", "Name of the event.", 1, NULL, mesh_cell_name},
	{.name = NULL},
};
