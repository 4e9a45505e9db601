/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the CNI plugin asks. An ADD is answered when the pod is captured, or when it is known that it is not to be: it
 * waits until something is in force, until it is known who the pod is (the watch usually has it by then; else
 * the API is asked, but not for long), and until its namespace has tables. The descriptor that comes along is the pod's
 * network namespace, so no path of the host has to be seen from here.
 */
#include "agent/state.h"
#include "config/decode.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>

#define LOOK_NS  MESH_MS(500) /* for the pod's labels; after that it starts without */
#define SLOW_NS  MESH_MS(20)
#define TIME_MS  5000
#define CARRY_ON MESH_MS(100) /* while the kernel's tables cannot be written */

struct mesh_agent_add {
	struct mesh_agent *agent;
	struct mesh_ctlsock_conn *conn;
	char *ns, *name, *uid, *container;
	int netns_fd;
	struct mesh_addr *ips;
	size_t ip_count;
	uint64_t began_ns, until_ns;
	struct mesh_kube_request *look; /* GET of the pod under way */
	struct mesh_workload *told;     /* what it said */
	bool looked;
	const char *waited; /* for what, for the log */
};

static char *text_of(const json_t *request, const char *key)
{
	const char *s = json_string_value(json_object_get(request, key));

	return mesh_xstrdup(s ? s : "");
}

static void add_free(struct mesh_agent_add *add)
{
	mesh_kube_cancel(add->look);
	mesh_workload_free(add->told);
	mesh_cleanup_fd(&add->netns_fd);
	free(add->ns);
	free(add->name);
	free(add->uid);
	free(add->container);
	free(add->ips);
	free(add);
}

static struct mesh_sandbox sandbox_of(const struct mesh_agent_add *add)
{
	return (struct mesh_sandbox){.ns = add->ns,
				     .name = add->name,
				     .uid = add->uid,
				     .container = add->container,
				     .netns_fd = add->netns_fd,
				     .ips = add->ips,
				     .ip_count = add->ip_count};
}

/* The descriptor that came along, else the path, which is the host's. */
static int open_netns(struct mesh_ctlsock_conn *conn, const json_t *request)
{
	const char *path = json_string_value(json_object_get(request, "netns"));
	int fd = mesh_ctlsock_take_fd(conn);

	return fd >= 0 || !path ? fd : open(path, O_RDONLY | O_CLOEXEC);
}

static void read_ips(struct mesh_agent_add *add, const json_t *list)
{
	size_t i;
	json_t *v;

	add->ips = mesh_xcalloc(json_array_size(list) + 1, sizeof(*add->ips));
	json_array_foreach(list, i, v)
	{
		struct mesh_slice ip = mesh_slice_str(json_string_value(v));
		ssize_t slash = mesh_slice_find(ip, '/');

		if (slash >= 0)
			ip.len = (size_t)slash;
		if (mesh_addr_parse(ip, 0, &add->ips[add->ip_count]) == 0)
			add->ip_count++;
	}
}

static struct mesh_agent_add *add_new(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	json_t *timeout = json_object_get(request, "timeoutMs");
	struct mesh_agent_add *add = mesh_xcalloc(1, sizeof(*add));

	*add = (struct mesh_agent_add){.agent = a,
				       .conn = conn,
				       .ns = text_of(request, "namespace"),
				       .name = text_of(request, "pod"),
				       .uid = text_of(request, "uid"),
				       .container = text_of(request, "containerId"),
				       .netns_fd = open_netns(conn, request),
				       .began_ns = mesh_now_ns()};
	add->until_ns = add->began_ns + MESH_MS(json_is_integer(timeout) ? json_integer_value(timeout) : TIME_MS);
	read_ips(add, json_object_get(request, "ips"));
	return add;
}

