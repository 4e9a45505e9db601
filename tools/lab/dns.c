/* SPDX-License-Identifier: Apache-2.0 */
/* Names for the DNS server: Services, and the pods of headless ones; and the Services of the lab itself. */
#include "lab/controllers.h"

#include "core/log.h"
#include "core/mem.h"
#include "lab/lab_proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

static void add_name(struct mesh_buf *out, const char *ip, const char *host, const json_t *svc)
{
	const char *ns = mesh_lab_text(svc, "metadata.namespace"), *name = mesh_lab_text(svc, "metadata.name");

	mesh_buf_printf(out, "%s %s%s%s.%s.svc.cluster.local\n", ip, host ? host : "", host ? "." : "", name, ns);
}

static const char *pod_hostname(const struct mesh_controllers *c, const json_t *endpoint, const char *ns)
{
	const json_t *pod = mesh_lab_cache_get(&c->pods, ns, mesh_lab_text(endpoint, "targetRef.name"));
	const char *host = mesh_lab_text(pod, "spec.hostname");

	return *host ? host : NULL;
}

static void add_headless(const struct mesh_controllers *c, const json_t *svc, struct mesh_buf *out)
{
	const char *ns = mesh_lab_text(svc, "metadata.namespace");

	mesh_lab_cache_each(e, &c->slices)
	{
		const json_t *slice = e->value;
		const char *of = json_string_value(
			json_object_get(mesh_lab_at(slice, "metadata.labels"), "kubernetes.io/service-name"));
		json_t *endpoint;
		size_t i;

		if (!of || strcmp(of, mesh_lab_text(svc, "metadata.name")) != 0 ||
		    strcmp(mesh_lab_text(slice, "metadata.namespace"), ns) != 0)
			continue;
		json_array_foreach(json_object_get(slice, "endpoints"), i, endpoint)
		{
			const char *ip = json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0));
			const char *host = pod_hostname(c, endpoint, ns);

			if (!ip || json_is_false(mesh_lab_at(endpoint, "conditions.ready")))
				continue;
			add_name(out, ip, NULL, svc);
			if (host)
				add_name(out, ip, host, svc);
		}
	}
}

static void reload_server(const struct mesh_controllers *c)
{
	mesh_auto_free char *path = mesh_lab_path(&c->lab, "dns/pid"), *comm = NULL;
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0}, name = {0};
	int pid;

	if (mesh_file_read(path, 32, &text) < 0 || (pid = atoi(text.data)) <= 1)
		return; /* it reads the file when it starts */
	comm = mesh_xasprintf("/proc/%d/comm", pid);
	if (mesh_file_read(comm, 64, &name) == 0 && strncmp(name.data, "dnsmasq", 7) == 0)
		kill(pid, SIGHUP);
}

void mesh_dns_reconcile(struct mesh_controllers *c, const char *ns, const char *unused)
{
	mesh_auto_free char *path = mesh_lab_path(&c->lab, "dns/hosts");
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0}, now = {0};

	(void)ns;
	(void)unused;
	mesh_lab_cache_each(e, &c->services)
	{
		const json_t *svc = e->value;
		json_t *ip;
		size_t i;

		if (mesh_lab_is(svc, "spec.clusterIP", "None")) {
			add_headless(c, svc, &out);
			continue;
		}
		if (json_array_size(mesh_lab_at(svc, "spec.clusterIPs")) == 0 && *mesh_lab_text(svc, "spec.clusterIP"))
			add_name(&out, mesh_lab_text(svc, "spec.clusterIP"), NULL, svc);
		json_array_foreach(mesh_lab_at(svc, "spec.clusterIPs"), i, ip)
			add_name(&out, json_string_value(ip), NULL, svc);
	}
	if (mesh_file_read(path, 16 << 20, &now) == 0 && mesh_slice_eq(mesh_buf_view(&now), mesh_buf_view(&out)))
		return;
	if (mesh_file_write(path, mesh_buf_view(&out), 0644) == 0)
		reload_server(c);
}

static void create(struct mesh_controllers *c, const char *path, json_t *body, struct mesh_lab_cache *cache)
{
	mesh_controllers_write(c, MESH_CONTROLLER_SYSTEM, "", "", "POST", path, body, cache);
}

