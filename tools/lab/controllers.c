/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/controllers.h"

#include "core/log.h"
#include "core/mem.h"
#include "lab/lab_internal.h"

#include <stdio.h>

enum { AGAIN_MS = 1000 };

static const struct {
	const char *name;
	mesh_reconcile_fn *fn;
} table[MESH_CONTROLLER_COUNT] = {
	[MESH_CONTROLLER_DEPLOYMENT] = {"deployment", mesh_deployment_reconcile},
	[MESH_CONTROLLER_REPLICASET] = {"replicaset", mesh_replicaset_reconcile},
	[MESH_CONTROLLER_ENDPOINTS] = {"endpoints", mesh_endpoints_reconcile},
	[MESH_CONTROLLER_POD] = {"pod", mesh_pod_reconcile},
	[MESH_CONTROLLER_DNS] = {"dns", mesh_dns_reconcile},
	[MESH_CONTROLLER_SYSTEM] = {"system", mesh_system_reconcile},
};

/* Writes under way for one key. */
struct mesh_busy {
	unsigned writes;
};

/* A key waits in the queue, or for its time. */
struct item {
	enum mesh_controller which;
	char *ns, *name;
	uint64_t due_ns;
};

struct write {
	struct mesh_controllers *c;
	char *key;
	enum mesh_controller which;
	char *ns, *name, *what;
	struct mesh_lab_cache *cache;
};

static char *key_of(enum mesh_controller which, const char *ns, const char *name)
{
	return mesh_xasprintf("%d/%s/%s", (int)which, ns, name);
}

static void queue_at(struct mesh_controllers *c, enum mesh_controller which, const char *ns, const char *name,
		     uint64_t delay_ns)
{
	mesh_auto_free char *key = key_of(which, ns, name);
	struct item *item = mesh_map_get_str(&c->dirty, key);
	uint64_t due = mesh_now_ns() + delay_ns;

	if (!item) {
		item = mesh_xcalloc(1, sizeof(*item));
		item->which = which;
		item->ns = mesh_xstrdup(ns);
		item->name = mesh_xstrdup(name);
		item->due_ns = due;
		mesh_map_put_str(&c->dirty, key, item);
	} else if (due < item->due_ns) {
		item->due_ns = due;
	}
	if (c->work.heap_at == 0 || c->work.due_ns > due)
		mesh_timer_set(c->loop, &c->work, delay_ns);
}

void mesh_controllers_queue(struct mesh_controllers *c, enum mesh_controller which, const char *ns, const char *name)
{
	queue_at(c, which, ns, name, 0);
}

void mesh_controllers_queue_later(struct mesh_controllers *c, enum mesh_controller which, const char *ns,
				  const char *name)
{
	queue_at(c, which, ns, name, MESH_MS(AGAIN_MS));
}

static bool all_synced(const struct mesh_controllers *c)
{
	return c->deployments.synced && c->replicasets.synced && c->pods.synced && c->services.synced &&
	       c->slices.synced && c->endpoints.synced && c->nodes.synced && c->leases.synced && c->namespaces.synced;
}

static void item_free(struct item *item)
{
	free(item->ns);
	free(item->name);
	free(item);
}

static void work(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_controllers *c = mesh_container_of(timer, struct mesh_controllers, work);
	MESH_VEC(struct item *) batch = {0};
	uint64_t now = mesh_now_ns(), next = UINT64_MAX;

	(void)loop;
	if (!all_synced(c)) /* the last list to come in starts the work */
		return;
	mesh_map_each (e, &c->dirty) {
		struct item *item = e->value;

		if (item->due_ns > now) {
			next = MESH_MIN(next, item->due_ns);
		} else if (!mesh_map_get(&c->busy, mesh_slice_of(e->key, e->key_len))) {
			mesh_vec_push(&batch, item);
			mesh_map_remove(&c->dirty, mesh_slice_of(e->key, e->key_len));
		}
	}
	mesh_vec_each (item, &batch) {
		table[(*item)->which].fn(c, (*item)->ns, (*item)->name);
		item_free(*item);
	}
	mesh_vec_free(&batch);
	if (next != UINT64_MAX && (timer->heap_at == 0 || timer->due_ns > next))
		mesh_timer_set(c->loop, timer, next > now ? next - now : 0);
}

