/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent answers at its socket. */
#include "agent/holder.h"
#include "agent/state.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/version.h"

static json_t *refusal(const char *why)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", why);
}

/* wait-pod */

static const struct mesh_workload *workload_at(struct mesh_agent *a, const struct mesh_addr *ip)
{
	mesh_map_each (e, &mesh_feed_snapshot(a->feed)->workloads) {
		const struct mesh_workload *w = e->value;

		for (size_t i = 0; !w->finished && !w->host_network && i < w->ip_count; i++)
			if (mesh_addr_ip_eq(&w->ips[i], ip))
				return w;
	}
	return NULL;
}

/* Returns true once it is decided, with *captured. */
static bool pod_decided(struct mesh_agent *a, const struct mesh_addr *ip, bool *captured)
{
	const struct mesh_workload *w;

	if (!a->published || a->dirty)
		return false;
	w = workload_at(a, ip);
	*captured = mesh_pods_captured(a->pods, ip);
	return w && (*captured || !mesh_pods_wants(a->pods, mesh_feed_snapshot(a->feed), w));
}

void mesh_agent_answer(struct mesh_agent *a)
{
	uint64_t now = mesh_now_ns(), next = UINT64_MAX;

	for (size_t i = a->waiters.count; i > 0; i--) {
		struct mesh_agent_waiter w = a->waiters.items[i - 1];
		bool captured = false, decided = pod_decided(a, &w.ip, &captured);

		if (!decided && now < w.until_ns) {
			next = MESH_MIN(next, w.until_ns);
			continue;
		}
		mesh_vec_remove(&a->waiters, i - 1);
		if (decided)
			mesh_ctlsock_reply(w.conn, json_pack("{s:b, s:b}", "ok", 1, "captured", captured));
		else
			mesh_ctlsock_reply(w.conn, refusal("timed out: the pod is unknown or not captured yet"));
	}
	if (next != UINT64_MAX)
		mesh_timer_set(a->loop, &a->waiting, next - now);
}

static void wait_pod(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	const char *ip = json_string_value(json_object_get(request, "ip"));
	json_t *timeout = json_object_get(request, "timeoutMs");
	struct mesh_agent_waiter w = {.conn = conn};

	if (!ip || mesh_addr_parse(mesh_slice_str(ip), 0, &w.ip) < 0) {
		mesh_ctlsock_reply(conn, refusal("\"ip\" is not an address"));
		return;
	}
	w.until_ns = mesh_now_ns() + MESH_MS(json_is_integer(timeout) ? json_integer_value(timeout) : 2000);
	mesh_vec_push(&a->waiters, w);
	mesh_agent_answer(a);
}

/* status and health */

static json_t *proxy_status(struct mesh_agent *a)
{
	struct mesh_proxy_stats s;
	json_t *ret;

	mesh_proxy_stats(a->proxy, &s);
	ret = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:[I,I,I,I,I,I], s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}}",
		"connections", (json_int_t)s.connections_total, "connectionsActive", (json_int_t)s.connections_active,
		"requests", (json_int_t)s.requests_total, "requestsActive", (json_int_t)s.requests_active,
		"upstreamConnections", (json_int_t)s.upstream_connections_total, "upstreamConnectionsActive",
		(json_int_t)s.upstream_connections_active, "upstreamPools", (json_int_t)s.upstream_pools,
		"bytesFromClients", (json_int_t)s.bytes_from_downstream, "bytesToClients",
		(json_int_t)s.bytes_to_downstream, "statusClasses", (json_int_t)s.status[0], (json_int_t)s.status[1],
		(json_int_t)s.status[2], (json_int_t)s.status[3], (json_int_t)s.status[4], (json_int_t)s.status[5],
		"flags", "UH", (json_int_t)s.flags_uh, "NC", (json_int_t)s.flags_nc, "NR", (json_int_t)s.flags_nr, "UF",
		(json_int_t)s.flags_uf, "DPE", (json_int_t)s.flags_dpe, "noOrigdst", (json_int_t)s.no_origdst, "shed",
		(json_int_t)s.shed);
	json_object_set_new(ret, "movedIn", json_integer((json_int_t)s.moved_in));
	json_object_set_new(ret, "movedOut", json_integer((json_int_t)s.moved_out));
	return ret;
}

