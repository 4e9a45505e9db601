/* SPDX-License-Identifier: Apache-2.0 */
/* What a container runs: image, command, arguments, environment. */
#include "lab/node.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>

struct maker {
	struct mesh_container *c;
	json_t *env; /* "K=V" */
	char *reason, *message;
};

static int fail(struct maker *m, const char *reason, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct maker *m, const char *reason, const char *fmt, ...)
{
	va_list ap;

	snprintf(m->reason, 64, "%s", reason);
	va_start(ap, fmt);
	vsnprintf(m->message, 512, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static void env_set(json_t *env, const char *name, const char *value)
{
	size_t len = strlen(name), i;
	json_t *item;

	json_array_foreach(env, i, item)
	{
		const char *text = json_string_value(item);

		if (strncmp(text, name, len) == 0 && text[len] == '=') {
			json_array_remove(env, i);
			break;
		}
	}
	json_array_append_new(env, json_sprintf("%s=%s", name, value));
}

static const char *env_get(const json_t *env, const char *name, size_t len)
{
	json_t *item;
	size_t i;

	json_array_foreach(env, i, item)
	{
		const char *text = json_string_value(item);

		if (strncmp(text, name, len) == 0 && text[len] == '=')
			return text + len + 1;
	}
	return NULL;
}

char *mesh_command_expand(const char *text, const json_t *env)
{
	struct mesh_buf out = {0};

	while (*text) {
		const char *end = text[0] == '$' && text[1] == '(' ? strchr(text, ')') : NULL;
		const char *value = end ? env_get(env, text + 2, (size_t)(end - text) - 2) : NULL;

		if (text[0] == '$' && text[1] == '$') {
			mesh_buf_char(&out, '$');
			text += 2;
		} else if (value) {
			mesh_buf_str(&out, value);
			text = end + 1;
		} else {
			mesh_buf_char(&out, *text++);
		}
	}
	return mesh_buf_steal(&out);
}

const char *mesh_pod_field(const struct mesh_pod *pod, const char *path)
{
	static const struct {
		const char *prefix, *map;
	} maps[] = {{"metadata.labels['", "metadata.labels"}, {"metadata.annotations['", "metadata.annotations"}};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(maps); i++) {
		size_t len = strlen(maps[i].prefix), rest = strlen(path);

		if (strncmp(path, maps[i].prefix, len) == 0 && rest > len + 2) {
			const json_t *v =
				json_object_getn(mesh_lab_at(pod->obj, maps[i].map), path + len, rest - len - 2);

			return json_string_value(v) ? json_string_value(v) : "";
		}
	}
	if (strcmp(path, "status.podIP") == 0)
		return pod->sandbox.ip;
	if (strcmp(path, "status.podIPs") == 0)
		return pod->sandbox.ip;
	if (strcmp(path, "status.hostIP") == 0 || strcmp(path, "status.hostIPs") == 0)
		return pod->node->ip;
	if (strcmp(path, "spec.nodeName") == 0)
		return pod->node->name;
	if (strcmp(path, "spec.serviceAccountName") == 0)
		return *mesh_lab_text(pod->obj, path) ? mesh_lab_text(pod->obj, path) : "default";
	if (strcmp(path, "metadata.name") == 0 || strcmp(path, "metadata.namespace") == 0 ||
	    strcmp(path, "metadata.uid") == 0)
		return mesh_lab_text(pod->obj, path);
	return NULL;
}

/* The value of a key in a ConfigMap or Secret; the caller frees; NULL if it is not there. */
static char *stored_value(const struct mesh_container *c, bool secret, const char *name, const char *key)
{
	const struct mesh_node *node = c->pod->node;
	const json_t *o = mesh_lab_cache_get(secret ? &node->secrets : &node->configmaps, c->pod->ns, name);
	const char *text = json_string_value(json_object_get(json_object_get(o, "data"), key));

	if (!text)
		return NULL;
	return secret ? mesh_lab_base64(text, NULL) : mesh_xstrdup(text);
}

static int env_from_key(struct maker *m, const char *name, const json_t *ref, bool secret)
{
	const char *object = mesh_lab_text(ref, "name"), *key = mesh_lab_text(ref, "key");
	mesh_auto_free char *value = stored_value(m->c, secret, object, key);

	if (!value && json_is_true(json_object_get(ref, "optional")))
		return 0;
	if (!value)
		return fail(m, "CreateContainerConfigError", "couldn't find key %s in %s %s/%s", key,
			    secret ? "Secret" : "ConfigMap", m->c->pod->ns, object);
	env_set(m->env, name, value);
	return 0;
}

static int env_one(struct maker *m, const json_t *item)
{
	const char *name = mesh_lab_text(item, "name");
	const json_t *from = json_object_get(item, "valueFrom");
	const char *path = mesh_lab_text(from, "fieldRef.fieldPath"), *value;

	if (!from) {
		mesh_auto_free char *expanded = mesh_command_expand(mesh_lab_text(item, "value"), m->env);

		env_set(m->env, name, expanded);
		return 0;
	}
	if (json_object_get(from, "configMapKeyRef"))
		return env_from_key(m, name, json_object_get(from, "configMapKeyRef"), false);
	if (json_object_get(from, "secretKeyRef"))
		return env_from_key(m, name, json_object_get(from, "secretKeyRef"), true);
	if (json_object_get(from, "resourceFieldRef")) {
		env_set(m->env, name, "1");
		return 0;
	}
	value = mesh_pod_field(m->c->pod, path);
	if (!value)
		return fail(m, "CreateContainerConfigError", "field path not supported: %s", path);
	env_set(m->env, name, value);
	return 0;
}

static int env_all_of(struct maker *m, const json_t *from)
{
	bool secret = json_object_get(from, "secretRef") != NULL;
	const json_t *ref = json_object_get(from, secret ? "secretRef" : "configMapRef");
	const struct mesh_node *node = m->c->pod->node;
	json_t *o = mesh_lab_cache_get(secret ? &node->secrets : &node->configmaps, m->c->pod->ns,
				       mesh_lab_text(ref, "name"));
	const char *key;
	json_t *value;

	if (!o && !json_is_true(json_object_get(ref, "optional")))
		return fail(m, "CreateContainerConfigError", "%s \"%s\" not found", secret ? "secret" : "configmap",
			    mesh_lab_text(ref, "name"));
	json_object_foreach(json_object_get(o, "data"), key, value)
	{
		mesh_auto_free char *text = stored_value(m->c, secret, mesh_lab_text(ref, "name"), key);
		mesh_auto_free char *name = mesh_xasprintf("%s%s", mesh_lab_text(from, "prefix"), key);

		env_set(m->env, name, text ? text : "");
	}
	return 0;
}

static int make_env(struct maker *m, const json_t *spec)
{
	struct mesh_pod *pod = m->c->pod;
	char ip[MESH_LAB_TEXT];
	json_t *item;
	size_t i;
	int r = 0;

	env_set(m->env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	env_set(m->env, "HOME", "/root");
	env_set(m->env, "HOSTNAME",
		*mesh_lab_text(pod->obj, "spec.hostname") ? mesh_lab_text(pod->obj, "spec.hostname") : pod->name);
	env_set(m->env, "KUBERNETES_SERVICE_HOST",
		mesh_lab_service_ip(&pod->node->lab, MESH_LAB_SERVICE_KUBERNETES, ip));
	env_set(m->env, "KUBERNETES_SERVICE_PORT", "443");
	env_set(m->env, "KUBERNETES_SERVICE_PORT_HTTPS", "443");
	json_array_foreach(json_object_get(spec, "envFrom"), i, item)
	{
		if (r == 0)
			r = env_all_of(m, item);
	}
	json_array_foreach(json_object_get(spec, "env"), i, item)
	{
		if (r == 0)
			r = env_one(m, item);
	}
	return r;
}

static int find_image(struct maker *m, const char *image, const struct mesh_lab_image **ret)
{
	struct mesh_node *node = m->c->pod->node;
	struct mesh_lab now;

	if (mesh_lab_image_find(&node->lab, image, ret) == 0)
		return 0;
	/* `lab up --image` may have added it since. */
	if (mesh_lab_load(node->lab.name, &now, NULL) == 0) {
		struct mesh_lab old = node->lab;

		node->lab = now;
		mesh_lab_free(&old);
		if (mesh_lab_image_find(&node->lab, image, ret) == 0)
			return 0;
	}
	return fail(m, "ErrImagePull",
		    "no program stands for image \"%s\" in this lab (meshctl lab up --name %s --image %s=PATH)", image,
		    node->lab.name, image);
}

static int make_argv(struct maker *m, const json_t *spec, struct mesh_command *ret)
{
	const json_t *command = json_object_get(spec, "command"), *args = json_object_get(spec, "args");
	size_t n = 0, i, room = json_array_size(command) + json_array_size(args) + 3;
	const struct mesh_lab_image *image;
	json_t *item;

	if (find_image(m, mesh_lab_text(spec, "image"), &image) < 0)
		return -EINVAL;
	ret->argv = mesh_xcalloc(room, sizeof(char *));
	if (json_array_size(command) == 0) {
		ret->argv[n++] = mesh_xstrdup(image->path);
		if (image->arg && !(image->arg_is_default && json_array_size(args)))
			ret->argv[n++] = mesh_xstrdup(image->arg);
	}
	json_array_foreach(command, i, item) ret->argv[n++] = mesh_command_expand(json_string_value(item), m->env);
	json_array_foreach(args, i, item) ret->argv[n++] = mesh_command_expand(json_string_value(item), m->env);
	return 0;
}

void mesh_command_free(struct mesh_command *cmd)
{
	for (char **a = cmd->argv; a && *a; a++)
		free(*a);
	for (char **e = cmd->envp; e && *e; e++)
		free(*e);
	free(cmd->argv);
	free(cmd->envp);
	free(cmd->cwd);
	memset(cmd, 0, sizeof(*cmd));
}

int mesh_command_make(struct mesh_container *c, struct mesh_command *ret, char reason[64], char message[512])
{
	struct maker m = {c, json_array(), reason, message};
	const json_t *spec = mesh_container_spec(c);
	struct mesh_command cmd = {0};
	json_t *item;
	size_t i;
	int r;

	if (!spec) {
		json_decref(m.env);
		return fail(&m, "CreateContainerConfigError", "the pod has no container of that name any more");
	}
	r = make_env(&m, spec);
	if (r == 0)
		r = make_argv(&m, spec, &cmd);
	if (r == 0) {
		cmd.envp = mesh_xcalloc(json_array_size(m.env) + 1, sizeof(char *));
		json_array_foreach(m.env, i, item) cmd.envp[i] = mesh_xstrdup(json_string_value(item));
		if (*mesh_lab_text(spec, "workingDir"))
			cmd.cwd = mesh_xstrdup(mesh_lab_text(spec, "workingDir"));
		json_decref(c->env);
		c->env = json_incref(m.env);
		*ret = cmd;
	} else {
		mesh_command_free(&cmd);
	}
	json_decref(m.env);
	return r;
}