static void written(void *arg, const struct mesh_kube_response *r)
{
	struct write *w = arg;
	struct mesh_controllers *c = w->c;
	struct mesh_busy *busy = mesh_map_get_str(&c->busy, w->key);
	bool ok = r->status >= 200 && r->status < 300;

	if (busy && --busy->writes == 0) {
		mesh_map_remove_str(&c->busy, w->key);
		free(busy);
	}
	if (ok && w->cache && r->body && mesh_lab_rv(r->body))
		mesh_lab_cache_put(w->cache, r->body);
	if (ok || r->status == 404 || r->status == 409) {
		mesh_controllers_queue(c, w->which, w->ns, w->name);
	} else {
		mesh_warn("%s %s/%s: %s: %s", table[w->which].name, w->ns, w->name, w->what,
			  r->error ? r->error : "no answer");
		mesh_controllers_queue_later(c, w->which, w->ns, w->name);
	}
	free(w->key);
	free(w->ns);
	free(w->name);
	free(w->what);
	free(w);
}

void mesh_controllers_write(struct mesh_controllers *c, enum mesh_controller which, const char *ns, const char *name,
			    const char *method, const char *path, json_t *body, struct mesh_lab_cache *cache)
{
	struct write *w = mesh_xcalloc(1, sizeof(*w));
	struct mesh_busy *busy;

	w->c = c;
	w->which = which;
	w->key = key_of(which, ns, name);
	w->ns = mesh_xstrdup(ns);
	w->name = mesh_xstrdup(name);
	w->what = mesh_xasprintf("%s %s", method, path);
	w->cache = cache;
	busy = mesh_map_get_str(&c->busy, w->key);
	if (!busy) {
		busy = mesh_xcalloc(1, sizeof(*busy));
		mesh_map_put_str(&c->busy, w->key, busy);
	}
	busy->writes++;
	mesh_kube_send(c->kube, method, path, body, NULL, NULL, written, w);
	json_decref(body);
}

static void queue_owner(struct mesh_controllers *c, const json_t *obj, const char *kind, enum mesh_controller which)
{
	const json_t *owner = mesh_lab_controller_of(obj);

	if (owner && mesh_lab_is(owner, "kind", kind))
		mesh_controllers_queue(c, which, mesh_lab_text(obj, "metadata.namespace"),
				       mesh_lab_text(owner, "name"));
}

/* Services of the pod's namespace that select it: before or after the change. */
static void queue_services(struct mesh_controllers *c, const json_t *pod)
{
	const char *ns = mesh_lab_text(pod, "metadata.namespace");

	mesh_lab_cache_each(e, &c->services)
	{
		const json_t *svc = e->value;

		if (strcmp(mesh_lab_text(svc, "metadata.namespace"), ns) == 0 &&
		    mesh_lab_labels_match(mesh_lab_at(svc, "spec.selector"), mesh_lab_at(pod, "metadata.labels")))
			mesh_controllers_queue(c, MESH_CONTROLLER_ENDPOINTS, ns, mesh_lab_text(svc, "metadata.name"));
	}
}

static void queue_own(struct mesh_controllers *c, enum mesh_controller which, const json_t *obj)
{
	mesh_controllers_queue(c, which, mesh_lab_text(obj, "metadata.namespace"), mesh_lab_text(obj, "metadata.name"));
}

static void queue_all(struct mesh_controllers *c, const struct mesh_lab_cache *cache, enum mesh_controller which)
{
	mesh_lab_cache_each(e, cache) queue_own(c, which, e->value);
}

