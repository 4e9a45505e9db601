/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile.h"

#include "config/condition.h"
#include "config/decode.h"
#include "config/document.h"
#include "core/mem.h"
#include "model/names.h"

#include <string.h>
#include <time.h>

struct force_row {
	enum mesh_control_kind kind;
	const char *name, *group;
	const char *resource; /* as in the Leases */
	bool acts;            /* agents or gateways act on this kind, in every version of them */
};

#define NETWORKING(id, name, plural, acts)                                                                             \
	{                                                                                                              \
		MESH_CONTROL_##id, name, "networking.istio.io", plural ".networking.istio.io", acts                    \
	}
#define SECURITY(id, name, plural)                                                                                     \
	{                                                                                                              \
		MESH_CONTROL_##id, name, "security.istio.io", plural ".security.istio.io", false                       \
	}
#define EXTENSION(id, name, plural)                                                                                    \
	{                                                                                                              \
		MESH_CONTROL_##id, name, "extensions.istio.io", plural ".extensions.istio.io", false                   \
	}

static const struct force_row rows[] = {
	NETWORKING(VIRTUAL_SERVICE, "VirtualService", "virtualservices", true),
	NETWORKING(DESTINATION_RULE, "DestinationRule", "destinationrules", true),
	NETWORKING(GATEWAY, "Gateway", "gateways", true),
	NETWORKING(SERVICE_ENTRY, "ServiceEntry", "serviceentries", true),
	NETWORKING(SIDECAR, "Sidecar", "sidecars", false),
	NETWORKING(WORKLOAD_ENTRY, "WorkloadEntry", "workloadentries", false),
	NETWORKING(WORKLOAD_GROUP, "WorkloadGroup", "workloadgroups", false),
	NETWORKING(PROXY_CONFIG, "ProxyConfig", "proxyconfigs", false),
	NETWORKING(ENVOY_FILTER, "EnvoyFilter", "envoyfilters", false),
	SECURITY(AUTHORIZATION_POLICY, "AuthorizationPolicy", "authorizationpolicies"),
	SECURITY(PEER_AUTHENTICATION, "PeerAuthentication", "peerauthentications"),
	SECURITY(REQUEST_AUTHENTICATION, "RequestAuthentication", "requestauthentications"),
	{MESH_CONTROL_TELEMETRY, "Telemetry", "telemetry.istio.io", "telemetries.telemetry.istio.io", false},
	EXTENSION(WASM_PLUGIN, "WasmPlugin", "wasmplugins"),
	EXTENSION(TRAFFIC_EXTENSION, "TrafficExtension", "trafficextensions"),
};

#define ROLLS "servicemeshmemberrolls.maistra.io"

/* A generation of an object that is not known to be in force. */
struct force_entry {
	char *uid;
	json_int_t generation;
	unsigned long long version; /* resourceVersion at which it was first seen */
	uint64_t since_ns;
	uint64_t content; /* hash of what counts beside the generation */
	unsigned round;   /* the last in which it was asked for */
};

struct mesh_control_force {
	struct mesh_map entries; /* "KIND NS/NAME" -> struct force_entry * */
	unsigned round;
};

enum { STALE_SECONDS = MESH_LEASE_SECONDS, DEAD_SECONDS = 120, PATIENCE_SECONDS = 2 };

struct mesh_control_force *mesh_control_force_new(void)
{
	return mesh_xcalloc(1, sizeof(struct mesh_control_force));
}

static void entry_free(struct force_entry *e)
{
	if (e)
		free(e->uid);
	free(e);
}

void mesh_control_force_free(struct mesh_control_force *force)
{
	if (!force)
		return;
	mesh_map_each (e, &force->entries)
		entry_free(e->value);
	mesh_map_free(&force->entries);
	free(force);
}

static int64_t lease_age(const json_t *lease)
{
	const char *text = json_string_value(json_object_get(json_object_get(lease, "spec"), "renewTime"));
	int64_t renewed;

	if (!text || mesh_decode_time(text, &renewed) < 0)
		return INT64_MAX;
	return (int64_t)time(NULL) - renewed;
}

void mesh_control_leases(struct mesh_cache *cache)
{
	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_LEASE))
		if (lease_age(e->value) > DEAD_SECONDS)
			mesh_cache_delete(cache, MESH_CONTROL_LEASE, e->value);
}

static unsigned long long lease_version(const json_t *lease, const char *resource, bool *concerned)
{
	json_t *annotations = json_object_get(json_object_get(lease, "metadata"), "annotations");
	const char *text = json_string_value(json_object_get(annotations, MESH_LEASE_IN_FORCE));
	json_t *versions = text ? json_loads(text, 0, NULL) : NULL;
	const char *version = json_string_value(json_object_get(versions, resource));
	unsigned long long ret = version ? strtoull(version, NULL, 10) : 0;

	*concerned = version != NULL;
	json_decref(versions);
	return ret;
}

