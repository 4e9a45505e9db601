/* SPDX-License-Identifier: Apache-2.0 */
/* status: the agents and gateways by their Leases, and what each agent on this machine says of itself. */
#include "ctl/find_api.h"
#include "ctl/inforce.h"
#include "ctl/json_out.h"
#include "ctl/print.h"
#include "ctl/resource.h"
#include "ctl/tabs.h"

#include "core/mem.h"
#include "kube/kubeconfig.h"

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ANSWER_MS = 2000, ANSWER_MAX = 8 << 20 };

static const char *text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

/* One line to the agent's socket, one line back; NULL if nobody answers. */
static json_t *ask(const char *path)
{
	static const char request[] = "{\"cmd\":\"status\"}\n";
	mesh_auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mesh_auto(mesh_buf_free) struct mesh_buf in = {0};
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		return NULL;
	strcpy(a.sun_path, path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
		return NULL;
	while (in.len < ANSWER_MAX && !(in.len && memchr(in.data, '\n', in.len))) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, ANSWER_MS) <= 0)
			return NULL;
		n = read(fd, mesh_buf_room(&in, 65536), 65536);
		if (n <= 0)
			return NULL;
		in.len += (size_t)n;
	}
	return json_loadb(in.data, in.len, JSON_DISABLE_EOF_CHECK, NULL);
}

static bool is_of(const char *kubeconfig, const char *server)
{
	struct mesh_kubeconfig c = {0};
	bool same = mesh_kubeconfig_read(kubeconfig, NULL, &c, NULL) == 0 && strcmp(c.server, server) == 0;

	mesh_kubeconfig_free(&c);
	return same;
}

/* The agents' sockets lie beside the kubeconfig of the lab with our API, or on a node in the usual place. */
static char *socket_pattern(const struct mesh_ctl *ctl)
{
	mesh_auto(mesh_lab_list_free) struct mesh_lab_list labs = {0};

	mesh_lab_list_read(NULL, &labs);
	mesh_vec_each (path, &labs.list)
		if (is_of(*path, mesh_kube_config(ctl->kube)->server))
			return mesh_xasprintf("%.*s/node-*.sock", (int)(strrchr(*path, '/') - *path), *path);
	return mesh_xstrdup("/run/sockmesh/agent.sock");
}

/* node name -> what its agent says */
static json_t *ask_agents(const struct mesh_ctl *ctl)
{
	mesh_auto_free char *pattern = socket_pattern(ctl);
	json_t *all = json_object();
	glob_t found;

	if (glob(pattern, 0, NULL, &found) != 0)
		return all;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		json_t *status = ask(found.gl_pathv[i]);

		if (status && text(status, "node")[0])
			json_object_set(all, text(status, "node"), status);
		json_decref(status);
	}
	globfree(&found);
	return all;
}

static const json_t *label(const json_t *lease, const char *key)
{
	return json_object_get(json_object_get(json_object_get(lease, "metadata"), "labels"), key);
}

/* One row a Lease: who, alive or not, how far, and the agent's own words where it could be asked. */
static json_t *member(const json_t *lease, const json_t *agents, time_t now)
{
	const char *holder = text(json_object_get(lease, "spec"), "holderIdentity");
	const char *component = json_string_value(label(lease, "sockmesh.io/component"));
	json_t *versions = mesh_lease_versions(lease);
	json_t *row = json_pack("{s:s, s:s, s:s, s:b, s:s}", "name", mesh_meta(lease, "name"), "component",
				component ? component : "", "holder", holder, "live", mesh_lease_live(lease, now),
				"renewTime", text(json_object_get(lease, "spec"), "renewTime"));
	json_t *agent = json_object_get(agents, holder);

	json_object_set_new(row, "inForce", versions ? versions : json_object());
	if (agent && component && strcmp(component, "agent") == 0)
		json_object_set(row, "agent", agent);
	return row;
}

static json_t *collect(struct mesh_ctl *ctl)
{
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	json_t *members, *agents, *lease;
	time_t now = time(NULL);
	size_t i;

	if (mesh_ctl_get(ctl,
			 "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases"
			 "?labelSelector=sockmesh.io%2Fcomponent",
			 &a) < 0) {
		mesh_ctl_fail(ctl, &a, NULL);
		return NULL;
	}
	members = json_array();
	agents = ask_agents(ctl);
	json_array_foreach(json_object_get(a.body, "items"), i, lease)
		json_array_append_new(members, member(lease, agents, now));
	json_decref(agents);
	return json_pack("{s:s, s:o}", "server", mesh_kube_config(ctl->kube)->server, "members", members);
}

static uint64_t highest(const json_t *versions)
{
	uint64_t max = 0, v;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)versions, key, value)
	{
		if (mesh_slice_to_u64(mesh_slice_str(json_string_value(value)), UINT64_MAX, &v) == 0)
			max = MESH_MAX(max, v);
	}
	return max;
}

