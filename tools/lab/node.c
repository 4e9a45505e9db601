/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/node.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "core/version.h"
#include "lab/lab_internal.h"
#include "lab/lab_net.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

enum {
	LEASE_S = 40,
	RENEW_S = 10,
	PODS_MAX = 250,
};

void mesh_node_event(struct mesh_pod *pod, const char *type, const char *reason, const char *fmt, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	va_list ap;

	if (pod->forgotten)
		return;
	va_start(ap, fmt);
	mesh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	mesh_lab_event(pod->node->events, pod->obj, "Pod", "v1", type, reason, "%s", text.data);
}

static json_t *node_condition(const char *type, bool status, const char *reason, const char *message)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "type", type, "status", status ? "True" : "False", "reason",
			 reason, "message", message, "lastHeartbeatTime", mesh_lab_now(), "lastTransitionTime",
			 mesh_lab_now());
}

static json_t *resources(void)
{
	struct sysinfo info;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	sysinfo(&info);
	return json_pack("{s:o, s:o, s:s}", "cpu", json_sprintf("%ld", cpus), "memory",
			 json_sprintf("%lluKi", (unsigned long long)info.totalram * info.mem_unit / 1024), "pods",
			 "250");
}

static json_t *node_info(const struct mesh_node *node)
{
	struct utsname un;

	uname(&un);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s+, s:s, s:s, s:s, s:s}", "machineID", node->name, "systemUUID",
			 node->name, "bootID", node->name, "kernelVersion", un.release, "osImage", "Sockmesh lab",
			 "containerRuntimeVersion", "lab://", mesh_version, "kubeletVersion", "v1.34.0+lab",
			 "kubeProxyVersion", "", "operatingSystem", "linux", "architecture", "amd64");
}

static json_t *node_status(const struct mesh_node *node)
{
	char ip6[MESH_LAB_TEXT];
	json_t *conditions = json_array();

	json_array_append_new(conditions, node_condition("MemoryPressure", false, "KubeletHasSufficientMemory",
							 "kubelet has sufficient memory available"));
	json_array_append_new(conditions, node_condition("DiskPressure", false, "KubeletHasNoDiskPressure",
							 "kubelet has no disk pressure"));
	json_array_append_new(conditions, node_condition("PIDPressure", false, "KubeletHasSufficientPID",
							 "kubelet has sufficient PID available"));
	json_array_append_new(conditions,
			      node_condition("Ready", true, "KubeletReady", "kubelet is posting ready status"));
	return json_pack("{s:o, s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}], s:o, s:o, s:o, s:{s:{s:i}}}", "conditions",
			 conditions, "addresses", "type", "InternalIP", "address", node->ip, "type", "InternalIP",
			 "address", mesh_lab_fabric_ip6(&node->lab, node->number, ip6), "type", "Hostname", "address",
			 node->name, "capacity", resources(), "allocatable", resources(), "nodeInfo", node_info(node),
			 "daemonEndpoints", "kubeletEndpoint", "Port", MESH_LAB_KUBELET_PORT);
}

static void retry_lease(struct mesh_node *node, uint64_t delay_ns)
{
	mesh_timer_set(node->loop, &node->lease, delay_ns);
}

static void lease_renewed(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_node *node = arg;
	mesh_auto_free char *path = mesh_xasprintf("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases");
	char now[32];
	json_t *o;

	if (r->status != 404)
		return;
	o = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:i, s:s}}", "apiVersion", "coordination.k8s.io/v1", "kind",
		      "Lease", "metadata", "name", node->name, "namespace", "kube-node-lease", "spec", "holderIdentity",
		      node->name, "leaseDurationSeconds", LEASE_S, "renewTime", mesh_time_text_micro(now));
	mesh_kube_send(node->kube, "POST", path, o, NULL, NULL, mesh_node_ignore, NULL);
	json_decref(o);
}

static void renew_lease(struct mesh_node *node)
{
	mesh_auto_free char *path =
		mesh_xasprintf("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/%s", node->name);
	char now[32];
	json_t *patch = json_pack("{s:{s:s}}", "spec", "renewTime", mesh_time_text_micro(now));

	mesh_kube_send(node->kube, "PATCH", path, patch, NULL, NULL, lease_renewed, node);
	json_decref(patch);
	retry_lease(node, MESH_SEC(RENEW_S));
}

void mesh_node_ignore(void *arg, const struct mesh_kube_response *r)
{
	(void)arg;
	if (r->status == 0 || r->status >= 400)
		mesh_warn("%s", r->error ? r->error : "no answer");
}

static void status_written(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_node *node = arg;

	if (r->status != 200) {
		mesh_warn("node status: %s", r->error ? r->error : "no answer");
		node->registered = false;
		retry_lease(node, MESH_MS(100));
		return;
	}
	node->registered = true;
	renew_lease(node);
}

static void registered(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_node *node = arg;
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/nodes/%s/status", node->name);
	json_t *patch;

	if (r->status != 200 && r->status != 201 && r->status != 409) {
		mesh_warn("registering: %s", r->error ? r->error : "no answer");
		retry_lease(node, MESH_MS(100));
		return;
	}
	patch = json_pack("{s:o}", "status", node_status(node));
	mesh_kube_send(node->kube, "PATCH", path, patch, "application/merge-patch+json", NULL, status_written, node);
	json_decref(patch);
}

