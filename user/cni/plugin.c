/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/plugin.h"

#include "cni/agent.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* Error codes of the specification's section "Error". */
enum {
	CNI_BAD_VERSION = 1,
	CNI_BAD_ENVIRONMENT = 4,
	CNI_BAD_CONTENT = 6,
	CNI_BAD_CONFIG = 7,
	CNI_TRY_AGAIN = 11,
	CNI_REFUSED = 100, /* ours: the agent says no */
};

enum { CONNECT_MS = 2000, TIME_MS = 5000 };

#define USUAL_SOCKET "/run/sockmesh/agent.sock"

static const char *const versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

struct request {
	const struct mesh_cni_call *call;
	json_t *config;
	const char *version;
	char *ns, *pod, *uid; /* of CNI_ARGS; NULL: not a pod of Kubernetes */
	struct mesh_buf *out;
};

static void request_free(struct request *q)
{
	json_decref(q->config);
	free(q->ns);
	free(q->pod);
	free(q->uid);
}

static void print(struct mesh_buf *out, json_t *obj)
{
	char *text = json_dumps(obj, JSON_COMPACT);

	mesh_buf_str(out, text ? text : "{}");
	mesh_buf_char(out, '\n');
	free(text);
	json_decref(obj);
}

static int fail(struct request *q, int code, const char *msg, const char *details)
{
	json_t *e =
		json_pack("{s:s, s:i, s:s}", "cniVersion", q->version ? q->version : "1.1.0", "code", code, "msg", msg);

	if (details)
		json_object_set_new(e, "details", json_string(details));
	print(q->out, e);
	return 1;
}

bool mesh_cni_arg(const char *args, const char *name, struct mesh_slice *ret)
{
	struct mesh_slice rest = mesh_slice_str(args), part;
	size_t len = strlen(name);

	while (mesh_slice_split(&rest, ';', &part)) {
		if (part.len <= len || memcmp(part.ptr, name, len) != 0 || part.ptr[len] != '=')
			continue;
		*ret = mesh_slice_of(part.ptr + len + 1, part.len - len - 1);
		return true;
	}
	return false;
}

static char *arg_dup(const struct request *q, const char *name)
{
	struct mesh_slice v;

	return mesh_cni_arg(q->call->args, name, &v) && v.len ? mesh_xstrndup(v.ptr, v.len) : NULL;
}

static const char *socket_of(const struct request *q)
{
	const char *path = json_string_value(json_object_get(q->config, "socket"));

	return path ? path : USUAL_SOCKET;
}

static json_t *ips_of(const struct request *q)
{
	json_t *list = json_array(), *ip;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(q->config, "prevResult"), "ips"), i, ip)
	{
		json_t *address = json_object_get(ip, "address");

		if (json_is_string(address))
			json_array_append(list, address);
	}
	return list;
}

static json_t *question(const struct request *q, const char *cmd)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:o}", "cmd", cmd, "namespace", q->ns ? q->ns : "", "pod",
			 q->pod ? q->pod : "", "uid", q->uid ? q->uid : "", "containerId",
			 q->call->container ? q->call->container : "", "netns", q->call->netns ? q->call->netns : "",
			 "timeoutMs", TIME_MS - 500, "ips", ips_of(q));
}

static int ask(const struct request *q, json_t *request, unsigned connect_ms, json_t **ret)
{
	mesh_auto_fd int netns = -1;
	int r;

	if (q->call->netns && q->call->netns[0])
		netns = open(q->call->netns, O_RDONLY | O_CLOEXEC);
	r = mesh_cni_ask(socket_of(q), request, netns, connect_ms, TIME_MS, ret);
	json_decref(request);
	return r;
}

/* What was handed to us is the result: this plugin makes nothing that a later one or the runtime has to know. */
static int pass_on(struct request *q)
{
	json_t *result = json_deep_copy(json_object_get(q->config, "prevResult"));

	if (!result)
		return fail(q, CNI_BAD_CONFIG, "sockmesh-cni must come after the plugin that makes the interface",
			    "the configuration has no prevResult");
	if (!json_object_get(result, "cniVersion"))
		json_object_set_new(result, "cniVersion", json_string(q->version));
	print(q->out, result);
	return 0;
}

/* Nobody answers. */
static int without_agent(struct request *q, enum mesh_cni_member member, int why)
{
	mesh_auto_free char *msg = NULL, *details = NULL;

	if (member == MESH_CNI_MEMBER_NO)
		return pass_on(q);
	if (member == MESH_CNI_MEMBER_PLAIN) {
		fprintf(stderr, "sockmesh-cni: pod %s/%s starts outside of the mesh: no agent answers at %s (%s)\n",
			q->ns, q->pod, socket_of(q), strerror(-why));
		return pass_on(q);
	}
	msg = mesh_xasprintf(
		"AgentNotThere: namespace %s is in the mesh, and the mesh's agent on this node does not answer", q->ns);
	details = mesh_xasprintf("%s: %s; the pod starts when DaemonSet sockmesh-agent runs here again", socket_of(q),
				 strerror(-why));
	return fail(q, CNI_TRY_AGAIN, msg, details);
}

