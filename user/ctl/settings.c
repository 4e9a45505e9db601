/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/settings.h"

#include "core/mem.h"
#include "model/xdp.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

enum part { AGENT = 1 << 0, CONTROL = 1 << 1 };

static const struct {
	enum part part;
	const char *kind, *name;
} workloads[] = {
	{AGENT, "DaemonSet", "sockmesh-agent"},
	{CONTROL, "Deployment", "sockmesh-control"},
};

enum value_type {
	TEXT,     /* not empty */
	NAME,     /* letters, digits and - within */
	NUMBER,   /* from 0 */
	PORT,     /* 1 to 65535 */
	BOOLEAN,  /* true or false */
	QUANTITY, /* "100m", "64Mi" */
	PATH,     /* begins with '/' */
	CHOICE,   /* of .choices */
	DEVICE,   /* a network device's name */
	XDP,      /* mesh_xdp_parse() */
};

/* rest: what of the key comes after the row's name (rows that end with '.'), else "". */
struct setting {
	const char *key;
	enum value_type type;
	const char *choices; /* "a|b" */
	unsigned parts;
	int (*set)(const struct setting *s, json_t *objects, const char *rest, const char *value);
	const char *at; /* what set() needs to know */
	const char *help;
};

json_t *mesh_manifest_find(const json_t *objects, const char *kind, const char *name)
{
	json_t *obj;
	size_t i;

	json_array_foreach(objects, i, obj)
	{
		const char *k = json_string_value(json_object_get(obj, "kind"));
		const char *n = json_string_value(json_object_get(json_object_get(obj, "metadata"), "name"));

		if (k && strcmp(k, kind) == 0 && (!name || (n && strcmp(n, name) == 0)))
			return obj;
	}
	return NULL;
}

/* The object below a path of names, made where it is missing. */
static json_t *below(json_t *obj, const char *path)
{
	struct mesh_slice rest = mesh_slice_str(path), part;

	while (rest.len && mesh_slice_split(&rest, '.', &part)) {
		mesh_auto_free char *name = mesh_xstrndup(part.ptr, part.len);
		json_t *next = json_object_get(obj, name);

		if (!next) {
			next = json_object();
			json_object_set_new(obj, name, next);
		}
		obj = next;
	}
	return obj;
}

static json_t *pod_spec(const json_t *workload)
{
	const json_t *spec = json_object_get(workload, "spec");

	return json_object_get(json_object_get(spec, "template"), "spec");
}

static json_t *container(const json_t *workload)
{
	return json_array_get(json_object_get(pod_spec(workload), "containers"), 0);
}

/* Calls fn with each workload that the row is for. Returns 0, or -ENOENT if the manifests have none of them. */
static int each_workload(const struct setting *s, json_t *objects,
			 void (*fn)(const struct setting *s, json_t *workload, const char *rest, const char *value),
			 const char *rest, const char *value)
{
	int r = -ENOENT;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(workloads); i++) {
		json_t *w = s->parts & workloads[i].part
				    ? mesh_manifest_find(objects, workloads[i].kind, workloads[i].name)
				    : NULL;

		if (!w)
			continue;
		fn(s, w, rest, value);
		r = 0;
	}
	return r;
}

static void resource_of(const struct setting *s, json_t *w, const char *rest, const char *value)
{
	(void)rest;
	json_object_set_new(
		below(container(w), strncmp(s->at, "limits", 6) == 0 ? "resources.limits" : "resources.requests"),
		strchr(s->at, '.') + 1, json_string(value));
}

static int set_resource(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	return each_workload(s, objects, resource_of, rest, value);
}

/* --flag=VALUE in the container's arguments, in place of "--flag=..." or "--flag", "...". */
static void argument_of(const struct setting *s, json_t *w, const char *rest, const char *value)
{
	json_t *args = json_object_get(container(w), "args"), *arg, *wanted = json_sprintf("%s=%s", s->at, value);
	size_t len = strlen(s->at), i;

	(void)rest;
	if (!args) {
		args = json_array();
		json_object_set_new(container(w), "args", args);
	}
	json_array_foreach(args, i, arg)
	{
		const char *text = json_string_value(arg);

		if (!text || strncmp(text, s->at, len) != 0 || (text[len] && text[len] != '='))
			continue;
		if (!text[len])
			json_array_remove(args, i + 1);
		json_array_set_new(args, i, wanted);
		return;
	}
	json_array_append_new(args, wanted);
}

