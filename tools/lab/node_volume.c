/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: emptyDir, configMap, secret, downwardAPI, projected and hostPath. A pod shares the machine's files, so
 * a volume can be shown only where a directory is already, or below the pod's own /run.
 */
#include "lab/node.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define ACCOUNT_DIR "/run/secrets/kubernetes.io/serviceaccount"

struct filler {
	struct mesh_pod *pod;
	const char *dir, *volume;
	char *message; /* 512 bytes */
};

static int fail(const struct filler *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(const struct filler *f, const char *fmt, ...)
{
	int n = snprintf(f->message, 512, "volume \"%s\": ", f->volume);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->message + n, 512 - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* "a/b" below dir; a path that leads out of it is refused. */
static int put_file(const struct filler *f, const char *path, const char *data, size_t len)
{
	mesh_auto_free char *full = mesh_xasprintf("%s/%s", f->dir, path);
	char *slash = strrchr(full, '/');
	int r;

	if (!*path || path[0] == '/' || strstr(path, ".."))
		return fail(f, "'%s' is not a path within it", path);
	*slash = 0;
	r = mesh_lab_mkdir(full);
	*slash = '/';
	if (r == 0)
		r = mesh_file_write(full, mesh_slice_of(data, len), 0644);
	return r < 0 ? fail(f, "%s: %s", path, strerror(-r)) : 0;
}

static int put_key(const struct filler *f, const char *path, const char *value, bool secret)
{
	mesh_auto_free char *plain = NULL;
	size_t len;

	if (!secret)
		return put_file(f, path, value, strlen(value));
	plain = mesh_lab_base64(value, &len);
	return plain ? put_file(f, path, plain, len) : fail(f, "%s is not base64", path);
}

static int fill_stored(const struct filler *f, const json_t *ref, bool secret)
{
	const struct mesh_node *node = f->pod->node;
	const char *name = *mesh_lab_text(ref, "name") ? mesh_lab_text(ref, "name") : mesh_lab_text(ref, "secretName");
	const json_t *o = mesh_lab_cache_get(secret ? &node->secrets : &node->configmaps, f->pod->ns, name);
	json_t *data = json_object_get(o, "data"), *items = json_object_get(ref, "items"), *value, *item;
	const char *key;
	size_t i;
	int r = 0;

	if (!o && json_is_true(json_object_get(ref, "optional")))
		return 0;
	if (!o)
		return fail(f, "%s \"%s\" not found", secret ? "secret" : "configmap", name);
	json_array_foreach(items, i, item)
	{
		value = json_object_get(data, mesh_lab_text(item, "key"));
		if (r == 0 && value)
			r = put_key(f, mesh_lab_text(item, "path"), json_string_value(value), secret);
		else if (r == 0 && !json_is_true(json_object_get(ref, "optional")))
			r = fail(f, "references non-existent key: %s", mesh_lab_text(item, "key"));
	}
	if (json_array_size(items))
		return r;
	json_object_foreach(data, key, value)
	{
		if (r == 0)
			r = put_key(f, key, json_string_value(value), secret);
	}
	return r;
}

static int fill_downward(const struct filler *f, const json_t *from)
{
	json_t *item;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(from, "items"), i, item)
	{
		const char *value = mesh_pod_field(f->pod, mesh_lab_text(item, "fieldRef.fieldPath"));

		if (r == 0)
			r = value ? put_file(f, mesh_lab_text(item, "path"), value, strlen(value))
				  : fail(f, "field path not supported: %s", mesh_lab_text(item, "fieldRef.fieldPath"));
	}
	return r;
}

static int fill(const struct filler *f, const json_t *from);

static int fill_projected(const struct filler *f, const json_t *from)
{
	json_t *source;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(from, "sources"), i, source)
	{
		if (r == 0 && !json_object_get(source, "serviceAccountToken"))
			r = fill(f, source);
	}
	return r;
}

static int fill(const struct filler *f, const json_t *from)
{
	if (json_object_get(from, "emptyDir") || json_object_get(from, "hostPath"))
		return 0;
	if (json_object_get(from, "configMap"))
		return fill_stored(f, json_object_get(from, "configMap"), false);
	if (json_object_get(from, "secret"))
		return fill_stored(f, json_object_get(from, "secret"), true);
	if (json_object_get(from, "downwardAPI"))
		return fill_downward(f, json_object_get(from, "downwardAPI"));
	if (json_object_get(from, "projected"))
		return fill_projected(f, json_object_get(from, "projected"));
	return fail(f, "a lab has emptyDir, configMap, secret, downwardAPI, projected and hostPath only");
}

static int add_mount(struct mesh_container *c, const json_t *mount, struct mesh_lab_mounts *ret, char *message)
{
	mesh_auto_free char *pod_dir = mesh_pod_dir(c->pod), *dir = NULL;
	const char *name = mesh_lab_text(mount, "name"), *path = mesh_lab_text(mount, "mountPath"),
		   *sub = mesh_lab_text(mount, "subPath");
	const json_t *volume = mesh_lab_item(mesh_lab_at(c->pod->obj, "spec.volumes"), "name", name);
	struct filler f = {.pod = c->pod, .volume = name, .message = message};
	const char *host = mesh_lab_text(volume, "hostPath.path");
	struct mesh_lab_mount m = {0};
	int r;

	if (strncmp(path, "/var/run/", 9) == 0)
		path += 4;
	if (strcmp(path, ACCOUNT_DIR) == 0)
		return 0; /* every pod has it already */
	dir = mesh_xasprintf("%s/volumes/%s", pod_dir, name);
	f.dir = dir;
	r = mesh_lab_mkdir(dir);
	if (r < 0)
		return fail(&f, "%s", strerror(-r));
	r = fill(&f, volume);
	if (r < 0)
		return r;
	if (strncmp(path, "/run/", 5) != 0 && access(path, F_OK) < 0)
		return fail(&f,
			    "mountPath %s is not there, and a lab's pods share this machine's files: "
			    "a directory that is there, or one below /run, will do",
			    path);
	m.source = *host ? mesh_xasprintf("%s%s%s", host, *sub ? "/" : "", sub)
			 : mesh_xasprintf("%s/%s%s%s", MESH_LAB_VOLUMES, name, *sub ? "/" : "", sub);
	m.target = mesh_xstrdup(path);
	m.read_only = json_is_true(json_object_get(mount, "readOnly"));
	mesh_vec_push(&ret->list, m);
	return 0;
}

void mesh_volumes_free(struct mesh_lab_mounts *mounts)
{
	mesh_vec_each (m, &mounts->list) {
		free(m->source);
		free(m->target);
	}
	mesh_vec_free(&mounts->list);
}

int mesh_volumes_make(struct mesh_container *c, struct mesh_lab_mounts *ret, char message[512])
{
	json_t *mount;
	size_t i;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	json_array_foreach(json_object_get(mesh_container_spec(c), "volumeMounts"), i, mount)
	{
		if (r == 0)
			r = add_mount(c, mount, ret, message);
	}
	if (r < 0)
		mesh_volumes_free(ret);
	return r;
}