static void print_members(struct mesh_buf *out, const json_t *members)
{
	struct mesh_tabs t = {.min_width = 6, .padding = 3};
	const json_t *m;
	size_t i;

	mesh_buf_str(&t.text, "COMPONENT\tHOLDER\tLIVE\tIN FORCE\tRENEWED\n");
	json_array_foreach(members, i, m)
		mesh_buf_printf(&t.text, "%s\t%s\t%s\t%llu\t%s\n", text(m, "component"), text(m, "holder"),
				json_is_true(json_object_get(m, "live")) ? "yes" : "NO",
				(unsigned long long)highest(json_object_get(m, "inForce")), text(m, "renewTime"));
	mesh_tabs_flush(&t, out);
	mesh_tabs_free(&t);
}

static void value_out(struct mesh_buf *out, const json_t *v)
{
	if (json_is_string(v))
		mesh_buf_str(out, json_string_value(v));
	else
		mesh_json_out(out, v, 0);
}

/* Numbers and words on a line each, objects within objects indented; lists of objects as tables of their own fields. */
static void print_object(struct mesh_buf *out, const json_t *obj, int depth);

/* The fields of all items, in the order in which they first come. New reference. */
static json_t *fields_of(const json_t *list)
{
	json_t *fields = json_object(), *item, *value;
	const char *key;
	size_t i;

	json_array_foreach(list, i, item) json_object_foreach(item, key, value)
		json_object_set_new(fields, key, json_null());
	return fields;
}

static void table_row(struct mesh_buf *out, const json_t *item, const json_t *fields)
{
	const char *key, *between = "";
	json_t *value;

	json_object_foreach((json_t *)fields, key, value)
	{
		mesh_buf_str(out, between);
		if (json_object_get(item, key))
			value_out(out, json_object_get(item, key));
		else
			mesh_buf_char(out, '-');
		between = "\t";
	}
	mesh_buf_char(out, '\n');
}

static void print_table(struct mesh_buf *out, const json_t *list, int depth)
{
	struct mesh_tabs t = {.min_width = 4, .padding = 2};
	mesh_auto(mesh_buf_free) struct mesh_buf laid = {0};
	json_t *fields = fields_of(list), *item, *value;
	struct mesh_slice rest, line;
	const char *key, *between = "";
	size_t i;

	json_object_foreach(fields, key, value)
	{
		mesh_buf_printf(&t.text, "%s%s", between, key);
		between = "\t";
	}
	mesh_buf_char(&t.text, '\n');
	json_array_foreach(list, i, item) table_row(&t.text, item, fields);
	mesh_tabs_flush(&t, &laid);
	rest = mesh_buf_view(&laid);
	while (rest.len && mesh_slice_split(&rest, '\n', &line))
		mesh_buf_printf(out, "%*s%.*s\n", depth * 2, "", (int)line.len, line.ptr);
	mesh_tabs_free(&t);
	json_decref(fields);
}

static void print_object(struct mesh_buf *out, const json_t *obj, int depth)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)obj, key, value)
	{
		mesh_buf_printf(out, "%*s%s:", depth * 2, "", key);
		if (json_is_object(value) && json_object_size(value)) {
			mesh_buf_char(out, '\n');
			print_object(out, value, depth + 1);
		} else if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
			mesh_buf_char(out, '\n');
			print_table(out, value, depth + 1);
		} else {
			mesh_buf_char(out, ' ');
			value_out(out, value);
			mesh_buf_char(out, '\n');
		}
	}
}

static void print_status(const json_t *status)
{
	const json_t *members = json_object_get(status, "members"), *m;
	mesh_auto(mesh_buf_free) struct mesh_buf out = {0};
	size_t i;

	if (json_array_size(members) == 0)
		mesh_buf_str(&out, "No agent or gateway has a Lease in istio-system: no mesh runs here.\n");
	else
		print_members(&out, members);
	json_array_foreach(members, i, m)
	{
		const json_t *agent = json_object_get(m, "agent");

		if (!agent)
			continue;
		mesh_buf_printf(&out, "\nAgent %s:\n", text(m, "holder"));
		print_object(&out, agent, 1);
	}
	fputs(out.data, stdout);
}

int mesh_ctl_run_status(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	json_t *status;

	if (f->args.list.count)
		return mesh_ctl_error(ctl, "status takes no arguments");
	if (mesh_printer_init(ctl, &p) < 0)
		return 1;
	status = collect(ctl);
	if (!status)
		return 1;
	if (p.format == MESH_FORMAT_TABLE)
		print_status(status);
	else
		mesh_print(ctl, &p, status);
	json_decref(status);
	return 0;
}