/* The lowest version in force on what lives, and who holds it; UINT64_MAX when nobody is concerned. */
static unsigned long long lowest(struct mesh_cache *cache, const char *resource, const char **who)
{
	unsigned long long low = UINT64_MAX;

	*who = NULL;
	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_LEASE)) {
		bool concerned;
		unsigned long long v = lease_version(e->value, resource, &concerned);

		if (!concerned || lease_age(e->value) > STALE_SECONDS)
			continue;
		if (v < low) {
			low = v;
			*who = mesh_control_name(e->value);
		}
	}
	return low;
}

/* "NS/NAME" of the objects of a kind that an agent or gateway that lives cannot use -> its name. */
static void unusable(struct mesh_cache *cache, const char *resource, struct mesh_map *ret)
{
	size_t len = strlen(resource);

	mesh_map_each (e, mesh_cache_all(cache, MESH_CONTROL_LEASE)) {
		json_t *annotations = json_object_get(json_object_get(e->value, "metadata"), "annotations"), *item;
		const char *text = json_string_value(json_object_get(annotations, MESH_LEASE_IN_FORCE));
		json_t *versions = text && lease_age(e->value) <= STALE_SECONDS ? json_loads(text, 0, NULL) : NULL;
		size_t i;

		json_array_foreach(json_object_get(versions, MESH_LEASE_UNUSABLE), i, item)
		{
			const char *what = json_string_value(item);

			if (what && strncmp(what, resource, len) == 0 && what[len] == ' ')
				mesh_map_put_str(ret, what + len + 1, (char *)mesh_control_name(e->value));
		}
		json_decref(versions);
	}
}

/* What of the object has no effect: [{type, level, message}], and the same as one text. */
static json_t *messages_of(const struct force_row *row, const json_t *obj, struct mesh_buf *text)
{
	const struct mesh_kind *kind = mesh_kind_by_name(row->group, row->name);
	struct mesh_errs errs = {0}, warnings = {0}, unknown = {0};
	json_t *ret = json_array();

	if (kind)
		mesh_object_check(kind, obj, NULL, &errs, &warnings, &unknown);
	mesh_vec_each (w, &warnings.list) {
		mesh_buf_printf(text, "%s%s%s%s", text->len ? "; " : "", w->path ? w->path : "", w->path ? ": " : "",
				w->text);
		json_array_append_new(ret,
				      json_pack("{s:{s:s, s:s}, s:s}", "type", "name", w->path ? w->path : "object",
						"code", "SOCKMESH0001", "level", "WARNING"));
	}
	mesh_errs_free(&errs);
	mesh_errs_free(&warnings);
	mesh_errs_free(&unknown);
	return ret;
}

static bool is_done(const json_t *obj)
{
	json_t *observed = json_object_get(json_object_get(obj, "status"), "observedGeneration");
	const char *status = json_string_value(json_object_get(mesh_condition_find(obj, "InForce"), "status"));

	return json_integer_value(observed) == mesh_control_generation(obj) && status && strcmp(status, "True") == 0;
}

static void write_status(struct mesh_cache *cache, const struct force_row *row, const json_t *obj, bool acts,
			 bool in_force, const char *reason, const char *message)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	json_t *messages = messages_of(row, obj, &text), *force, *status;
	bool stale = json_integer_value(json_object_get(json_object_get(obj, "status"), "observedGeneration")) !=
		     mesh_control_generation(obj);

	force = mesh_control_condition(obj, "InForce", in_force, reason, message);
	if (stale) /* a new generation is in force since now, not since the first one was */
		json_object_set_new(force, "lastTransitionTime", mesh_json_time_now());
	status = json_pack("{s:I, s:o, s:[o, o]}", "observedGeneration", mesh_control_generation(obj),
			   "validationMessages", messages, "conditions",
			   mesh_control_condition(obj, "Reconciled", acts,
						  !acts      ? "NotSupported"
						  : text.len ? "PartlySupported"
							     : "Reconciled",
						  !acts      ? "This mesh does not act on objects of this kind yet"
						  : text.len ? text.data
							     : "The object is used as it is"),
			   force);
	mesh_cache_status(cache, row->kind, obj, status);
}

static struct force_entry *entry_of(struct mesh_control_force *force, const char *kind, const json_t *obj,
				    uint64_t content)
{
	mesh_auto_free char *key = mesh_xasprintf("%s %s/%s", kind, mesh_control_ns(obj), mesh_control_name(obj));
	struct force_entry *e = mesh_map_get_str(&force->entries, key);
	const char *version;

	if (!e || e->generation != mesh_control_generation(obj) || e->content != content ||
	    strcmp(e->uid, mesh_control_uid(obj)) != 0) {
		entry_free(e);
		version = json_string_value(json_object_get(json_object_get(obj, "metadata"), "resourceVersion"));
		e = mesh_xcalloc(1, sizeof(*e));
		*e = (struct force_entry){.uid = mesh_xstrdup(mesh_control_uid(obj)),
					  .generation = mesh_control_generation(obj),
					  .version = version ? strtoull(version, NULL, 10) : 0,
					  .content = content,
					  .since_ns = mesh_now_ns()};
		mesh_map_put_str(&force->entries, key, e);
	}
	e->round = force->round;
	return e;
}

