/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile.h"

#include "config/condition.h"
#include "config/get.h"
#include "core/mem.h"
#include "core/vec.h"
#include "core/version.h"

#include <string.h>

#define MEMBER_OF "maistra.io/member-of"

struct members {
	MESH_VEC(const char *) names; /* sorted, no two alike */
};

static int name_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void members_sort(struct members *m)
{
	size_t n = 0;

	if (m->names.count)
		qsort(m->names.items, m->names.count, sizeof(*m->names.items), name_order);
	for (size_t i = 0; i < m->names.count; i++)
		if (n == 0 || strcmp(m->names.items[n - 1], m->names.items[i]) != 0)
			m->names.items[n++] = m->names.items[i];
	m->names.count = n;
}

/* Those the roll names, and those that say themselves, by a ServiceMeshMember, that they belong to it. */
static void wanted_members(struct mesh_cache *cache, const json_t *roll, struct members *ret)
{
	json_t *list = json_object_get(json_object_get(roll, "spec"), "members"), *name;
	size_t i;

	json_array_foreach(list, i, name) if (json_is_string(name)) mesh_vec_push(&ret->names, json_string_value(name));
	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_SMM))
		if (strcmp(mesh_text(mesh_json_at(e->value, "spec", "controlPlaneRef", NULL), "namespace"),
			   mesh_control_ns(roll)) == 0)
			mesh_vec_push(&ret->names, mesh_control_ns(e->value));
	members_sort(ret);
}

static bool namespace_lives(struct mesh_cache *cache, const char *name)
{
	const json_t *ns = mesh_cache_get(cache, MESH_CONTROL_NAMESPACE, NULL, name);

	return ns && !json_object_get(json_object_get(ns, "metadata"), "deletionTimestamp");
}

/* The status entry of a member, with the times of the one before where nothing changed. */
static json_t *member_status(const json_t *roll, const char *name, bool configured)
{
	json_t *list = json_object_get(json_object_get(roll, "status"), "memberStatuses"), *entry, *before = NULL;
	bool all = strcmp(name, "*") == 0;
	json_t *holder, *ret;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		const char *ns = json_string_value(json_object_get(entry, "namespace"));

		if (ns && strcmp(ns, name) == 0)
			before = entry;
	}
	holder = json_pack("{s:O?}", "status", before);
	ret = json_pack("{s:s, s:[o]}", "namespace", name, "conditions",
			mesh_control_condition(holder, "Reconciled", configured,
					       configured ? "Reconciled"
					       : all      ? "NotSupported"
							  : "NamespaceNotExists",
					       configured ? "Namespace is in the mesh"
					       : all ? "This mesh does not take in all namespaces at once: name them"
						     : "Namespace does not exist"));
	json_decref(holder);
	return ret;
}

static json_t *roll_condition(const json_t *roll, const json_t *plane, size_t pending)
{
	if (!plane)
		return mesh_control_condition(roll, "Ready", false, "SMCPMissing",
					      "No ServiceMeshControlPlane exists in the namespace");
	if (pending)
		return mesh_control_condition(roll, "Ready", false, "NamespaceMissing",
					      "Some of the namespaces do not exist yet");
	return mesh_control_condition(roll, "Ready", true, "Configured",
				      "All namespaces have been configured successfully");
}

static void reconcile_roll(struct mesh_cache *cache, struct mesh_control_force *force, const json_t *roll,
			   struct mesh_map *member_of)
{
	const json_t *plane = mesh_control_plane_of(cache, mesh_control_ns(roll));
	json_t *all = json_array(), *configured = json_array(), *pending = json_array(), *statuses = json_array();
	struct members m = {0};
	json_t *status, *in_force;
	size_t done;

	wanted_members(cache, roll, &m);
	mesh_vec_each (name, &m.names) {
		bool ok = plane && namespace_lives(cache, *name);

		json_array_append_new(all, json_string(*name));
		json_array_append_new(ok ? configured : pending, json_string(*name));
		json_array_append_new(statuses, member_status(roll, *name, ok));
		if (ok)
			mesh_map_put_str(member_of, *name, (void *)(uintptr_t)mesh_control_ns(roll));
	}
	done = json_array_size(configured);
	in_force = mesh_control_roll_in_force(force, cache, roll, configured);
	status =
		json_pack("{s:I, s:I, s:s, s:{s:o}, s:o, s:o, s:o, s:o, s:[o, o]}", "observedGeneration",
			  mesh_control_generation(roll), "meshGeneration",
			  plane ? mesh_control_generation(plane) : (json_int_t)0, "meshReconciledVersion", mesh_version,
			  "annotations", "configuredMemberCount", json_sprintf("%zu/%zu", done, m.names.count),
			  "members", all, "configuredMembers", configured, "pendingMembers", pending, "memberStatuses",
			  statuses, "conditions", roll_condition(roll, plane, json_array_size(pending)), in_force);
	mesh_cache_status(cache, MESH_CONTROL_SMMR, roll, status);
	mesh_vec_free(&m.names);
}