static void changed(void *arg, struct mesh_lab_cache *cache, json_t *old, json_t *obj)
{
	struct mesh_controllers *c = arg;
	const json_t *versions[2] = {old, obj};

	if (!old && !obj) {
		if (all_synced(c)) {
			mesh_controllers_queue(c, MESH_CONTROLLER_SYSTEM, "", "");
			mesh_timer_set(c->loop, &c->work, 0);
		}
		return;
	}
	for (int i = 0; i < 2; i++) {
		const json_t *o = versions[i];

		if (!o)
			continue;
		if (cache == &c->deployments) {
			queue_own(c, MESH_CONTROLLER_DEPLOYMENT, o);
		} else if (cache == &c->replicasets) {
			queue_own(c, MESH_CONTROLLER_REPLICASET, o);
			queue_owner(c, o, "Deployment", MESH_CONTROLLER_DEPLOYMENT);
		} else if (cache == &c->pods) {
			queue_own(c, MESH_CONTROLLER_POD, o);
			queue_owner(c, o, "ReplicaSet", MESH_CONTROLLER_REPLICASET);
			queue_services(c, o);
		} else if (cache == &c->services) {
			queue_own(c, MESH_CONTROLLER_ENDPOINTS, o);
			mesh_controllers_queue(c, MESH_CONTROLLER_DNS, "", "");
			mesh_controllers_queue(c, MESH_CONTROLLER_SYSTEM, "", "");
		} else if (cache == &c->slices) {
			const char *svc = json_string_value(
				json_object_get(mesh_lab_at(o, "metadata.labels"), "kubernetes.io/service-name"));

			mesh_controllers_queue(c, MESH_CONTROLLER_DNS, "", "");
			if (svc)
				mesh_controllers_queue(c, MESH_CONTROLLER_ENDPOINTS,
						       mesh_lab_text(o, "metadata.namespace"), svc);
		} else if (cache == &c->nodes) {
			queue_all(c, &c->pods, MESH_CONTROLLER_POD);
		} else if (cache == &c->namespaces) {
			mesh_controllers_queue(c, MESH_CONTROLLER_SYSTEM, "", "");
		}
	}
}

static void stop(void *arg)
{
	mesh_loop_stop(arg);
}

static void watch(struct mesh_controllers *c, struct mesh_lab_cache *cache, const char *what, const char *path)
{
	mesh_lab_cache_start(cache, c->kube, what, path, NULL, changed, c);
}

int mesh_lab_controllers(const struct mesh_lab_args *args)
{
	static struct mesh_controllers c;

	mesh_log_init("controllers", MESH_LOG_INFO);
	if (mesh_lab_pick(args, &c.lab) < 0 || mesh_loop_new(&c.loop) < 0 ||
	    mesh_loop_on_term(c.loop, stop, c.loop) < 0 ||
	    mesh_lab_kube(&c.lab, c.loop, "meshctl-lab-controllers", &c.kube) < 0)
		return 1;
	c.work.fn = work;
	c.events = mesh_lab_events_new(c.kube, "lab-controllers", "");
	c.scheduler_events = mesh_lab_events_new(c.kube, "default-scheduler", "");
	watch(&c, &c.namespaces, "namespaces", "/api/v1/namespaces");
	watch(&c, &c.nodes, "nodes", "/api/v1/nodes");
	watch(&c, &c.leases, "leases", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases");
	watch(&c, &c.deployments, "deployments", "/apis/apps/v1/deployments");
	watch(&c, &c.replicasets, "replicasets", "/apis/apps/v1/replicasets");
	watch(&c, &c.pods, "pods", "/api/v1/pods");
	watch(&c, &c.services, "services", "/api/v1/services");
	watch(&c, &c.slices, "endpointslices", "/apis/discovery.k8s.io/v1/endpointslices");
	watch(&c, &c.endpoints, "endpoints", "/api/v1/endpoints");
	return mesh_loop_run(c.loop) < 0;
}
