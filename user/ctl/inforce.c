/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/inforce.h"

#include "core/mem.h"
#include "core/time.h"
#include "ctl/resource.h"

#include <stdio.h>

struct goal {
	char *key; /* "virtualservices.networking.istio.io" */
	uint64_t rv;
};

/* An object whose status must be as new as its spec before its version counts. */
struct unsettled {
	const struct mesh_resource *resource;
	char *path;
};

struct mesh_inforce {
	struct mesh_kube_watch *watch;
	struct mesh_map leases; /* name -> json_t * */
	MESH_VEC(struct goal) goals;
	MESH_VEC(struct unsettled) unsettled;
	bool synced;
};

static void lease_came(void *arg, enum mesh_kube_event event, const json_t *obj, const char *rv)
{
	struct mesh_inforce *in = arg;
	const char *name = mesh_meta(obj, "name");

	(void)rv;
	if (event == MESH_KUBE_SYNCED)
		in->synced = true;
	else if (event == MESH_KUBE_DELETE)
		json_decref(mesh_map_remove_str(&in->leases, name));
	else
		json_decref(mesh_map_put_str(&in->leases, name, json_incref((json_t *)obj)));
}

void mesh_inforce_begin(struct mesh_ctl *ctl)
{
	if (ctl->inforce || !ctl->flags->wait || ctl->flags->dry_run)
		return;
	ctl->inforce = mesh_xcalloc(1, sizeof(*ctl->inforce));
	ctl->inforce->watch =
		mesh_kube_watch_new(ctl->kube, "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases",
				    "labelSelector=sockmesh.io%2Fcomponent", lease_came, ctl->inforce);
}

static uint64_t to_rv(const char *text)
{
	uint64_t v = 0;

	mesh_slice_to_u64(mesh_slice_str(text), UINT64_MAX, &v);
	return v;
}

void mesh_inforce_note(struct mesh_ctl *ctl, const struct mesh_resource *res, const char *rv)
{
	mesh_auto_free char *key = mesh_resource_full(res);
	struct mesh_inforce *in = ctl->inforce;

	if (!in || !rv[0])
		return;
	mesh_vec_each (g, &in->goals) {
		if (strcmp(g->key, key) != 0)
			continue;
		g->rv = MESH_MAX(g->rv, to_rv(rv));
		return;
	}
	mesh_vec_push(&in->goals, ((struct goal){mesh_steal(key), to_rv(rv)}));
}

bool mesh_lease_live(const json_t *lease, time_t now)
{
	const char *renewed = json_string_value(json_object_get(json_object_get(lease, "spec"), "renewTime"));
	int64_t at;

	return mesh_time_parse(renewed, &at) == 0 && now - at <= MESH_LEASE_STALE_SECONDS;
}

json_t *mesh_lease_versions(const json_t *lease)
{
	const json_t *annotations = json_object_get(json_object_get(lease, "metadata"), "annotations");
	const char *text = json_string_value(json_object_get(annotations, "sockmesh.io/in-force"));

	return text ? json_loads(text, 0, NULL) : NULL;
}

/* A kind that is not in the annotation is one that this agent does not follow. */
bool mesh_lease_lags(const json_t *lease, const char *key, uint64_t rv, time_t now)
{
	json_t *versions;
	const char *reached;
	bool lags;

	if (!mesh_lease_live(lease, now))
		return false;
	versions = mesh_lease_versions(lease);
	reached = json_string_value(json_object_get(versions, key));
	lags = reached && to_rv(reached) < rv;
	json_decref(versions);
	return lags;
}

static bool in_force(const struct mesh_inforce *in, struct mesh_buf *lagging)
{
	time_t now = time(NULL);
	bool all = in->synced;

	mesh_map_each (e, &in->leases) {
		mesh_vec_each (g, &in->goals) {
			if (!mesh_lease_lags(e->value, g->key, g->rv, now))
				continue;
			all = false;
			if (lagging)
				mesh_buf_printf(lagging, "%s%s (%s)", lagging->len ? ", " : "", e->key, g->key);
		}
	}
	return all;
}