/* The end of an ADD; it is in no list any more. */
static void finish(struct mesh_agent_add *add, bool captured, const char *error)
{
	struct mesh_agent *a = add->agent;
	uint64_t took = mesh_now_ns() - add->began_ns;

	a->adds_total++;
	a->adds_ns += took;
	a->adds_ns_max = MESH_MAX(a->adds_ns_max, took);
	if (error)
		mesh_warn("pod %s/%s may not start: %s", add->ns, add->name, error);
	else if (took > SLOW_NS)
		mesh_info("pod %s/%s: its start was held up for %.1f ms, waiting for %s", add->ns, add->name,
			  (double)took / 1e6, add->waited ? add->waited : "the kernel");
	if (error)
		mesh_ctlsock_reply(add->conn, json_pack("{s:b, s:s}", "ok", 0, "error", error));
	else
		mesh_ctlsock_reply(add->conn, json_pack("{s:b, s:b}", "ok", 1, "captured", captured));
	add_free(add);
}

static void look_done(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_agent_add *add = arg;

	add->look = NULL;
	add->looked = true;
	if (r->status == 200 && mesh_decode_pod(r->body, &add->told) < 0)
		add->told = NULL;
	mesh_timer_set(add->agent->loop, &add->agent->adding, 0);
}

static bool is_of(const struct mesh_agent_add *add, const struct mesh_workload *w)
{
	const char *file = mesh_labels_get(&w->annotations, "kubernetes.io/config.mirror");

	return !w->partial &&
	       (!*add->uid || (w->uid && strcmp(add->uid, w->uid) == 0) || (file && strcmp(add->uid, file) == 0));
}

/* Who the pod is. Returns false while that may still become known. */
static bool identify(struct mesh_agent_add *add, const struct mesh_workload **ret)
{
	struct mesh_agent *a = add->agent;
	const struct mesh_workload *w = mesh_snapshot_workload(mesh_feed_snapshot(a->feed), add->ns, add->name);
	mesh_auto_free char *path = NULL;

	*ret = w && is_of(add, w) ? w : add->told && is_of(add, add->told) ? add->told : NULL;
	if (*ret || add->looked || mesh_now_ns() - add->began_ns > LOOK_NS)
		return true;
	add->waited = "the API to say who it is";
	if (!add->look) {
		path = mesh_xasprintf("/api/v1/namespaces/%s/pods/%s", add->ns, add->name);
		add->look = mesh_kube_send(a->kube, "GET", path, NULL, NULL, NULL, look_done, add);
	}
	return false;
}

/* Whoever is captured must be in the published configuration already. */
static bool has_tables(struct mesh_agent_add *add)
{
	struct mesh_agent *a = add->agent;

	if (mesh_map_get_str(&a->tables, add->ns))
		return !a->failing;
	add->waited = "tables of its namespace";
	mesh_map_put_str(&a->asked, add->ns, a);
	a->asked_changed = true;
	a->dirty = true;
	return mesh_agent_publish(a);
}

/* Whether it is decided: with *captured, or with the reason why it may not start in why; undecided, what is awaited. */
static bool decide(struct mesh_agent_add *add, bool *captured, struct mesh_buf *why)
{
	struct mesh_agent *a = add->agent;
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	const struct mesh_workload *w;
	struct mesh_sandbox s;

	if (a->left)
		return true;
	if (!a->published) {
		add->waited = "something to be in force";
		mesh_buf_str(why, "the agent has nothing in force yet");
		return false;
	}
	if (!mesh_map_get_str(&mesh_feed_snapshot(a->feed)->members, add->ns))
		return true;
	if (!identify(add, &w) || !has_tables(add)) {
		mesh_buf_str(why, "the agent's configuration cannot be put in force");
		return false;
	}
	s = sandbox_of(add);
	*captured = mesh_pods_add(a->pods, &s, w, &errs) == 0;
	if (!*captured)
		mesh_errs_format(&errs, why);
	while (why->len && why->data[why->len - 1] == '\n')
		why->data[--why->len] = '\0';
	return true;
}

static uint64_t next_look(const struct mesh_agent_add *add)
{
	uint64_t look = add->began_ns + LOOK_NS;

	if (add->look)
		return MESH_MIN(look, add->until_ns);
	return add->agent->failing ? MESH_MIN(mesh_now_ns() + CARRY_ON, add->until_ns) : add->until_ns;
}

