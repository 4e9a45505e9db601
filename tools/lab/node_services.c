/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClusterIPs for pods outside the mesh, by nftables in the node's namespace: in the lab only, a
 * stand-in for what kube-proxy does on a cluster. All rules are replaced in one transaction.
 */
#include "lab/node.h"

#include "core/log.h"
#include "core/mem.h"

#include <stdio.h>

enum { COALESCE_MS = 3 };

struct backend {
	const char *ip;
	int port;
};

struct backends {
	MESH_VEC(struct backend) list;
};

/* Collects the endpoints of one port of a Service; terminating ones only if there are no ready ones. */
static void find_backends(const json_t *svc, const json_t *port, const struct mesh_lab_cache *slices, bool terminating,
			  struct backends *out)
{
	const char *port_name = mesh_lab_text(port, "name");

	mesh_lab_cache_each(e, slices)
	{
		const json_t *slice = e->value;
		json_t *p, *endpoint;
		size_t i;

		if (strcmp(mesh_lab_text(slice, "metadata.namespace"), mesh_lab_text(svc, "metadata.namespace")) != 0 ||
		    !mesh_lab_is(slice, "addressType", "IPv4"))
			continue;
		const char *of = json_string_value(
			json_object_get(mesh_lab_at(slice, "metadata.labels"), "kubernetes.io/service-name"));

		p = mesh_lab_item(json_object_get(slice, "ports"), "name", port_name);
		if (!p && !*port_name)
			p = json_array_get(json_object_get(slice, "ports"), 0);
		if (!of || strcmp(of, mesh_lab_text(svc, "metadata.name")) != 0 || !p)
			continue;
		json_array_foreach(json_object_get(slice, "endpoints"), i, endpoint)
		{
			const json_t *c = json_object_get(endpoint, "conditions");
			bool ready = !json_is_false(json_object_get(c, "ready"));
			bool serving = json_is_true(json_object_get(c, "serving"));
			struct backend b = {
				json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0)),
				(int)mesh_lab_int(p, "port", 0)};

			if ((terminating ? serving : ready) && b.ip)
				mesh_vec_push(&out->list, b);
		}
	}
}

struct writer {
	const struct mesh_lab_cache *services, *slices;
	struct mesh_buf chains, map, none, hairpin;
	unsigned count;
};

static void write_port(struct writer *w, const json_t *svc, const json_t *port)
{
	const char *ip = mesh_lab_text(svc, "spec.clusterIP");
	bool udp = mesh_lab_is(port, "protocol", "UDP");
	int number = (int)mesh_lab_int(port, "port", 0);
	struct backends b = {0};

	find_backends(svc, port, w->slices, false, &b);
	if (b.list.count == 0)
		find_backends(svc, port, w->slices, true, &b);
	if (b.list.count == 0) {
		mesh_buf_printf(&w->none, "%s%s . %s . %d", w->none.len ? ", " : "", ip, udp ? "udp" : "tcp", number);
	} else {
		mesh_buf_printf(&w->chains, "\tchain s%u {\n\t\tmeta l4proto %s dnat to numgen random mod %zu map { ",
				w->count, udp ? "udp" : "tcp", b.list.count);
		for (size_t i = 0; i < b.list.count; i++)
			mesh_buf_printf(&w->chains, "%s%zu : %s . %d", i ? ", " : "", i, b.list.items[i].ip,
					b.list.items[i].port);
		mesh_buf_str(&w->chains, " }\n\t}\n");
		mesh_buf_printf(&w->map, "%s%s . %s . %d : goto s%u", w->map.len ? ", " : "", ip, udp ? "udp" : "tcp",
				number, w->count);
		w->count++;
	}
	for (size_t i = 0; i < b.list.count; i++)
		mesh_buf_printf(&w->hairpin, "%s%s . %s", w->hairpin.len ? ", " : "", b.list.items[i].ip,
				b.list.items[i].ip);
	mesh_vec_free(&b.list);
}

static bool has_cluster_ip(const json_t *svc)
{
	const char *ip = mesh_lab_text(svc, "spec.clusterIP");

	return *ip && strcmp(ip, "None") != 0 && !strchr(ip, ':');
}

static void write_elements(struct mesh_buf *out, const struct mesh_buf *elements)
{
	if (elements->len)
		mesh_buf_printf(out, "\t\telements = { %s }\n", elements->data);
	mesh_buf_str(out, "\t}\n");
}

char *mesh_node_rules(const struct mesh_lab_cache *services, const struct mesh_lab_cache *slices)
{
	struct writer w = {.services = services, .slices = slices};
	struct mesh_buf out = {0};

	mesh_lab_cache_each(e, services)
	{
		const json_t *svc = e->value;
		json_t *port;
		size_t i;

		if (!has_cluster_ip(svc))
			continue;
		json_array_foreach(mesh_lab_at(svc, "spec.ports"), i, port) write_port(&w, svc, port);
	}
	mesh_buf_str(&out, "table ip lab\ndelete table ip lab\ntable ip lab {\n");
	mesh_buf_slice(&out, mesh_buf_view(&w.chains));
	mesh_buf_str(&out, "\tmap services {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n");
	write_elements(&out, &w.map);
	mesh_buf_str(&out, "\tset empty {\n\t\ttype ipv4_addr . inet_proto . inet_service\n");
	write_elements(&out, &w.none);
	mesh_buf_str(&out, "\tset hairpin {\n\t\ttype ipv4_addr . ipv4_addr\n");
	write_elements(&out, &w.hairpin);
	mesh_buf_str(&out,
		     "\tchain pods {\n\t\ttype nat hook prerouting priority dstnat;\n"
		     "\t\tip daddr . meta l4proto . th dport vmap @services\n\t}\n"
		     "\tchain node {\n\t\ttype nat hook output priority -100;\n"
		     "\t\tip daddr . meta l4proto . th dport vmap @services\n\t}\n"
		     "\tchain self {\n\t\ttype nat hook postrouting priority srcnat;\n"
		     "\t\tip saddr . ip daddr @hairpin masquerade\n\t}\n"
		     "\tchain refuse {\n\t\tip daddr . meta l4proto . th dport @empty meta l4proto tcp reject with tcp "
		     "reset\n"
		     "\t\tip daddr . meta l4proto . th dport @empty reject\n\t}\n"
		     "\tchain refuse_pods {\n\t\ttype filter hook forward priority filter;\n\t\tjump refuse\n\t}\n"
		     "\tchain refuse_node {\n\t\ttype filter hook output priority filter;\n\t\tjump refuse\n\t}\n"
		     "}\n");
	mesh_buf_free(&w.chains);
	mesh_buf_free(&w.map);
	mesh_buf_free(&w.none);
	mesh_buf_free(&w.hairpin);
	return mesh_buf_steal(&out);
}

static void rebuild(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_node *node = mesh_container_of(timer, struct mesh_node, nft);
	mesh_auto_free char *rules = NULL;
	char *argv[] = {(char *)"/usr/sbin/nft", (char *)"-f", (char *)"-", NULL};
	int r;

	(void)loop;
	if (!node->services.synced || !node->slices.synced)
		return;
	rules = mesh_node_rules(&node->services, &node->slices);
	r = mesh_lab_run(argv, node->netns, rules);
	if (r != 0)
		mesh_error("nft: status %d for\n%s", r, rules);
}

void mesh_node_services_changed(struct mesh_node *node)
{
	node->nft.fn = rebuild;
	if (node->nft.heap_at == 0)
		mesh_timer_set(node->loop, &node->nft, MESH_MS(COALESCE_MS));
}
