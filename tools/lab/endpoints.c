/* SPDX-License-Identifier: Apache-2.0 */
/* Which pods stand behind a Service: EndpointSlices for each address family, and the older Endpoints. */
#include "lab/controllers.h"

#include "core/mem.h"

#include <stdio.h>

struct service {
	struct mesh_controllers *c;
	const json_t *svc;
	const char *ns, *name;
	MESH_VEC(const json_t *) pods; /* selected, with an address, in order of their names */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(mesh_lab_text(*(json_t *const *)a, "metadata.name"),
		      mesh_lab_text(*(json_t *const *)b, "metadata.name"));
}

static void collect(struct service *s)
{
	mesh_lab_cache_each(e, &s->c->pods)
	{
		const json_t *pod = e->value;

		if (strcmp(mesh_lab_text(pod, "metadata.namespace"), s->ns) == 0 &&
		    mesh_lab_labels_match(mesh_lab_at(s->svc, "spec.selector"), mesh_lab_at(pod, "metadata.labels")) &&
		    *mesh_lab_text(pod, "status.podIP") && !mesh_lab_is(pod, "status.phase", "Succeeded") &&
		    !mesh_lab_is(pod, "status.phase", "Failed"))
			mesh_vec_push(&s->pods, pod);
	}
	if (s->pods.count)
		qsort(s->pods.items, s->pods.count, sizeof(s->pods.items[0]), by_name);
}

/* A named targetPort is looked up in the pod; 0 if it has none of that name. */
static long long target_port(const json_t *port, const json_t *pod)
{
	const json_t *target = json_object_get(port, "targetPort");
	const char *name = json_string_value(target);
	json_t *container, *p;
	size_t i;

	if (json_is_integer(target))
		return json_integer_value(target);
	if (!name)
		return mesh_lab_int(port, "port", 0);
	json_array_foreach(mesh_lab_at(pod, "spec.containers"), i, container)
	{
		p = mesh_lab_item(json_object_get(container, "ports"), "name", name);
		if (p)
			return mesh_lab_int(p, "containerPort", 0);
	}
	return 0;
}

/* Pods may differ in what a named port is: slices hold those that agree with the first. */
static json_t *ports_of(const struct service *s, const json_t *pod)
{
	json_t *list = json_array(), *port;
	size_t i;

	json_array_foreach(mesh_lab_at(s->svc, "spec.ports"), i, port)
	{
		long long number = target_port(port, pod);
		json_t *o;

		if (number == 0)
			continue;
		o = json_pack("{s:s, s:s, s:I}", "name", mesh_lab_text(port, "name"), "protocol",
			      *mesh_lab_text(port, "protocol") ? mesh_lab_text(port, "protocol") : "TCP", "port",
			      (json_int_t)number);
		if (*mesh_lab_text(port, "appProtocol"))
			json_object_set(o, "appProtocol", json_object_get(port, "appProtocol"));
		json_array_append_new(list, o);
	}
	return list;
}

static const char *address_of(const json_t *pod, bool six)
{
	json_t *item;
	size_t i;

	json_array_foreach(mesh_lab_at(pod, "status.podIPs"), i, item)
	{
		const char *ip = mesh_lab_text(item, "ip");

		if (*ip && (strchr(ip, ':') != NULL) == six)
			return ip;
	}
	return six ? NULL : mesh_lab_text(pod, "status.podIP");
}

static json_t *target_ref(const json_t *pod)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "kind", "Pod", "namespace", mesh_lab_text(pod, "metadata.namespace"),
			 "name", mesh_lab_text(pod, "metadata.name"), "uid", mesh_lab_text(pod, "metadata.uid"));
}

static json_t *endpoint_of(const struct service *s, const json_t *pod, const char *ip)
{
	bool serving = mesh_lab_condition(pod, "Ready"), leaving = mesh_lab_deleting(pod);
	bool ready = (serving && !leaving) || json_is_true(mesh_lab_at(s->svc, "spec.publishNotReadyAddresses"));
	json_t *o = json_pack("{s:[s], s:{s:b, s:b, s:b}, s:o}", "addresses", ip, "conditions", "ready", ready,
			      "serving", serving, "terminating", leaving, "targetRef", target_ref(pod));

	if (*mesh_lab_text(pod, "spec.nodeName"))
		json_object_set(o, "nodeName", mesh_lab_at(pod, "spec.nodeName"));
	return o;
}

static json_t *owner_of(const struct service *s)
{
	return json_pack("[{s:s, s:s, s:s, s:s, s:b, s:b}]", "apiVersion", "v1", "kind", "Service", "name", s->name,
			 "uid", mesh_lab_text(s->svc, "metadata.uid"), "controller", 1, "blockOwnerDeletion", 1);
}

static bool wants_family(const json_t *svc, bool six)
{
	const json_t *families = mesh_lab_at(svc, "spec.ipFamilies");
	json_t *family;
	size_t i;

	if (json_array_size(families) == 0)
		return !six;
	json_array_foreach(families, i, family)
	{
		if (strcmp(json_string_value(family) ? json_string_value(family) : "", six ? "IPv6" : "IPv4") == 0)
			return true;
	}
	return false;
}