static int refused(struct request *q, const char *error)
{
	mesh_auto_free char *msg =
		mesh_xasprintf("NotCaptured: pod %s/%s: %s", q->ns, q->pod, error ? error : "the agent says no");

	return fail(q, CNI_REFUSED, msg, NULL);
}

static int add(struct request *q)
{
	enum mesh_cni_member member;
	json_t *answer = NULL;
	const char *error;
	int r;

	if (!q->ns || !q->pod)
		return pass_on(q); /* no pod of Kubernetes */
	if (!json_object_get(q->config, "prevResult"))
		return pass_on(q); /* which says what is wrong */
	member = mesh_cni_member(json_object_get(q->config, "members"), q->ns);
	/* Only who cannot do without waits for one that is just starting. */
	r = ask(q, question(q, "cni-add"), member == MESH_CNI_MEMBER_REFUSE ? CONNECT_MS : 0, &answer);
	if (r < 0)
		return without_agent(q, member, r);
	error = json_string_value(json_object_get(answer, "error"));
	if (json_is_true(json_object_get(answer, "ok")) || member == MESH_CNI_MEMBER_PLAIN)
		r = pass_on(q);
	else
		r = refused(q, error);
	json_decref(answer);
	return r;
}

/* What goes must always be able to go. */
static int del(struct request *q)
{
	json_t *answer = NULL;

	ask(q, question(q, "cni-del"), 0, &answer);
	json_decref(answer);
	return 0;
}

static int check(struct request *q)
{
	json_t *answer = NULL;
	int r = 0;

	if (!q->ns || !q->pod || ask(q, question(q, "cni-check"), 0, &answer) < 0)
		return 0; /* the programs are in the kernel, with or without an agent */
	if (!json_is_true(json_object_get(answer, "ok")))
		r = refused(q, json_string_value(json_object_get(answer, "error")));
	json_decref(answer);
	return r;
}

/* Pods outside of the mesh never need the agent, so the network is ready without it. */
static int status(struct request *q)
{
	(void)q;
	return 0;
}

static int gc(struct request *q)
{
	json_t *valid = json_array(), *request = question(q, "cni-gc"), *answer = NULL, *v;
	size_t i;

	json_array_foreach(json_object_get(q->config, "cni.dev/valid-attachments"), i, v)
		json_array_append(valid, json_object_get(v, "containerID"));
	json_object_set_new(request, "valid", valid);
	if (json_is_array(json_object_get(q->config, "cni.dev/valid-attachments")))
		ask(q, request, 0, &answer);
	else
		json_decref(request);
	json_decref(answer);
	return 0;
}

static int tell_versions(struct request *q)
{
	json_t *list = json_array();

	for (size_t i = 0; i < MESH_ARRAY_SIZE(versions); i++)
		json_array_append_new(list, json_string(versions[i]));
	print(q->out,
	      json_pack("{s:s, s:o}", "cniVersion", q->version ? q->version : "1.1.0", "supportedVersions", list));
	return 0;
}

static bool is_supported(const char *version)
{
	for (size_t i = 0; version && i < MESH_ARRAY_SIZE(versions); i++)
		if (strcmp(version, versions[i]) == 0)
			return true;
	return false;
}

struct command {
	const char *name;
	int (*fn)(struct request *q);
	bool container; /* needs CNI_CONTAINERID */
};

static const struct command commands[] = {
	{"ADD", add, true},        {"DEL", del, true}, {"CHECK", check, true},
	{"STATUS", status, false}, {"GC", gc, false},  {"VERSION", tell_versions, false},
};

static int run(struct request *q)
{
	const char *name = q->call->command;
	mesh_auto_free char *told = NULL;

	for (size_t i = 0; name && i < MESH_ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(name, c->name) != 0)
			continue;
		if (c->fn != tell_versions && !is_supported(q->version))
			return fail(q, CNI_BAD_VERSION, "this version of the network configuration is not supported",
				    "0.3.0 to 1.1.0 are");
		if (c->container && (!q->call->container || !q->call->container[0]))
			return fail(q, CNI_BAD_ENVIRONMENT, "CNI_CONTAINERID is not set", NULL);
		return c->fn(q);
	}
	told = mesh_xasprintf("CNI_COMMAND is \"%s\"; it is one of ADD, DEL, CHECK, GC, STATUS and VERSION",
			      name ? name : "");
	return fail(q, CNI_BAD_ENVIRONMENT, told, NULL);
}

int mesh_cni_run(const struct mesh_cni_call *call, struct mesh_buf *out)
{
	mesh_auto(request_free) struct request q = {.call = call, .out = out};
	json_error_t why;

	q.config = json_loadb(call->config.len ? call->config.ptr : "", call->config.len, 0, &why);
	if (!json_is_object(q.config))
		return fail(&q, CNI_BAD_CONTENT, "the network configuration on standard input is no JSON object",
			    q.config ? NULL : why.text);
	q.version = json_string_value(json_object_get(q.config, "cniVersion"));
	q.ns = arg_dup(&q, "K8S_POD_NAMESPACE");
	q.pod = arg_dup(&q, "K8S_POD_NAME");
	q.uid = arg_dup(&q, "K8S_POD_UID");
	return run(&q);
}
