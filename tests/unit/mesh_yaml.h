/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what is compiled: YAML to a snapshot, tables to text. Pods and endpoints may be
 * left out of the YAML: snap_endpoints() makes ready ones.
 */
#ifndef MESH_TEST_MESH_YAML_H
#define MESH_TEST_MESH_YAML_H

#include "agent/slices.h"
#include "compile/compile.h"
#include "config/document.h"
#include "core/buf.h"
#include "core/mem.h"

static inline bool yaml_put(struct mesh_snapshot *snap, struct mesh_slices *slices, const json_t *obj)
{
	const char *kind = json_string_value(json_object_get(obj, "kind"));

#define PUT(word, type, kind_name)                                                                                     \
	if (strcmp(kind, #kind_name) == 0) {                                                                           \
		struct type *v = NULL;                                                                                 \
		if (mesh_decode_##word(obj, &v) < 0)                                                                   \
			return false;                                                                                  \
		mesh_snapshot_set_##word(snap, v->ns, v->name, v);                                                     \
		return true;                                                                                           \
	}
	PUT(virtual_service, mesh_virtual_service, VirtualService)
	PUT(destination_rule, mesh_destination_rule, DestinationRule)
	PUT(gateway, mesh_gateway, Gateway)
	PUT(service, mesh_service, Service)
	PUT(service_entry, mesh_service_entry, ServiceEntry)
#undef PUT
	if (strcmp(kind, "Node") == 0) {
		struct mesh_machine *m = NULL;

		if (mesh_decode_node(obj, &m) < 0)
			return false;
		mesh_snapshot_set_machine(snap, "", m->name, m);
		return true;
	}
	if (strcmp(kind, "Pod") == 0) {
		struct mesh_workload *w = NULL;

		if (mesh_decode_pod(obj, &w) < 0)
			return false;
		mesh_snapshot_set_workload(snap, w->ns, w->name, w);
		return true;
	}
	if (strcmp(kind, "EndpointSlice") == 0) {
		struct mesh_endpoint_pieces *pieces = NULL;

		if (mesh_decode_endpoint_slice(obj, &pieces) < 0)
			return false;
		mesh_slices_set(slices, snap, pieces);
		return true;
	}
	return false;
}

/* Everything in text; objects without a namespace are in default_ns. Returns how many were not usable. */
static inline int yaml_load(struct mesh_snapshot *snap, struct mesh_slices *slices, const char *text,
			    const char *default_ns)
{
	struct mesh_documents docs = {0};
	struct mesh_errs errs = {0};
	int bad = 0;

	if (mesh_documents_parse("test.yaml", mesh_slice_str(text), &docs, &errs) < 0) {
		struct mesh_buf why = {0};

		mesh_errs_format(&errs, &why);
		printf("  %s\n", why.data);
		mesh_buf_free(&why);
		mesh_errs_free(&errs);
		return -1;
	}
	mesh_vec_each (doc, &docs.list) {
		json_t *meta = json_object_get(doc->value, "metadata");

		if (!json_object_get(meta, "namespace"))
			json_object_set_new(meta, "namespace", json_string(default_ns));
		bad += !yaml_put(snap, slices, doc->value);
	}
	mesh_documents_free(&docs);
	mesh_errs_free(&errs);
	return bad;
}

/* A ready pod with one label, and itself as an endpoint of a service's port. */
static inline void snap_endpoint(struct mesh_snapshot *snap, struct mesh_slices *slices, const char *ns,
				 const char *service, const char *port_name, const char *pod, const char *label,
				 const char *value, const char *ip, int port, bool ready)
{
	char *text = mesh_xasprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, uid: u-%s, "
				    "labels: {%s: %s}}\nspec: {nodeName: node-1}\nstatus: {phase: Running, podIP: %s, "
				    "podIPs: [{ip: %s}], conditions: [{type: Ready, status: \"%s\"}]}\n---\n"
				    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: %s-%s, "
				    "namespace: %s, labels: {kubernetes.io/service-name: %s}}\naddressType: IPv4\n"
				    "ports: [{name: \"%s\", port: %d, protocol: TCP}]\nendpoints: [{addresses: [%s], "
				    "conditions: {ready: %s}, targetRef: {kind: Pod, name: %s}}]\n",
				    pod, ns, pod, label, value, ip, ip, ready ? "True" : "False", service, pod, ns,
				    service, port_name, port, ip, ready ? "true" : "false", pod);

	if (yaml_load(snap, slices, text, ns) != 0)
		printf("  bad endpoint yaml:\n%s\n", text);
	free(text);
}

/* "CLUSTER=WEIGHT[IP:PORT,...] CLUSTER=WEIGHT" of a route; a cluster that is none is "!CLUSTER". */
static inline void route_text(const struct mesh_l7_route *r, struct mesh_buf *out)
{
	for (size_t i = 0; i < r->dest_count; i++) {
		const struct mesh_l7_dest *d = &r->dests[i];

		mesh_buf_printf(out, "%s%s%s=%u", i ? " " : "", d->cluster ? "" : "!", d->name, d->weight);
		if (!d->cluster)
			continue;
		mesh_buf_char(out, '[');
		for (size_t k = 0; k < d->cluster->endpoint_count; k++) {
			char addr[MESH_ADDR_TEXT];

			mesh_buf_printf(out, "%s%s", k ? "," : "",
					mesh_addr_text(&d->cluster->endpoints[k].addr, addr));
		}
		mesh_buf_char(out, ']');
	}
}

/* Routes of a virtual host, one a line; a route with matches begins with "?N ". Static storage. */
static inline const char *vhost_text(const struct mesh_l7_vhost *vhost)
{
	static struct mesh_buf out;

	mesh_buf_clear(&out);
	if (!vhost)
		return NULL;
	for (size_t i = 0; i < vhost->route_count; i++) {
		if (i)
			mesh_buf_char(&out, '\n');
		if (vhost->routes[i].match_count)
			mesh_buf_printf(&out, "?%zu ", vhost->routes[i].match_count);
		route_text(&vhost->routes[i], &out);
	}
	return out.data ? out.data : "";
}

/* What a table has for a domain, which may end in the table's port. */
static inline const struct mesh_l7_vhost *outbound_vhost(const struct mesh_l7_config *cfg, const char *ns_port,
							 const char *authority)
{
	const struct mesh_l7_table *t = mesh_pmap_get_str(&cfg->outbound, ns_port);
	const char *port = strchr(ns_port, '|') + 1;
	size_t len = strlen(authority), n = strlen(port);

	if (len > n && authority[len - n - 1] == ':' && strcmp(authority + len - n, port) == 0)
		len -= n + 1;
	return t ? mesh_pmap_get(&t->exact, mesh_slice_of(authority, len)) : NULL;
}

#endif
