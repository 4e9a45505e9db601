/* SPDX-License-Identifier: Apache-2.0 */
/* The fabric and the nodes: namespaces, bridges, the wires between them, routes. */
#include "lab/lab_internal.h"

#include "core/mem.h"
#include "lab/lab_net.h"

#include <stdio.h>

#define TRY(what, call)                                                                                                \
	do {                                                                                                           \
		int _r = (call);                                                                                       \
		if (_r < 0) {                                                                                          \
			mesh_errs_add(errs, "%s: %s", what, strerror(-_r));                                            \
			return _r;                                                                                     \
		}                                                                                                      \
	} while (0)

static int forwarding(int ns)
{
	static const struct {
		const char *path, *value;
	} settings[] = {
		{"ipv4/ip_forward", "1"},
		{"ipv6/conf/all/disable_ipv6", "0"},
		{"ipv6/conf/default/disable_ipv6", "0"},
		{"ipv6/conf/all/forwarding", "1"},
		{"ipv4/conf/all/send_redirects", "0"},
		{"ipv4/conf/default/send_redirects", "0"},
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(settings); i++) {
		bool six = strncmp(settings[i].path, "ipv6/", 5) == 0;
		int r = six && !mesh_lab_has_ipv6() ? 0 : mesh_lab_sysctl(ns, settings[i].path, settings[i].value);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_address(struct mesh_lab_nl *nl, const char *dev, const char *ip, unsigned bits)
{
	char prefix[MESH_LAB_TEXT + 8];

	if (strchr(ip, ':') && !mesh_lab_has_ipv6())
		return 0;
	snprintf(prefix, sizeof(prefix), "%s/%u", ip, bits);
	return mesh_lab_nl_address(nl, dev, prefix);
}

/* Pods of node `to` are reached through its place on the fabric. */
static int route_to_node(const struct mesh_lab *lab, struct mesh_lab_nl *nl, const char *dev, unsigned to)
{
	char dst[MESH_LAB_TEXT + 8], ip[MESH_LAB_TEXT], via[MESH_LAB_TEXT];
	int r;

	snprintf(dst, sizeof(dst), "%s/24", mesh_lab_pod_ip(lab, to, 0, ip));
	r = mesh_lab_nl_route(nl, dst, mesh_lab_fabric_ip(lab, to, via), dev);
	if (r < 0 || !mesh_lab_has_ipv6())
		return r;
	snprintf(dst, sizeof(dst), "%s/64", mesh_lab_pod_ip6(lab, to, 0, ip));
	return mesh_lab_nl_route(nl, dst, mesh_lab_fabric_ip6(lab, to, via), dev);
}

static int fabric_make(const struct mesh_lab *lab, int ns, struct mesh_errs *errs)
{
	const unsigned char mac[6] = {0x02, 0x5a, (unsigned char)lab->index, 0, 0, 1};
	static const unsigned hosts[] = {MESH_LAB_CONTROL_HOST, MESH_LAB_DNS_HOST};
	struct mesh_lab_nl *nl;
	char ip[MESH_LAB_TEXT];

	TRY("fabric", forwarding(ns));
	TRY("fabric", mesh_lab_nl_new(&nl, ns));
	TRY("fabric: bridge", mesh_lab_nl_bridge(nl, "fabric", mac));
	for (size_t i = 0; i < MESH_ARRAY_SIZE(hosts); i++) {
		TRY("fabric: address", add_address(nl, "fabric", mesh_lab_fabric_ip(lab, hosts[i], ip), 24));
		TRY("fabric: address", add_address(nl, "fabric", mesh_lab_fabric_ip6(lab, hosts[i], ip), 64));
	}
	for (unsigned n = 1; n <= lab->nodes; n++)
		TRY("fabric: route", route_to_node(lab, nl, "fabric", n));
	mesh_lab_nl_free(nl);
	return 0;
}

static int node_make(const struct mesh_lab *lab, unsigned node, int ns, int fabric_ns, struct mesh_errs *errs)
{
	const unsigned char mac[6] = {0x02, 0x5a, (unsigned char)lab->index, (unsigned char)node, 0, 1};
	struct mesh_lab_nl *nl, *fabric;
	char ip[MESH_LAB_TEXT], port[16];

	snprintf(port, sizeof(port), "n%u", node);
	TRY("node", forwarding(ns));
	TRY("node", mesh_lab_nl_new(&fabric, fabric_ns));
	TRY("node: uplink", mesh_lab_nl_veth(fabric, port, "fabric", "up0", ns));
	mesh_lab_nl_free(fabric);
	TRY("node", mesh_lab_nl_new(&nl, ns));
	TRY("node: bridge", mesh_lab_nl_bridge(nl, "pods0", mac));
	TRY("node: sysctl", mesh_lab_sysctl(ns, "ipv4/conf/pods0/send_redirects", "0"));
	TRY("node: address", add_address(nl, "up0", mesh_lab_fabric_ip(lab, node, ip), 24));
	TRY("node: address", add_address(nl, "up0", mesh_lab_fabric_ip6(lab, node, ip), 64));
	TRY("node: address", add_address(nl, "pods0", mesh_lab_pod_ip(lab, node, 1, ip), 24));
	TRY("node: address", add_address(nl, "pods0", mesh_lab_pod_ip6(lab, node, 1, ip), 64));
	for (unsigned n = 1; n <= lab->nodes; n++)
		if (n != node)
			TRY("node: route", route_to_node(lab, nl, "up0", n));
	/* Services are never on the wire: this only gives connect() a route, so that translation sees the packet. */
	TRY("node: route", mesh_lab_nl_route(nl, NULL, mesh_lab_fabric_ip(lab, MESH_LAB_CONTROL_HOST, ip), "up0"));
	mesh_lab_nl_free(nl);
	return 0;
}

int mesh_lab_network_make(const struct mesh_lab *lab, struct mesh_errs *errs)
{
	mesh_auto_fd int fabric = -1;
	char name[MESH_LAB_TEXT], what[16];
	int r;

	fabric = mesh_lab_netns_make(mesh_lab_netns_name(lab, "fabric", name));
	TRY(name, fabric);
	r = fabric_make(lab, fabric, errs);
	for (unsigned n = 1; r == 0 && n <= lab->nodes; n++) {
		mesh_auto_fd int ns = -1;

		snprintf(what, sizeof(what), "n%u", n);
		ns = mesh_lab_netns_make(mesh_lab_netns_name(lab, what, name));
		TRY(name, ns);
		r = node_make(lab, n, ns, fabric, errs);
	}
	return r;
}
