/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lease.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/" MESH_ROOT_NAMESPACE "/leases"

struct mesh_lease {
	struct mesh_loop *loop;
	struct mesh_kube *kube;
	char *name, *component, *holder, *path;
	json_t *versions; /* NULL: nothing in force yet, no Lease */
	struct mesh_timer timer;
	struct mesh_kube_request *request;
	char *trouble; /* as said last, or NULL */
	bool dirty, withdrawn;
};

static void send_lease(struct mesh_lease *lease);

static json_t *micro_time(void)
{
	char text[MESH_TIME_TEXT];

	return json_string(mesh_time_text_micro(text));
}

static json_t *lease_object(struct mesh_lease *lease)
{
	char *versions = json_dumps(lease->versions, JSON_COMPACT | JSON_SORT_KEYS);
	json_t *obj = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}, s:{s:s}}, s:{s:s, s:i, s:o}}", "apiVersion",
				"coordination.k8s.io/v1", "kind", "Lease", "metadata", "name", lease->name, "namespace",
				MESH_ROOT_NAMESPACE, "labels", MESH_LEASE_COMPONENT_LABEL, lease->component,
				"annotations", MESH_LEASE_IN_FORCE, versions, "spec", "holderIdentity", lease->holder,
				"leaseDurationSeconds", MESH_LEASE_SECONDS, "renewTime", micro_time());

	free(versions);
	return obj;
}

/* An API that is away for an hour is not said a thousand times. */
static void say(struct mesh_lease *lease, const char *trouble)
{
	if (!trouble && lease->trouble)
		mesh_info("lease %s: is written again", lease->name);
	else if (trouble && (!lease->trouble || strcmp(lease->trouble, trouble) != 0))
		mesh_warn("lease %s: %s", lease->name, trouble);
	free(lease->trouble);
	lease->trouble = mesh_xstrdup(trouble);
}

static void on_done(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_lease *lease = arg;
	bool ok = r->status >= 200 && r->status < 300;

	lease->request = NULL;
	if (lease->withdrawn)
		return;
	if (r->status == 404 && r->reason && !lease->dirty) {
		json_t *obj = lease_object(lease);

		lease->request = mesh_kube_send(lease->kube, "POST", LEASES, obj, NULL, NULL, on_done, lease);
		json_decref(obj);
		if (lease->request)
			return;
	}
	if (ok || r->status != 404)
		say(lease, ok ? NULL : r->error ? r->error : "refused");
	if (ok && lease->dirty)
		send_lease(lease);
	else
		mesh_timer_set(lease->loop, &lease->timer, ok ? MESH_SEC(MESH_LEASE_RENEW_SECONDS) : MESH_SEC(1));
}

static void send_lease(struct mesh_lease *lease)
{
	json_t *obj;

	if (lease->request || !lease->versions || lease->withdrawn)
		return;
	lease->dirty = false;
	obj = lease_object(lease);
	lease->request = mesh_kube_send(lease->kube, "PATCH", lease->path, obj, NULL, NULL, on_done, lease);
	json_decref(obj);
	if (!lease->request)
		mesh_timer_set(lease->loop, &lease->timer, MESH_SEC(1));
}

static void on_timer(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	send_lease(mesh_container_of(timer, struct mesh_lease, timer));
}

int mesh_lease_new(struct mesh_lease **ret, struct mesh_loop *loop, struct mesh_kube *kube,
		   const struct mesh_lease_opts *opts)
{
	struct mesh_lease *lease = mesh_xcalloc(1, sizeof(*lease));

	lease->loop = loop;
	lease->kube = kube;
	lease->name = mesh_xstrdup(opts->name);
	lease->component = mesh_xstrdup(opts->component);
	lease->holder = mesh_xstrdup(opts->holder);
	lease->path = mesh_xasprintf(LEASES "/%s", opts->name);
	lease->timer.fn = on_timer;
	*ret = lease;
	return 0;
}

void mesh_lease_report(struct mesh_lease *lease, json_t *versions, bool at_once)
{
	if (lease->versions && json_equal(lease->versions, versions)) {
		json_decref(versions);
		return;
	}
	json_decref(lease->versions);
	lease->versions = versions;
	if (lease->request)
		lease->dirty = true;
	else if (at_once)
		send_lease(lease);
	else if (!lease->dirty) {
		lease->dirty = true;
		mesh_timer_set(lease->loop, &lease->timer, MESH_MS(50));
	}
}

void mesh_lease_withdraw(struct mesh_lease *lease)
{
	uint64_t until = mesh_now_ns() + MESH_SEC(1);

	if (!lease || !lease->versions)
		return;
	if (lease->request)
		mesh_kube_cancel(lease->request);
	lease->withdrawn = true;
	lease->request = mesh_kube_send(lease->kube, "DELETE", lease->path, NULL, NULL, NULL, on_done, lease);
	while (lease->request && mesh_now_ns() < until)
		if (mesh_loop_once(lease->loop, 50) < 0)
			break;
}

void mesh_lease_free(struct mesh_lease *lease)
{
	if (!lease)
		return;
	if (lease->request)
		mesh_kube_cancel(lease->request);
	mesh_timer_remove(lease->loop, &lease->timer);
	json_decref(lease->versions);
	free(lease->trouble);
	free(lease->name);
	free(lease->component);
	free(lease->holder);
	free(lease->path);
	free(lease);
}