static int set_argument(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	return each_workload(s, objects, argument_of, rest, value);
}

static void pull_policy_of(const struct setting *s, json_t *w, const char *rest, const char *value)
{
	static const char *const lists[] = {"initContainers", "containers"};
	json_t *c;
	size_t i;

	(void)s;
	(void)rest;
	for (size_t l = 0; l < MESH_ARRAY_SIZE(lists); l++)
		json_array_foreach(json_object_get(pod_spec(w), lists[l]), i, c)
			json_object_set_new(c, "imagePullPolicy", json_string(value));
}

static int set_pull_policy(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	return each_workload(s, objects, pull_policy_of, rest, value);
}

static void pull_secret_of(const struct setting *s, json_t *w, const char *rest, const char *value)
{
	(void)s;
	(void)rest;
	json_object_set_new(pod_spec(w), "imagePullSecrets", json_pack("[{s:s}]", "name", value));
}

static int set_pull_secret(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	return each_workload(s, objects, pull_secret_of, rest, value);
}

static void node_selector_of(const struct setting *s, json_t *w, const char *rest, const char *value)
{
	(void)s;
	json_object_set_new(below(pod_spec(w), "nodeSelector"), rest, json_string(value));
}

static int set_node_selector(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	return rest[0] ? each_workload(s, objects, node_selector_of, rest, value) : -EINVAL;
}

static void replicas_of(const struct setting *s, json_t *w, const char *rest, const char *value)
{
	(void)s;
	(void)rest;
	json_object_set_new(json_object_get(w, "spec"), "replicas", json_integer(strtol(value, NULL, 10)));
}

static int set_replicas(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	return each_workload(s, objects, replicas_of, rest, value);
}

/* The hostPath behind the volume that is mounted at s->at. */
static void host_path_of(const struct setting *s, json_t *w, const char *rest, const char *value)
{
	json_t *mount, *volume;
	size_t i, j;

	(void)rest;
	json_array_foreach(json_object_get(container(w), "volumeMounts"), i, mount)
	{
		const char *at = json_string_value(json_object_get(mount, "mountPath"));

		if (!at || strcmp(at, s->at) != 0)
			continue;
		json_array_foreach(
			json_object_get(pod_spec(w), "volumes"), j,
			volume) if (json_equal(json_object_get(volume, "name"), json_object_get(mount, "name")))
			json_object_set_new(json_object_get(volume, "hostPath"), "path", json_string(value));
	}
}

static int set_host_path(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	return each_workload(s, objects, host_path_of, rest, value);
}

/* Without the plugin: its arguments, mounts and volumes go. */
static void no_cni_of(const struct setting *s, json_t *w, const char *rest, const char *value)
{
	static const char *const flags[] = {"--cni-bin-dir", "--cni-conf-dir"};
	json_t *args = json_object_get(container(w), "args"), *mounts = json_object_get(container(w), "volumeMounts");
	json_t *volumes = json_object_get(pod_spec(w), "volumes");

	(void)s;
	(void)rest;
	(void)value;
	for (size_t i = json_array_size(args); i > 0; i--) {
		const char *text = json_string_value(json_array_get(args, i - 1));

		for (size_t f = 0; text && f < MESH_ARRAY_SIZE(flags); f++) {
			size_t len = strlen(flags[f]);

			if (strncmp(text, flags[f], len) != 0 || (text[len] && text[len] != '='))
				continue;
			if (!text[len])
				json_array_remove(args, i);
			json_array_remove(args, i - 1);
			break;
		}
	}
	for (size_t i = json_array_size(mounts); i > 0; i--) {
		const json_t *mount = json_array_get(mounts, i - 1);
		const char *at = json_string_value(json_object_get(mount, "mountPath"));

		if (!at || (strcmp(at, "/host/opt/cni/bin") != 0 && strcmp(at, "/host/etc/cni/net.d") != 0))
			continue;
		for (size_t j = json_array_size(volumes); j > 0; j--)
			if (json_equal(json_object_get(json_array_get(volumes, j - 1), "name"),
				       json_object_get(mount, "name")))
				json_array_remove(volumes, j - 1);
		json_array_remove(mounts, i - 1);
	}
}

static int set_cni(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	return strcmp(value, "true") == 0 ? 0 : each_workload(s, objects, no_cni_of, rest, value);
}

