/* SPDX-License-Identifier: Apache-2.0 */
/* "in-force" at the agent's socket: answers as soon as more of a kind is in force than who asks has seen. */
#include "agent/state.h"
#include "core/mem.h"

static uint64_t version_of(const struct mesh_agent *a, const char *resource)
{
	const char *text = json_string_value(json_object_get(a->reached, resource));

	return text ? strtoull(text, NULL, 10) : 0;
}

static bool answer(struct mesh_agent *a, const struct mesh_agent_asker *asker)
{
	uint64_t version = version_of(a, asker->resource);

	if (version <= asker->after)
		return false;
	mesh_ctlsock_reply(asker->conn,
			   json_pack("{s:b, s:I, s:I, s:I, s:I}", "ok", 1, "version", (json_int_t)version, "atNs",
				     (json_int_t)a->reached_ns, "publishes", (json_int_t)a->publishes, "publishUs",
				     (json_int_t)(a->publish_ns / 1000)));
	return true;
}

void mesh_agent_in_force_run(struct mesh_agent *a)
{
	for (size_t i = a->askers.count; i > 0; i--) {
		struct mesh_agent_asker asker = a->askers.items[i - 1];

		if (!answer(a, &asker))
			continue;
		mesh_vec_remove(&a->askers, i - 1);
		free(asker.resource);
	}
}

void mesh_agent_report(struct mesh_agent *a, bool at_once)
{
	json_t *versions = mesh_feed_versions(a->feed);

	json_decref(a->reached);
	a->reached = json_incref(versions);
	a->reached_ns = mesh_now_ns();
	mesh_lease_report(a->lease, versions, at_once);
	mesh_agent_in_force_run(a);
}

void mesh_agent_in_force_command(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	const char *resource = json_string_value(json_object_get(request, "resource"));
	struct mesh_agent_asker asker = {.conn = conn};

	if (!resource || !json_is_integer(json_object_get(request, "after"))) {
		mesh_ctlsock_reply(conn, json_pack("{s:b, s:s}", "ok", 0, "error",
						   "\"resource\" is not PLURAL.GROUP, or \"after\" is not a number"));
		return;
	}
	asker.resource = mesh_xstrdup(resource);
	asker.after = (uint64_t)json_integer_value(json_object_get(request, "after"));
	mesh_vec_push(&a->askers, asker);
	mesh_agent_in_force_run(a);
}

void mesh_agent_in_force_forget(struct mesh_agent *a, const struct mesh_ctlsock_conn *conn)
{
	for (size_t i = a->askers.count; i > 0; i--) {
		if (conn && a->askers.items[i - 1].conn != conn)
			continue;
		free(a->askers.items[i - 1].resource);
		mesh_vec_remove(&a->askers, i - 1);
	}
}