void mesh_agent_cni_run(struct mesh_agent *a)
{
	uint64_t now = mesh_now_ns(), next = UINT64_MAX;

	for (size_t i = 0; i < a->adds.count;) {
		struct mesh_agent_add *add = a->adds.items[i];
		mesh_auto(mesh_buf_free) struct mesh_buf why = {0};
		bool captured = false;

		if (!decide(add, &captured, &why) && now < add->until_ns) {
			next = MESH_MIN(next, next_look(add));
			i++;
			continue;
		}
		mesh_vec_remove(&a->adds, i);
		finish(add, captured, why.len ? why.data : NULL);
	}
	if (next != UINT64_MAX)
		mesh_timer_set(a->loop, &a->adding, next > now ? next - now : 0);
}

void mesh_agent_cni_forget(struct mesh_agent *a, struct mesh_ctlsock_conn *conn)
{
	for (size_t i = a->adds.count; i > 0; i--)
		if (a->adds.items[i - 1]->conn == conn) {
			add_free(a->adds.items[i - 1]);
			mesh_vec_remove(&a->adds, i - 1);
		}
}

static void cni_add(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	struct mesh_agent_add *add = add_new(a, conn, request);

	if (!*add->ns || !*add->name || !*add->container) {
		finish(add, false, "\"namespace\", \"pod\" and \"containerId\" are needed");
	} else if (add->netns_fd < 0) {
		finish(add, false, "its network namespace cannot be opened");
	} else {
		mesh_vec_push(&a->adds, add);
		mesh_agent_cni_run(a);
	}
}

static void cni_del(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	struct mesh_agent_add *add = add_new(a, conn, request);
	struct mesh_sandbox s = sandbox_of(add);
	bool removed = mesh_pods_remove(a->pods, &s);

	mesh_ctlsock_reply(conn, json_pack("{s:b, s:b}", "ok", 1, "released", removed));
	add_free(add);
}

static void cni_check(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	struct mesh_agent_add *add = add_new(a, conn, request);
	struct mesh_sandbox s = sandbox_of(add);
	bool wanted = !a->left && a->published && mesh_map_get_str(&mesh_feed_snapshot(a->feed)->members, add->ns);

	if (wanted && !mesh_pods_has(a->pods, &s))
		mesh_ctlsock_reply(conn, json_pack("{s:b, s:s}", "ok", 0, "error", "the pod is not captured"));
	else
		mesh_ctlsock_reply(conn, json_pack("{s:b, s:b}", "ok", 1, "captured", wanted));
	add_free(add);
}

static void cni_gc(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request)
{
	const json_t *list = json_object_get(request, "valid");
	MESH_VEC(const char *) valid = {0};
	size_t i, n;
	json_t *v;

	json_array_foreach(list, i, v) if (json_is_string(v)) mesh_vec_push(&valid, json_string_value(v));
	n = json_is_array(list) ? mesh_pods_collect(a->pods, valid.items, valid.count) : 0;
	mesh_vec_free(&valid);
	mesh_ctlsock_reply(conn, json_pack("{s:b, s:I}", "ok", 1, "removed", (json_int_t)n));
}

void mesh_agent_cni_command(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const char *cmd,
			    const json_t *request)
{
	static const struct {
		const char *cmd;
		void (*fn)(struct mesh_agent *a, struct mesh_ctlsock_conn *conn, const json_t *request);
	} commands[] = {{"cni-add", cni_add}, {"cni-del", cni_del}, {"cni-check", cni_check}, {"cni-gc", cni_gc}};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(commands); i++)
		if (strcmp(cmd, commands[i].cmd) == 0) {
			commands[i].fn(a, conn, request);
			return;
		}
	mesh_ctlsock_reply(conn, json_pack("{s:b, s:s}", "ok", 0, "error", "unknown \"cmd\""));
}