static int set_config(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	json_t *config = mesh_manifest_find(objects, "ConfigMap", "sockmesh");

	(void)rest;
	if (!config)
		return -ENOENT;
	json_object_set_new(below(config, "data"), s->at, json_string(value));
	return 0;
}

static int set_failure_policy(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	json_t *config = mesh_manifest_find(objects, "ValidatingWebhookConfiguration", NULL), *hook;
	size_t i;

	(void)s;
	(void)rest;
	json_array_foreach(json_object_get(config, "webhooks"), i, hook)
		json_object_set_new(hook, "failurePolicy", json_string(value));
	return config ? 0 : -ENOENT;
}

/* An agent that was replaced is given that time, and a little more to end. */
static int set_drain_time(const struct setting *s, json_t *objects, const char *rest, const char *value)
{
	json_t *agents = mesh_manifest_find(objects, "DaemonSet", "sockmesh-agent");
	json_t *spec = json_object_get(json_object_get(json_object_get(agents, "spec"), "template"), "spec");

	if (!spec)
		return -ENOENT;
	json_object_set_new(spec, "terminationGracePeriodSeconds",
			    json_integer((json_int_t)strtoul(value, NULL, 10) + 10));
	return set_config(s, objects, rest, value);
}

/* clang-format off */
static const struct setting settings[] = {
	{"agent.resources.requests.cpu", QUANTITY, NULL, AGENT, set_resource, "requests.cpu", "CPU that each agent reserves"},
	{"agent.resources.requests.memory", QUANTITY, NULL, AGENT, set_resource, "requests.memory", "memory that each agent reserves"},
	{"agent.resources.limits.cpu", QUANTITY, NULL, AGENT, set_resource, "limits.cpu", "CPU that an agent may use at most"},
	{"agent.resources.limits.memory", QUANTITY, NULL, AGENT, set_resource, "limits.memory", "memory that an agent may use at most"},
	{"agent.logLevel", CHOICE, "error|warn|info|debug", AGENT, set_argument, "--log-level", "what agents log"},
	{"agent.workers", NUMBER, NULL, AGENT, set_argument, "--workers", "proxy threads of each agent (default: one for each CPU)"},
	{"agent.nodeSelector.", TEXT, NULL, AGENT, set_node_selector, NULL, "agents only on nodes with this label: agent.nodeSelector.LABEL=VALUE"},
	{"control.replicas", NUMBER, NULL, CONTROL, set_replicas, NULL, "pods of the control plane; one of them leads"},
	{"control.resources.requests.cpu", QUANTITY, NULL, CONTROL, set_resource, "requests.cpu", "CPU that each control pod reserves"},
	{"control.resources.requests.memory", QUANTITY, NULL, CONTROL, set_resource, "requests.memory", "memory that each control pod reserves"},
	{"control.resources.limits.cpu", QUANTITY, NULL, CONTROL, set_resource, "limits.cpu", "CPU that a control pod may use at most"},
	{"control.resources.limits.memory", QUANTITY, NULL, CONTROL, set_resource, "limits.memory", "memory that a control pod may use at most"},
	{"control.logLevel", CHOICE, "error|warn|info|debug", CONTROL, set_argument, "--log-level", "what control logs"},
	{"control.nodeSelector.", TEXT, NULL, CONTROL, set_node_selector, NULL, "control only on nodes with this label: control.nodeSelector.LABEL=VALUE"},
	{"logLevel", CHOICE, "error|warn|info|debug", 0, set_config, "logLevel", "what agents and control log"},
	{"image.pullPolicy", CHOICE, "Always|IfNotPresent|Never", AGENT | CONTROL, set_pull_policy, NULL, "when nodes fetch the image"},
	{"image.pullSecret", TEXT, NULL, AGENT | CONTROL, set_pull_secret, NULL, "a Secret of sockmesh-system with the registry's credentials"},
	{"apiServer.host", TEXT, NULL, 0, set_config, "apiServerHost", "the API server's address as nodes reach it, where nothing serves ClusterIPs on nodes"},
	{"apiServer.port", PORT, NULL, 0, set_config, "apiServerPort", "the port that goes with it"},
	{"cluster", NAME, NULL, 0, set_config, "cluster", "part of the name of the directory that agents pin programs and maps in (default: default)"},
	{"cni.enabled", BOOLEAN, NULL, AGENT, set_cni, NULL, "chain sockmesh-cni behind the cluster's CNI plugin (default true); without it a pod's first connections may leave before it is in the mesh"},
	{"cni.binDir", PATH, NULL, AGENT, set_host_path, "/host/opt/cni/bin", "where the runtime looks for CNI plugins (default /opt/cni/bin)"},
	{"cni.confDir", PATH, NULL, AGENT, set_host_path, "/host/etc/cni/net.d", "where it looks for their configuration (default /etc/cni/net.d)"},
	{"cni.policy", CHOICE, "refuse|plain", 0, set_config, "cniPolicy", "a pod of the mesh that starts while its node's agent is away: refuse (default) or plain"},
	{"drain", CHOICE, "keep|end", 0, set_config, "drain", "L4 connections to a pod that lives, when its service sends nothing new there: keep (default) or end; for services without an annotation sockmesh.io/drain"},
	{"upgrade.drainTime", NUMBER, NULL, 0, set_drain_time, "drainTime", "seconds that an agent whose place another took serves tunnels and long answers on (default 20)"},
	{"onStop", CHOICE, "keep|detach", 0, set_config, "onStop", "programs and pins of an agent that is stopped and that no other follows: keep (default) or detach"},
	{"splice", CHOICE, "auto|enabled|disabled", 0, set_config, "splice", "flows between pods of a node past TCP, for pods and namespaces without an annotation sockmesh.io/splice: auto (default: on kernels that pass every probe), enabled or disabled"},
	{"uplink", DEVICE, NULL, 0, set_config, "uplink", "the device by which nodes reach pods of other nodes: established L4 flows to them take a short way there (docs/bypass.md; default: none)"},
	{"xdp", XDP, NULL, 0, set_config, "xdp", "the device that leads to other nodes, for an XDP program that ends what comes there from impossible addresses (docs/uplink.md; default: none)"},
	{"webhook.failurePolicy", CHOICE, "Fail|Ignore", 0, set_failure_policy, NULL, "objects of the mesh while no control pod answers: refused (Fail) or unchecked (Ignore)"},
};
/* clang-format on */