static bool is_configured(const json_t *roll, const char *ns)
{
	json_t *list = json_object_get(json_object_get(roll, "status"), "configuredMembers"), *name;
	size_t i;

	json_array_foreach(list, i,
			   name) if (json_is_string(name) && strcmp(json_string_value(name), ns) == 0) return true;
	return false;
}

static void member_object_status(struct mesh_cache *cache, const json_t *smm, const json_t *plane, const json_t *roll)
{
	const json_t *ref = mesh_json_at(smm, "spec", "controlPlaneRef", NULL);
	const char *ns = mesh_text(ref, "namespace"), *name = mesh_text(ref, "name");
	static const char no_plane[] = "The control plane that it names does not exist";
	bool ready = plane && is_configured(roll, mesh_control_ns(smm));
	json_t *force = json_object_get(mesh_condition_find(roll, "InForce"), "status");
	bool in_force = ready && force && strcmp(json_string_value(force), "True") == 0;

	mesh_cache_status(
		cache, MESH_CONTROL_SMM, smm,
		json_pack("{s:I, s:I, s:s, s:{s:s+++}, s:[o, o, o]}", "observedGeneration",
			  mesh_control_generation(smm), "meshGeneration", mesh_control_generation(plane),
			  "meshReconciledVersion", mesh_version, "annotations", "controlPlaneRef", ns, "/", name, "",
			  "conditions",
			  mesh_control_condition(smm, "Reconciled", plane, plane ? "Reconciled" : "ReconcileError",
						 plane ? "The namespace is on the member roll" : no_plane),
			  mesh_control_condition(smm, "Ready", ready, ready ? "Ready" : "NotReady",
						 ready   ? "The namespace is in the mesh"
						 : plane ? "The member roll does not have the namespace yet"
							 : no_plane),
			  mesh_control_condition(smm, "InForce", in_force, in_force ? "InForce" : "Pending",
						 in_force ? "In force on every node and gateway"
							  : "Not in force yet on every node and gateway")));
}

static void reconcile_member(struct mesh_cache *cache, const json_t *smm)
{
	const json_t *ref = mesh_json_at(smm, "spec", "controlPlaneRef", NULL);
	const char *ns = mesh_text(ref, "namespace");
	const json_t *plane = mesh_cache_get(cache, MESH_CONTROL_SMCP, ns, mesh_text(ref, "name"));
	const json_t *roll = mesh_cache_get(cache, MESH_CONTROL_SMMR, ns, "default");

	if (plane && !roll) /* as the original does: the first member makes the roll */
		mesh_cache_ensure(cache, MESH_CONTROL_SMMR,
				  mesh_json_format("{\"metadata\": {\"name\": \"default\", \"namespace\": \"%s\"}, "
						   "\"spec\": {\"members\": []}}",
						   ns));
	member_object_status(cache, smm, plane, roll);
}

/* The label that tells people, and the original's tools, which mesh a namespace is in. */
static void label_namespaces(struct mesh_cache *cache, const struct mesh_map *member_of)
{
	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_NAMESPACE)) {
		const char *name = mesh_control_name(e->value), *owner = mesh_map_get_str(member_of, name);
		const char *has = mesh_text(mesh_json_at(e->value, "metadata", "labels", NULL), MEMBER_OF);

		if (strcmp(has, owner ? owner : "") == 0)
			continue;
		mesh_cache_ensure(
			cache, MESH_CONTROL_NAMESPACE,
			json_pack("{s:{s:s, s:{s:s?}}}", "metadata", "name", name, "labels", MEMBER_OF, owner));
	}
}

void mesh_control_members(struct mesh_cache *cache, struct mesh_control_force *force)
{
	struct mesh_map member_of = {0};

	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_SMMR))
		reconcile_roll(cache, force, e->value, &member_of);
	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_SMM))
		reconcile_member(cache, e->value);
	label_namespaces(cache, &member_of);
	mesh_map_free(&member_of);
}