static void sync_slice(struct service *s, bool six)
{
	mesh_auto_free char *name = mesh_xasprintf("%s-%s", s->name, six ? "lab6" : "lab4");
	mesh_auto_free char *all = mesh_xasprintf("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices", s->ns);
	mesh_auto_free char *one = mesh_xasprintf("%s/%s", all, name);
	json_t *have = mesh_lab_cache_get(&s->c->slices, s->ns, name), *ports = NULL, *list = json_array(), *body;

	mesh_vec_each (pod, &s->pods) {
		const char *ip = address_of(*pod, six);
		json_t *own = ports_of(s, *pod);

		if (!ports)
			ports = json_incref(own);
		if (ip && json_equal(own, ports))
			json_array_append_new(list, endpoint_of(s, *pod, ip));
		json_decref(own);
	}
	if (!ports)
		ports = ports_of(s, NULL);
	if (have && json_equal(json_object_get(have, "endpoints"), list) &&
	    json_equal(json_object_get(have, "ports"), ports)) {
		json_decref(ports);
		json_decref(list);
		return;
	}
	body = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}, s:o}, s:o, s:o}", "apiVersion",
			 "discovery.k8s.io/v1", "kind", "EndpointSlice", "addressType", six ? "IPv6" : "IPv4",
			 "metadata", "name", name, "namespace", s->ns, "labels", "kubernetes.io/service-name", s->name,
			 "endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io", "ownerReferences",
			 owner_of(s), "endpoints", list, "ports", ports);
	mesh_controllers_write(s->c, MESH_CONTROLLER_ENDPOINTS, s->ns, s->name, have ? "PATCH" : "POST",
			       have ? one : all, body, &s->c->slices);
}

static json_t *subsets_of(const struct service *s)
{
	json_t *ready = json_array(), *waiting = json_array(), *subset;

	mesh_vec_each (pod, &s->pods) {
		bool good = (mesh_lab_condition(*pod, "Ready") && !mesh_lab_deleting(*pod)) ||
			    json_is_true(mesh_lab_at(s->svc, "spec.publishNotReadyAddresses"));
		json_t *o;

		if (!good && mesh_lab_deleting(*pod))
			continue;
		o = json_pack("{s:s, s:o}", "ip", mesh_lab_text(*pod, "status.podIP"), "targetRef", target_ref(*pod));
		if (*mesh_lab_text(*pod, "spec.nodeName"))
			json_object_set(o, "nodeName", mesh_lab_at(*pod, "spec.nodeName"));
		json_array_append_new(good ? ready : waiting, o);
	}
	subset = json_object();
	if (json_array_size(ready))
		json_object_set(subset, "addresses", ready);
	if (json_array_size(waiting))
		json_object_set(subset, "notReadyAddresses", waiting);
	json_decref(ready);
	json_decref(waiting);
	if (json_object_size(subset) == 0) {
		json_decref(subset);
		return json_array();
	}
	json_object_set_new(subset, "ports", ports_of(s, s->pods.items[0]));
	return json_pack("[o]", subset);
}

static void sync_endpoints(struct service *s)
{
	mesh_auto_free char *all = mesh_xasprintf("/api/v1/namespaces/%s/endpoints", s->ns);
	mesh_auto_free char *one = mesh_xasprintf("%s/%s", all, s->name);
	json_t *have = mesh_lab_cache_get(&s->c->endpoints, s->ns, s->name), *subsets = subsets_of(s), *body;
	json_t *was = json_object_get(have, "subsets");

	if (have && (json_equal(was, subsets) || (!was && json_array_size(subsets) == 0))) {
		json_decref(subsets);
		return;
	}
	body = json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", "v1", "kind", "Endpoints", "metadata", "name",
			 s->name, "namespace", s->ns, "subsets", subsets);
	mesh_controllers_write(s->c, MESH_CONTROLLER_ENDPOINTS, s->ns, s->name, have ? "PATCH" : "POST",
			       have ? one : all, body, &s->c->endpoints);
}

/* The Service is gone: so are the slices that we made for it, and its Endpoints. */
static void remove_all(struct mesh_controllers *c, const char *ns, const char *name)
{
	mesh_lab_cache_each(e, &c->slices)
	{
		const json_t *slice = e->value;
		const char *of = json_string_value(
			json_object_get(mesh_lab_at(slice, "metadata.labels"), "kubernetes.io/service-name"));
		mesh_auto_free char *path = NULL;

		if (!of || strcmp(of, name) != 0 || strcmp(mesh_lab_text(slice, "metadata.namespace"), ns) != 0 ||
		    !mesh_lab_controller_of(slice))
			continue;
		path = mesh_xasprintf("/apis/discovery.k8s.io/v1/namespaces/%s/endpointslices/%s", ns,
				      mesh_lab_text(slice, "metadata.name"));
		mesh_controllers_write(c, MESH_CONTROLLER_ENDPOINTS, ns, name, "DELETE", path, NULL, NULL);
	}
	if (mesh_lab_cache_get(&c->endpoints, ns, name)) {
		mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/endpoints/%s", ns, name);

		mesh_controllers_write(c, MESH_CONTROLLER_ENDPOINTS, ns, name, "DELETE", path, NULL, NULL);
	}
}

void mesh_endpoints_reconcile(struct mesh_controllers *c, const char *ns, const char *name)
{
	struct service s = {.c = c, .ns = ns, .name = name, .svc = mesh_lab_cache_get(&c->services, ns, name)};

	if (!s.svc || mesh_lab_deleting(s.svc)) {
		remove_all(c, ns, name);
		return;
	}
	if (json_object_size(mesh_lab_at(s.svc, "spec.selector")) == 0 ||
	    mesh_lab_is(s.svc, "spec.type", "ExternalName"))
		return; /* somebody else says who is behind it */
	collect(&s);
	if (wants_family(s.svc, false))
		sync_slice(&s, false);
	if (wants_family(s.svc, true))
		sync_slice(&s, true);
	sync_endpoints(&s);
	mesh_vec_free(&s.pods);
}