void mesh_inforce_settle(struct mesh_ctl *ctl, const struct mesh_resource *res, const json_t *obj)
{
	if (ctl->inforce)
		mesh_vec_push(&ctl->inforce->unsettled,
			      ((struct unsettled){res, mesh_resource_path(res, mesh_meta(obj, "namespace"),
									  mesh_meta(obj, "name"))}));
}

static bool any_live(const struct mesh_inforce *in)
{
	time_t now = time(NULL);

	mesh_map_each (e, &in->leases) {
		if (mesh_lease_live(e->value, now))
			return true;
	}
	return false;
}

static bool is_settled(const json_t *obj)
{
	const json_t *seen = json_object_get(json_object_get(obj, "status"), "observedGeneration");
	const json_t *now = json_object_get(json_object_get(obj, "metadata"), "generation");

	return seen && json_integer_value(seen) >= json_integer_value(now);
}

/* The version that counts is the one whose status answers to what was written. */
static void settle(struct mesh_ctl *ctl, const struct unsettled *u, uint64_t end)
{
	for (bool done = false; !done && mesh_now_ns() < end;) {
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};

		if (mesh_ctl_get(ctl, u->path, &a) < 0)
			return;
		done = is_settled(a.body);
		if (done)
			mesh_inforce_note(ctl, u->resource, mesh_meta(a.body, "resourceVersion"));
		else
			mesh_loop_once(ctl->loop, 10);
	}
}

/* Names the objects of the kinds that were changed that an agent or gateway cannot read: they are not in force there.
 */
static void warn_unusable(const struct mesh_inforce *in)
{
	time_t now = time(NULL);

	mesh_map_each (e, &in->leases) {
		json_t *versions = mesh_lease_live(e->value, now) ? mesh_lease_versions(e->value) : NULL, *item;
		size_t i;

		json_array_foreach(json_object_get(versions, "unusable"), i, item)
		{
			const char *what = json_string_value(item);

			mesh_vec_each (g, &in->goals) {
				size_t len = strlen(g->key);

				if (what && strncmp(what, g->key, len) == 0 && what[len] == ' ')
					fprintf(stderr,
						"warning: %s cannot read %s: what was in force before it stays\n",
						e->key, what);
			}
		}
		json_decref(versions);
	}
}

int mesh_inforce_wait(struct mesh_inforce *in, struct mesh_ctl *ctl)
{
	mesh_auto(mesh_buf_free) struct mesh_buf lagging = {0};
	double seconds = ctl->flags->timeout > 0 ? ctl->flags->timeout : MESH_INFORCE_SECONDS;
	uint64_t end = mesh_now_ns() + (uint64_t)(seconds * 1e9);

	if (in->goals.count == 0)
		return 0;
	fflush(stdout);
	while (!in->synced && mesh_now_ns() < end && mesh_loop_once(ctl->loop, 100) == 0)
		;
	if (any_live(in))
		mesh_vec_each (u, &in->unsettled)
			settle(ctl, u, end);
	while (!in_force(in, NULL)) {
		uint64_t now = mesh_now_ns();

		if (now >= end)
			break;
		if (mesh_loop_once(ctl->loop, (int)MESH_MIN((end - now) / 1000000 + 1, 1000UL)) < 0)
			break;
	}
	warn_unusable(in);
	if (in_force(in, &lagging))
		return 0;
	if (!in->synced)
		fprintf(stderr,
			"error: stored, but it is not known whether it is in force: the agents' Leases cannot be "
			"read%s%s\n",
			mesh_kube_watch_error(in->watch) ? ": " : "",
			mesh_kube_watch_error(in->watch) ? mesh_kube_watch_error(in->watch) : "");
	else
		fprintf(stderr, "error: stored, but not in force after %.0f s on: %s\n", seconds, lagging.data);
	return 1;
}

void mesh_inforce_free(struct mesh_inforce *in)
{
	if (!in)
		return;
	mesh_kube_watch_free(in->watch);
	mesh_map_each (e, &in->leases)
		json_decref(e->value);
	mesh_map_free(&in->leases);
	mesh_vec_each (g, &in->goals)
		free(g->key);
	mesh_vec_free(&in->goals);
	mesh_vec_each (u, &in->unsettled)
		free(u->path);
	mesh_vec_free(&in->unsettled);
	free(in);
}