static json_t *cni_status(struct mesh_agent *a)
{
	const char *trouble = a->cni ? mesh_cni_conf_trouble(a->cni) : NULL;

	return json_pack("{s:b, s:s?, s:s, s:I, s:I, s:I}", "installed", a->cni && !trouble, "trouble", trouble,
			 "policy", mesh_cni_policy_text(a->opts.cni_policy), "adds", (json_int_t)a->adds_total,
			 "addUsMax", (json_int_t)(a->adds_ns_max / 1000), "addUsMean",
			 (json_int_t)(a->adds_total ? a->adds_ns / a->adds_total / 1000 : 0));
}

static json_t *api_status(struct mesh_agent *a)
{
	const char *trouble = mesh_feed_trouble(a->feed);

	return json_pack("{s:b, s:s?, s:b}", "inStep", !trouble, "trouble", trouble, "fromSnapshot",
			 mesh_feed_from_saved(a->feed));
}

static json_t *agent_status(struct mesh_agent *a)
{
	json_t *warnings = json_array(), *ret;

	mesh_map_each (e, mesh_compiler_warnings(a->compiler))
		json_array_append_new(warnings, json_string(e->key));
	ret = json_pack(
		"{s:b, s:s, s:s, s:b, s:b, s:b, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}, s:o, s:o, s:o}", "ok",
		1, "version", mesh_version, "node", a->opts.node, "synced", mesh_feed_synced(a->feed), "published",
		a->published, "left", a->left, "config", "version", (json_int_t)a->states.version, "publishes",
		(json_int_t)a->publishes, "publishUs", (json_int_t)(a->publish_ns / 1000), "publishUsMax",
		(json_int_t)(a->publish_ns_max / 1000), "publishUnits", (json_int_t)a->publish_units, "applyFailures",
		(json_int_t)a->apply_failures, "versions", mesh_feed_versions(a->feed), "bad", mesh_feed_bad(a->feed),
		"warnings", warnings, "pods", mesh_pods_status(a->pods), "proxy", proxy_status(a), "dataplane",
		mesh_dp_status(a->dp));
	json_object_set_new(ret, "cni", cni_status(a));
	json_object_set_new(ret, "api", api_status(a));
	json_object_set_new(ret, "pid", json_integer(getpid()));
	json_object_set_new(ret, "stale", mesh_stale_status(a->stale));
	json_object_set_new(ret, "handover", mesh_handover_status(a->handover));
	return ret;
}

/* NULL: healthy, that is in force, be it from the last good state; an API that is away is no fault of this agent. */
static const char *unhealthy(struct mesh_agent *a)
{
	const char *trouble = mesh_feed_trouble(a->feed);

	if (a->failing)
		return "the configuration cannot be put in force: see the log";
	if (!a->published)
		return trouble ? trouble : "nothing is in force yet: the API's lists have not all come";
	return NULL;
}

static int answer_alive(void *arg, struct mesh_buf *text)
{
	(void)arg;
	mesh_buf_str(text, "ok\n");
	return 200;
}

static int answer_ready(void *arg, struct mesh_buf *text)
{
	const char *why = unhealthy(arg);

	mesh_buf_printf(text, "%s\n", why ? why : "ok");
	return why ? 503 : 200;
}

const struct mesh_probe_path mesh_agent_probe_paths[] = {
	{"/livez", answer_alive},
	{"/readyz", answer_ready},
	{NULL, NULL},
};

static json_t *health(struct mesh_agent *a)
{
	const char *trouble = mesh_feed_trouble(a->feed), *why = unhealthy(a);

	return json_pack("{s:b, s:b, s:b, s:b, s:s?, s:s?}", "ok", !why, "published", a->published, "left", a->left,
			 "fromSnapshot", mesh_feed_from_saved(a->feed), "error", why, "api", trouble);
}

/* dataplane, dataplane-set */

static json_t *switches(struct mesh_agent *a)
{
	return json_pack("{s:b, s:s, s:o}", "ok", 1, "node", a->opts.node, "switches", mesh_dp_switches(a->dp));
}