static const struct setting *find(const char *key, const char **rest)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(settings); i++) {
		size_t len = strlen(settings[i].key);

		*rest = "";
		if (settings[i].key[len - 1] != '.' && strcmp(settings[i].key, key) == 0)
			return &settings[i];
		*rest = key + len;
		if (settings[i].key[len - 1] == '.' && strncmp(settings[i].key, key, len) == 0 && key[len])
			return &settings[i];
	}
	return NULL;
}

static bool is_quantity(const char *s)
{
	static const char *const units[] = {"", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"};
	const char *unit = s + strspn(s, "0123456789.");

	if (unit == s || !isdigit((unsigned char)*s) || strchr(s, '.') != strrchr(s, '.'))
		return false;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(units); i++)
		if (strcmp(unit, units[i]) == 0)
			return true;
	return false;
}

static bool is_name(const char *s)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len && len <= 40 && !s[len] && s[0] != '-' && s[len - 1] != '-';
}

static bool is_choice(const char *choices, const char *value)
{
	struct mesh_slice rest = mesh_slice_str(choices), part;

	while (mesh_slice_split(&rest, '|', &part))
		if (mesh_slice_eq(part, mesh_slice_str(value)))
			return true;
	return false;
}

static bool is_device(const char *s)
{
	struct mesh_xdp x;
	const char *why;

	return !strchr(s, ',') && mesh_xdp_parse(s, &x, &why) == 0;
}

/* NULL if value is right, else what would be. */
static const char *wrong(const struct setting *s, const char *value)
{
	struct mesh_xdp xdp;
	const char *why;
	uint64_t n = 0;

	switch (s->type) {
	case TEXT:
		return value[0] ? NULL : "must not be empty";
	case NAME:
		return is_name(value) ? NULL : "must be a name of lower-case letters, digits and '-'";
	case NUMBER:
		return mesh_slice_to_u64(mesh_slice_str(value), 1000, &n) == 0
			       ? NULL
			       : "must be a whole number from 0 to 1000";
	case PORT:
		return mesh_slice_to_u64(mesh_slice_str(value), 65535, &n) == 0 && n ? NULL
										     : "must be a port, 1 to 65535";
	case BOOLEAN:
		return is_choice("true|false", value) ? NULL : "must be true or false";
	case QUANTITY:
		return is_quantity(value) ? NULL : "must be a quantity such as 100m or 64Mi";
	case PATH:
		return value[0] == '/' ? NULL : "must be an absolute path";
	case CHOICE:
		return is_choice(s->choices, value) ? NULL : s->choices;
	case DEVICE:
		return is_device(value) ? NULL : "must be the name of a network device";
	case XDP:
		return mesh_xdp_parse(value, &xdp, &why) < 0 ? why : NULL;
	}
	return "is of no known type";
}

