/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/files.h"

#include "config/get.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 16 << 20 };

void mesh_inputs_free(struct mesh_inputs *in)
{
	mesh_vec_each (i, &in->list) {
		json_decref(i->obj);
		free(i->source);
	}
	mesh_vec_free(&in->list);
	mesh_vec_each (d, &in->docs) {
		mesh_documents_free(*d);
		free(*d);
	}
	mesh_vec_free(&in->docs);
}

static int add_text(struct mesh_ctl *ctl, const char *source, struct mesh_slice content, struct mesh_inputs *in)
{
	struct mesh_documents *docs = mesh_xcalloc(1, sizeof(*docs));
	struct mesh_errs errs = {0};

	if (mesh_documents_parse(source, content, docs, &errs) < 0) {
		free(docs);
		mesh_ctl_errors(ctl, &errs);
		return -EINVAL;
	}
	mesh_vec_push(&in->docs, docs);
	for (size_t i = 0; i < docs->list.count; i++) {
		struct mesh_input *one = mesh_vec_add(&in->list);

		one->obj = json_deep_copy(docs->list.items[i].value);
		one->source = mesh_xstrdup(source);
		one->docs = docs;
		one->doc = i;
	}
	mesh_errs_free(&errs);
	return 0;
}

static int add_stdin(struct mesh_ctl *ctl, struct mesh_inputs *in)
{
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};
	size_t n;

	do {
		n = fread(mesh_buf_room(&b, 65536), 1, 65536, stdin);
		b.len += n;
	} while (n > 0 && b.len < FILE_MAX_BYTES);
	return add_text(ctl, "STDIN", mesh_buf_view(&b), in);
}

static int add_file(struct mesh_ctl *ctl, const char *path, struct mesh_inputs *in)
{
	mesh_auto(mesh_buf_free) struct mesh_buf b = {0};
	int r = mesh_file_read(path, FILE_MAX_BYTES, &b);

	if (r < 0) {
		mesh_ctl_error(ctl, "cannot read \"%s\": %s", path, strerror(-r));
		return r;
	}
	return add_text(ctl, path, mesh_buf_view(&b), in);
}

static bool is_manifest(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int add_directory(struct mesh_ctl *ctl, const char *path, struct mesh_inputs *in)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, NULL, alphasort), error = 0;

	if (n < 0) {
		mesh_ctl_error(ctl, "cannot read \"%s\": %s", path, strerror(errno));
		return -errno;
	}
	for (int i = 0; i < n; i++) {
		mesh_auto_free char *one = mesh_xasprintf("%s/%s", path, names[i]->d_name);
		struct stat st;
		int r = 0;

		if (names[i]->d_name[0] != '.' && stat(one, &st) == 0) {
			if (S_ISDIR(st.st_mode) && ctl->flags->recursive)
				r = add_directory(ctl, one, in);
			else if (S_ISREG(st.st_mode) && is_manifest(one))
				r = add_file(ctl, one, in);
		}
		error = r < 0 ? r : error;
		free(names[i]);
	}
	free(names);
	return error;
}

static int add_path(struct mesh_ctl *ctl, const char *path, struct mesh_inputs *in)
{
	struct stat st;

	if (strcmp(path, "-") == 0)
		return add_stdin(ctl, in);
	if (strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0) {
		mesh_ctl_error(ctl, "reading from a URL is not supported by meshctl: use curl and -f -");
		return -EINVAL;
	}
	if (stat(path, &st) < 0) {
		mesh_ctl_error(ctl, "the path \"%s\" does not exist", path);
		return -ENOENT;
	}
	return S_ISDIR(st.st_mode) ? add_directory(ctl, path, in) : add_file(ctl, path, in);
}

/* Without a server the mesh's own rows say whether a kind has namespaces. */
static bool has_namespace(const char *version, const char *kind)
{
	const char *slash = strchr(version, '/');
	mesh_auto_free char *group = slash ? mesh_xstrndup(version, (size_t)(slash - version)) : mesh_xstrdup("");
	const struct mesh_kind *row = mesh_kind_by_name(group, kind);

	return !row || (row->flags & MESH_KIND_NAMESPACED);
}

/* Its kind must be there, and its namespace is the one to work in unless it has its own. */
static int place(struct mesh_ctl *ctl, struct mesh_input *one, bool offline)
{
	const char *version = mesh_text(one->obj, "apiVersion"), *kind = mesh_text(one->obj, "kind");
	const char *ns = mesh_meta(one->obj, "namespace");
	json_t *meta = json_object_get(one->obj, "metadata");

	if (!version[0] || !kind[0]) {
		mesh_ctl_error(ctl, "unable to decode \"%s\": Object '%s' is missing", one->source,
			       kind[0] ? "apiVersion" : "Kind");
		return -EINVAL;
	}
	if (offline && !has_namespace(version, kind))
		return 0;
	if (!offline) {
		const struct mesh_resources *r = mesh_resources_get(ctl);

		if (!r)
			return -EIO;
		one->resource = mesh_resource_by_kind(r, version, kind);
		if (!one->resource) {
			mesh_ctl_error(ctl,
				       "resource mapping not found for name: \"%s\" namespace: \"%s\" from \"%s\": no "
				       "matches for kind \"%s\" in version \"%s\"\nensure CRDs are installed first",
				       mesh_meta(one->obj, "name"), ns, one->source, kind, version);
			return -EINVAL;
		}
		if (!one->resource->namespaced)
			return 0;
	}
	if (!ns[0] && json_is_object(meta))
		json_object_set_new(meta, "namespace", json_string(ctl->namespace));
	else if (ns[0] && ctl->namespace_said && strcmp(ns, ctl->namespace) != 0) {
		mesh_ctl_error(ctl,
			       "the namespace from the provided object \"%s\" does not match the namespace \"%s\". You "
			       "must pass '--namespace=%s' to perform this operation.",
			       ns, ctl->namespace, ns);
		return -EINVAL;
	}
	return 0;
}

int mesh_inputs_read(struct mesh_ctl *ctl, const char *verb, bool offline, struct mesh_inputs *ret)
{
	int error = 0;
	size_t kept = 0;

	mesh_vec_each (path, &ctl->flags->files.list) {
		int r = add_path(ctl, *path, ret);

		error = r < 0 ? -EINVAL : error;
	}
	if (error == 0 && ret->list.count == 0) {
		mesh_ctl_error(ctl, "no objects passed to %s", verb);
		return -EINVAL;
	}
	for (size_t i = 0; i < ret->list.count; i++) {
		if (place(ctl, &ret->list.items[i], offline) == 0) {
			ret->list.items[kept++] = ret->list.items[i];
			continue;
		}
		error = -EINVAL;
		json_decref(ret->list.items[i].obj);
		free(ret->list.items[i].source);
	}
	ret->list.count = kept;
	return error;
}
