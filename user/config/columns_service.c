/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of Service, Endpoints and EndpointSlice.
 */
#include "config/cells.h"
#include "config/columns.h"

static json_t *cell_service_type(const json_t *obj)
{
	return mesh_cell_text(json_string_value(mesh_json_at(obj, "spec", "type", NULL)), "ClusterIP");
}

static json_t *cell_cluster_ip(const json_t *obj)
{
	return mesh_cell_text(json_string_value(mesh_json_at(obj, "spec", "clusterIP", NULL)), "<none>");
}

static void add_ingress(const json_t *obj, struct mesh_buf *b)
{
	size_t i;
	json_t *in;

	json_array_foreach(mesh_json_at(obj, "status", "loadBalancer", "ingress", NULL), i, in)
	{
		const char *ip = mesh_json_text(in, "ip"), *host = mesh_json_text(in, "hostname");

		if (ip || host)
			mesh_cell_add(b, ",", ip ? ip : host);
	}
}

static json_t *cell_external_ip(const json_t *obj)
{
	const char *type = json_string_value(mesh_json_at(obj, "spec", "type", NULL));
	struct mesh_buf b = {0};
	size_t i;
	json_t *ip;

	if (type && strcmp(type, "ExternalName") == 0)
		return mesh_cell_text(json_string_value(mesh_json_at(obj, "spec", "externalName", NULL)), "");
	if (type && strcmp(type, "LoadBalancer") == 0)
		add_ingress(obj, &b);
	json_array_foreach(mesh_json_at(obj, "spec", "externalIPs", NULL), i, ip)
		mesh_cell_add(&b, ",", json_string_value(ip) ? json_string_value(ip) : "");
	if (b.len == 0)
		mesh_buf_str(&b, type && strcmp(type, "LoadBalancer") == 0 ? "<pending>" : "<none>");
	return mesh_cell_steal(&b);
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

		mesh_cell_add(&b, ",", "");
		mesh_buf_printf(&b, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(p, "port")));
		if (node)
			mesh_buf_printf(&b, ":%" JSON_INTEGER_FORMAT, node);
		mesh_buf_printf(&b, "/%s", protocol ? protocol : "TCP");
	}
	if (b.len == 0)
		mesh_buf_str(&b, "<none>");
	return mesh_cell_steal(&b);
}

static json_t *cell_service_selector(const json_t *obj)
{
	return mesh_cell_labels(mesh_json_at(obj, "spec", "selector", NULL));
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
	return mesh_cell_steal(b);
}

static void add_host_port(struct mesh_buf *b, const char *host, json_int_t port)
{
	mesh_cell_add(b, ",", "");
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
				mesh_cell_add(&b, ",", ip);
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
	return mesh_cell_text(mesh_json_text(obj, "addressType"), "");
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
			mesh_cell_add(&b, ",", "");
			mesh_buf_printf(&b, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
		} else {
			mesh_cell_add(&b, ",", "*");
		}
	}
	if (total == 0)
		mesh_buf_str(&b, "<unset>");
	return total ? first_three(&b, total) : mesh_cell_steal(&b);
}

static json_t *cell_slice_endpoints(const json_t *obj)
{
	struct mesh_buf b = {0};
	size_t i, j, total = 0;
	json_t *e, *a;

	json_array_foreach(json_object_get(obj, "endpoints"), i, e) json_array_foreach(
		json_object_get(e, "addresses"), j, a) if (json_string_value(a) && total++ < CELL_ITEMS_MAX)
		mesh_cell_add(&b, ",", json_string_value(a));
	if (total == 0)
		mesh_buf_str(&b, "<unset>");
	return total ? first_three(&b, total) : mesh_cell_steal(&b);
}

const struct mesh_column mesh_columns_endpoint_slice[] = {
	{"Name", "string", "Name of the slice.", 0, NULL, mesh_cell_name},
	{"AddressType", "string", "IPv4, IPv6 or FQDN.", 0, NULL, cell_slice_type},
	{"Ports", "string", "Ports of each endpoint.", 0, NULL, cell_slice_ports},
	{"Endpoints", "string", "Addresses.", 0, NULL, cell_slice_endpoints},
	{"Age", "string", "Time since it was made.", 0, NULL, mesh_cell_age},
	{.name = NULL},
};