static int unknown(const char *key, struct mesh_errs *errs)
{
	const char *names[MESH_ARRAY_SIZE(settings)], *near;
	struct mesh_err *e;
	size_t count = 0;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(settings); i++)
		if (settings[i].key[strlen(settings[i].key) - 1] != '.')
			names[count++] = settings[i].key;
	near = mesh_nearest(key, names, count);
	e = mesh_errs_add(errs, "--set %s: no setting is named so", key);
	if (e && near)
		e->hint = mesh_xasprintf("did you mean %s?", near);
	else if (e)
		e->hint = mesh_xstrdup("meshctl install --help lists them");
	return -EINVAL;
}

int mesh_setting_apply(json_t *objects, const char *text, struct mesh_errs *errs)
{
	const char *eq = strchr(text, '='), *rest, *why;
	mesh_auto_free char *key = eq ? mesh_xstrndup(text, (size_t)(eq - text)) : NULL;
	const struct setting *s;
	int r;

	if (!eq) {
		mesh_errs_add(errs, "--set %s: must be KEY=VALUE", text);
		return -EINVAL;
	}
	s = find(key, &rest);
	if (!s)
		return unknown(key, errs);
	why = wrong(s, eq + 1);
	if (why) {
		mesh_errs_add(errs, "--set %s: \"%s\" %s%s", key, eq + 1, s->type == CHOICE ? "must be one of " : "",
			      why);
		return -EINVAL;
	}
	r = s->set(s, objects, rest, eq + 1);
	if (r < 0)
		mesh_errs_add(errs, "--set %s: the manifests have nothing that it could change", key);
	return r < 0 ? -EINVAL : 0;
}

/* Any text that is the image, or an argument or variable that ends with "=" and it. */
static void replace_image(json_t *v, const char *image)
{
	static const char suffix[] = "=" MESH_DEFAULT_IMAGE;
	const char *text = json_string_value(v), *key;
	size_t len = text ? strlen(text) : 0, n = sizeof(suffix) - 1, i;
	json_t *item;

	if (text && strcmp(text, MESH_DEFAULT_IMAGE) == 0) {
		json_string_set(v, image);
	} else if (text && len > n && strcmp(text + len - n, suffix) == 0) {
		mesh_auto_free char *with = mesh_xasprintf("%.*s%s", (int)(len - n + 1), text, image);

		json_string_set(v, with);
	}
	json_array_foreach(v, i, item) replace_image(item, image);
	json_object_foreach(v, key, item) replace_image(item, image);
}

json_t *mesh_manifest_only_container(json_t *spec)
{
	json_t *all = json_object_get(spec, "containers");

	while (json_array_size(all) > 1)
		json_array_remove(all, json_array_size(all) - 1);
	return json_array_get(all, 0);
}

void mesh_setting_image(json_t *objects, const char *image)
{
	replace_image(objects, image);
}

void mesh_settings_help(struct mesh_buf *out)
{
	static const char *const types[] = {
		[TEXT] = "TEXT",          [NAME] = "NAME",
		[NUMBER] = "N",           [PORT] = "PORT",
		[BOOLEAN] = "true|false", [QUANTITY] = "QUANTITY",
		[PATH] = "PATH",          [CHOICE] = "",
		[DEVICE] = "DEVICE",      [XDP] = "DEVICE[,mode=native|generic]",
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(settings); i++) {
		const struct setting *s = &settings[i];
		const char *label = s->key[strlen(s->key) - 1] == '.' ? "LABEL" : "";
		mesh_auto_free char *left =
			mesh_xasprintf("%s%s=%s", s->key, label, s->type == CHOICE ? s->choices : types[s->type]);

		mesh_buf_printf(out, "  %-50s %s\n", left, s->help);
	}
}