static char *not_yet(const char *who)
{
	return who ? mesh_xasprintf("Not in force yet as %s says", who) : mesh_xstrdup("No agent or gateway runs");
}

/* Says that an agent or gateway cannot use obj. */
static void refused(struct mesh_cache *cache, const struct force_row *row, const json_t *obj, const char *by)
{
	mesh_auto_free char *message =
		mesh_xasprintf("%s cannot read this object: what was in force before it stays", by);
	const json_t *now = mesh_condition_find(obj, "InForce");
	const char *said = json_string_value(json_object_get(now, "message"));

	if (!said || strcmp(said, message) != 0 ||
	    json_integer_value(json_object_get(json_object_get(obj, "status"), "observedGeneration")) !=
		    mesh_control_generation(obj))
		write_status(cache, row, obj, true, false, "Unusable", message);
}

static void reconcile_object(struct mesh_control_force *force, struct mesh_cache *cache, const struct force_row *row,
			     const json_t *obj, unsigned long long low, const char *who, const struct mesh_map *bad)
{
	mesh_auto_free char *message = NULL,
			    *key = mesh_xasprintf("%s/%s", mesh_control_ns(obj), mesh_control_name(obj));
	const char *by = mesh_map_get_str(bad, key);
	struct force_entry *e;

	if (by) {
		refused(cache, row, obj, by);
		return;
	}
	if (is_done(obj))
		return;
	if (!row->acts && low == UINT64_MAX) {
		write_status(cache, row, obj, false, false, "NotSupported",
			     "This mesh does not act on objects of this kind yet");
		return;
	}
	e = entry_of(force, row->name, obj, 0);
	if (low != UINT64_MAX && low >= e->version) {
		write_status(cache, row, obj, true, true, "InForce", "In force on every node and gateway");
		return;
	}
	if (mesh_now_ns() - e->since_ns < MESH_SEC(PATIENCE_SECONDS))
		return;
	message = not_yet(who);
	write_status(cache, row, obj, true, false, who ? "Pending" : "NoAgent", message);
}

json_t *mesh_control_roll_in_force(struct mesh_control_force *force, struct mesh_cache *cache, const json_t *roll,
				   const json_t *configured)
{
	json_t *status = json_object_get(roll, "status");
	bool written =
		json_integer_value(json_object_get(status, "observedGeneration")) == mesh_control_generation(roll) &&
		json_equal(json_object_get(status, "configuredMembers"), configured);
	char *text = json_dumps(configured, JSON_COMPACT);
	mesh_auto_free char *message = NULL;
	const char *who = NULL;
	unsigned long long low = lowest(cache, ROLLS, &who);
	bool in_force = false;

	if (written) {
		const struct force_entry *e = entry_of(force, "Roll", roll, mesh_hash(text, strlen(text)));
		json_t *is = json_object_get(mesh_condition_find(roll, "InForce"), "status");

		/* Once it was so for these members it stays so: an agent that comes later begins with them. */
		in_force = (low != UINT64_MAX && low >= e->version) ||
			   (json_string_value(is) && strcmp(json_string_value(is), "True") == 0);
	}
	free(text);
	message = in_force ? mesh_xstrdup("In force on every node and gateway") : not_yet(who);
	return mesh_control_condition(roll, "InForce", in_force,
				      in_force ? "InForce"
				      : who    ? "Pending"
					       : "NoAgent",
				      message);
}

/* What was waited for and is there no more, or is done. */
static void sweep(struct mesh_control_force *force)
{
	mesh_map_each (e, &force->entries) {
		struct force_entry *entry = e->value;

		if (entry->round == force->round)
			continue;
		mesh_map_remove(&force->entries, mesh_slice_of(e->key, e->key_len));
		entry_free(entry);
	}
	force->round++;
}

void mesh_control_in_force(struct mesh_control_force *force, struct mesh_cache *cache)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		unsigned long long low;
		struct mesh_map bad = {0};
		const char *who = NULL;

		if (mesh_cache_all(cache, rows[i].kind)->count == 0)
			continue;
		low = lowest(cache, rows[i].resource, &who);
		unusable(cache, rows[i].resource, &bad);
		mesh_map_each (e, mesh_cache_all(cache, rows[i].kind))
			reconcile_object(force, cache, &rows[i], e->value, low, who, &bad);
		mesh_map_free(&bad);
	}
	sweep(force);
}