static void need_namespace(struct mesh_controllers *c, const char *name)
{
	if (!mesh_lab_cache_get(&c->namespaces, "", name))
		create(c, "/api/v1/namespaces",
		       json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name",
				 name),
		       &c->namespaces);
}

struct fixed {
	const char *ns, *name, *label;
	unsigned service_host, endpoint_host;
	json_t *ports, *target_ports;
};

/* A Service without a selector, and the slice that says where it really is. */
static void need_service(struct mesh_controllers *c, const struct fixed *f)
{
	mesh_auto_free char *services = mesh_xasprintf("/api/v1/namespaces/%s/services", f->ns);
	mesh_auto_free char *slices = mesh_xasprintf("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices", f->ns);
	char ip[MESH_LAB_TEXT];
	bool have_slice = false;

	if (!mesh_lab_cache_get(&c->services, f->ns, f->name))
		create(c, services,
		       json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:{s:s, s:O}}", "apiVersion", "v1", "kind",
				 "Service", "metadata", "name", f->name, "namespace", f->ns, "labels", "k8s-app",
				 f->label, "spec", "clusterIP", mesh_lab_service_ip(&c->lab, f->service_host, ip),
				 "ports", f->ports),
		       &c->services);
	mesh_lab_cache_each(e, &c->slices)
	{
		const char *of = json_string_value(
			json_object_get(mesh_lab_at(e->value, "metadata.labels"), "kubernetes.io/service-name"));

		have_slice |= of && strcmp(of, f->name) == 0 &&
			      strcmp(mesh_lab_text(e->value, "metadata.namespace"), f->ns) == 0;
	}
	if (!have_slice)
		create(c, slices,
		       json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:[{s:[s], s:{s:b, s:b, s:b}}], s:O}",
				 "apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "addressType", "IPv4",
				 "metadata", "name", f->name, "namespace", f->ns, "labels",
				 "kubernetes.io/service-name", f->name, "endpoints", "addresses",
				 mesh_lab_fabric_ip(&c->lab, f->endpoint_host, ip), "conditions", "ready", 1, "serving",
				 1, "terminating", 0, "ports", f->target_ports),
		       &c->slices);
}

void mesh_system_reconcile(struct mesh_controllers *c, const char *ns, const char *name)
{
	static const char *const namespaces[] = {"default", "kube-system", "kube-node-lease", "kube-public"};
	struct fixed dns = {.ns = "kube-system",
			    .name = "kube-dns",
			    .label = "kube-dns",
			    .service_host = MESH_LAB_SERVICE_DNS,
			    .endpoint_host = MESH_LAB_DNS_HOST};
	struct fixed api = {.ns = "default",
			    .name = "kubernetes",
			    .label = "kubernetes",
			    .service_host = MESH_LAB_SERVICE_KUBERNETES,
			    .endpoint_host = MESH_LAB_CONTROL_HOST};

	(void)ns;
	(void)name;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(namespaces); i++)
		need_namespace(c, namespaces[i]);
	if (!mesh_lab_cache_get(&c->namespaces, "", "kube-system") ||
	    !mesh_lab_cache_get(&c->namespaces, "", "default"))
		return; /* looked at again when they are there */
	dns.ports = json_pack("[{s:s, s:s, s:i}, {s:s, s:s, s:i}]", "name", "dns", "protocol", "UDP", "port", 53,
			      "name", "dns-tcp", "protocol", "TCP", "port", 53);
	dns.target_ports = json_incref(dns.ports);
	api.ports = json_pack("[{s:s, s:s, s:i, s:i}]", "name", "https", "protocol", "TCP", "port", 443, "targetPort",
			      MESH_LAB_API_PORT);
	api.target_ports =
		json_pack("[{s:s, s:s, s:i}]", "name", "https", "protocol", "TCP", "port", MESH_LAB_API_PORT);
	need_service(c, &dns);
	need_service(c, &api);
	json_decref(dns.ports);
	json_decref(dns.target_ports);
	json_decref(api.ports);
	json_decref(api.target_ports);
}