static json_t *set_switches(struct mesh_agent *a, const json_t *set)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	mesh_auto_free char *said = NULL;

	if (!json_is_object(set) || json_object_size(set) == 0)
		return refusal("\"set\" is no object of switches and their words");
	if (mesh_dp_switch_set(a->dp, set, &errs) < 0) {
		mesh_errs_format(&errs, &text);
		return refusal(text.data ? text.data : "refused");
	}
	said = json_dumps(set, JSON_COMPACT);
	mesh_info("data plane: switched %s", said);
	return switches(a);
}

/* leave */

#define LINGER_NS MESH_MS(600) /* connects that were decided before still find their listeners */

static void begin_to_leave(struct mesh_agent *a, struct mesh_ctlsock_conn *conn)
{
	if (a->leaver || a->left) {
		mesh_ctlsock_reply(conn, a->left && !a->leaver ? json_pack("{s:b}", "ok", 1)
							       : refusal("the agent is leaving already"));
		return;
	}
	mesh_info("asked to leave: pods are let go, the plugin is removed");
	a->leaver = conn;
	a->left = true;
	mesh_cni_conf_free(mesh_steal(a->cni));
	mesh_pods_leave(a->pods);
	mesh_edges_leave(a->edges);
	mesh_agent_cni_run(a); /* who waits is let through */
	mesh_timer_set(a->loop, &a->leaving, LINGER_NS);
}

void mesh_agent_door_remove(const struct mesh_agent_opts *o)
{
	mesh_auto_free char *door = o->socket ? mesh_xasprintf("%s.keeper", o->socket) : NULL;
	mesh_auto_free char *holder = mesh_holder_path(o->socket);

	if (door)
		unlink(door);
	if (holder)
		unlink(holder);
}

void mesh_agent_leave(struct mesh_agent *a)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	const struct mesh_agent_opts *o = &a->opts;

	if (o->cni_conf_dir)
		mesh_cni_conf_remove(o->cni_bin_dir, o->cni_conf_dir, &errs);
	mesh_members_remove(&a->members);
	mesh_dp_settle(a->dp); /* what is to go goes once */
	mesh_dp_detach(o->pin_dir, &errs);
	mesh_feed_saved_stop(a->feed);
	mesh_feed_saved_remove(o->snapshot_dir);
	mesh_agent_door_remove(o);
	mesh_lease_withdraw(a->lease);
	mesh_errs_format(&errs, &text);
	if (text.len)
		mesh_error("leaving: %s", text.data);
	if (a->leaver)
		mesh_ctlsock_reply(mesh_steal(a->leaver), text.len ? refusal(text.data) : json_pack("{s:b}", "ok", 1));
	mesh_info("left: nothing of the mesh is attached any more");
}

void mesh_agent_forget(void *arg, struct mesh_ctlsock_conn *conn)
{
	struct mesh_agent *a = arg;

	if (a->leaver == conn)
		a->leaver = NULL;
	for (size_t i = a->waiters.count; i > 0; i--)
		if (a->waiters.items[i - 1].conn == conn)
			mesh_vec_remove(&a->waiters, i - 1);
	mesh_agent_in_force_forget(a, conn);
	mesh_agent_cni_forget(a, conn);
}

void mesh_agent_command(void *arg, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	const char *cmd = json_string_value(json_object_get(request, "cmd"));
	struct mesh_agent *a = arg;

	if (!cmd)
		mesh_ctlsock_reply(conn, refusal("unknown \"cmd\""));
	else if (strcmp(cmd, "status") == 0)
		mesh_ctlsock_reply(conn, agent_status(a));
	else if (strcmp(cmd, "health") == 0)
		mesh_ctlsock_reply(conn, health(a));
	else if (strcmp(cmd, "wait-pod") == 0)
		wait_pod(a, conn, request);
	else if (strcmp(cmd, "dataplane") == 0)
		mesh_ctlsock_reply(conn, switches(a));
	else if (strcmp(cmd, "dataplane-set") == 0)
		mesh_ctlsock_reply(conn, set_switches(a, json_object_get(request, "set")));
	else if (strcmp(cmd, "in-force") == 0)
		mesh_agent_in_force_command(a, conn, request);
	else if (strcmp(cmd, "leave") == 0)
		begin_to_leave(a, conn);
	else if (strncmp(cmd, "cni-", 4) == 0)
		mesh_agent_cni_command(a, conn, cmd, request);
	else
		mesh_ctlsock_reply(conn, refusal("unknown \"cmd\""));
}