static void register_node(struct mesh_node *node)
{
	char ip[MESH_LAB_TEXT], ip6[MESH_LAB_TEXT], cidr[MESH_LAB_TEXT + 8], cidr6[MESH_LAB_TEXT + 8];
	json_t *o, *labels;

	snprintf(cidr, sizeof(cidr), "%s/24", mesh_lab_pod_ip(&node->lab, node->number, 0, ip));
	snprintf(cidr6, sizeof(cidr6), "%s/64", mesh_lab_pod_ip6(&node->lab, node->number, 0, ip6));
	labels = json_pack("{s:s, s:s, s:s, s:s}", "kubernetes.io/hostname", node->name, "kubernetes.io/os", "linux",
			   "kubernetes.io/arch", "amd64", "sockmesh.io/lab", node->lab.name);
	o = json_pack("{s:s, s:s, s:{s:s, s:o}, s:{s:s, s:[s, s]}}", "apiVersion", "v1", "kind", "Node", "metadata",
		      "name", node->name, "labels", labels, "spec", "podCIDR", cidr, "podCIDRs", cidr, cidr6);
	mesh_kube_send(node->kube, "POST", "/api/v1/nodes", o, NULL, NULL, registered, node);
	json_decref(o);
}

static void lease_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_node *node = mesh_container_of(timer, struct mesh_node, lease);

	(void)loop;
	if (node->registered)
		renew_lease(node);
	else
		register_node(node);
}

void mesh_node_register(struct mesh_node *node)
{
	node->lease.fn = lease_due;
	register_node(node);
}

static void pods_changed(void *arg, struct mesh_lab_cache *cache, json_t *old, json_t *obj)
{
	struct mesh_node *node = arg;

	(void)cache;
	if (obj)
		mesh_pod_seen(node, obj);
	else if (old)
		mesh_pod_unseen(node, old);
	else
		mesh_pods_listed(node);
}

static void services_changed(void *arg, struct mesh_lab_cache *cache, json_t *old, json_t *obj)
{
	(void)cache;
	(void)old;
	(void)obj;
	mesh_node_services_changed(arg);
}

static void watch_all(struct mesh_node *node)
{
	static char query[64];

	snprintf(query, sizeof(query), "fieldSelector=spec.nodeName%%3D%s", node->name);
	mesh_lab_cache_start(&node->configmaps, node->kube, "configmaps", "/api/v1/configmaps", NULL, NULL, NULL);
	mesh_lab_cache_start(&node->secrets, node->kube, "secrets", "/api/v1/secrets", NULL, NULL, NULL);
	mesh_lab_cache_start(&node->services, node->kube, "services", "/api/v1/services", NULL, services_changed, node);
	mesh_lab_cache_start(&node->slices, node->kube, "endpointslices", "/apis/discovery.k8s.io/v1/endpointslices",
			     NULL, services_changed, node);
	mesh_lab_cache_start(&node->pods, node->kube, "pods", "/api/v1/pods", query, pods_changed, node);
}

static void stop(void *arg)
{
	mesh_loop_stop(arg);
}

static int make_dirs(const struct mesh_node *node)
{
	mesh_auto_free char *pods = mesh_lab_path(&node->lab, "node-%u/pods", node->number),
			    *files = mesh_lab_path(&node->lab, "node-%u/files", node->number);
	int r = mesh_lab_mkdir(pods);

	return r < 0 ? r : mesh_lab_mkdir(files);
}

int mesh_lab_node(const struct mesh_lab_args *args)
{
	static struct mesh_node node;
	char what[16], netns[MESH_LAB_TEXT];
	int r;

	node.number = args->node;
	snprintf(node.name, sizeof(node.name), "node-%u", node.number % 1000);
	mesh_log_init(node.name, MESH_LOG_INFO);
	if (mesh_lab_pick(args, &node.lab) < 0)
		return 1;
	mesh_lab_fabric_ip(&node.lab, node.number, node.ip);
	snprintf(what, sizeof(what), "n%u", node.number % 1000);
	node.netns = mesh_lab_netns_open(mesh_lab_netns_name(&node.lab, what, netns));
	r = node.netns < 0 ? node.netns : mesh_loop_new(&node.loop);
	if (r == 0)
		r = mesh_loop_on_term(node.loop, stop, node.loop);
	if (r == 0)
		r = make_dirs(&node);
	if (r == 0)
		r = mesh_lab_kube(&node.lab, node.loop, "meshctl-lab-node", &node.kube);
	if (r == 0)
		r = mesh_node_serve(&node);
	if (r < 0) {
		mesh_error("cannot start: %s", strerror(-r));
		return 1;
	}
	node.events = mesh_lab_events_new(node.kube, "kubelet", node.name);
	mesh_pods_restore(&node);
	mesh_node_register(&node);
	watch_all(&node);
	return mesh_loop_run(node.loop) < 0;
}
