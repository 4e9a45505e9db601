/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_state.h"

#include "core/mem.h"
#include "core/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

bool mesh_lab_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > MESH_LAB_NAME_MAX || name[0] == '-' || name[len - 1] == '-')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

int mesh_lab_mkdir(const char *path)
{
	mesh_auto_free char *copy = mesh_xstrdup(path);

	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(copy, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

int mesh_lab_rmtree(const char *path)
{
	int r = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

	return r == -1 ? (errno == ENOENT ? 0 : -errno) : r;
}

static char *format_path(const char *base, const char *fmt, va_list ap)
{
	struct mesh_buf b = {0};

	mesh_buf_printf(&b, "%s/", base);
	mesh_buf_vprintf(&b, fmt, ap);
	return mesh_buf_steal(&b);
}

char *mesh_lab_path(const struct mesh_lab *lab, const char *fmt, ...)
{
	va_list ap;
	char *path;

	va_start(ap, fmt);
	path = format_path(lab->dir, fmt, ap);
	va_end(ap);
	return path;
}

char *mesh_lab_cgroup_path(const struct mesh_lab *lab, const char *fmt, ...)
{
	va_list ap;
	char *path;

	va_start(ap, fmt);
	path = format_path(lab->cgroup, fmt, ap);
	va_end(ap);
	return path;
}

static void lab_init(struct mesh_lab *lab, const char *name)
{
	memset(lab, 0, sizeof(*lab));
	snprintf(lab->name, sizeof(lab->name), "%s", name);
	lab->dir = mesh_xasprintf("%s/%s", MESH_LAB_ROOT, name);
	lab->cgroup = mesh_xasprintf("%s/sockmesh-lab-%s", mesh_cgroup2_mount() ? mesh_cgroup2_mount() : "", name);
}

void mesh_lab_free(struct mesh_lab *lab)
{
	mesh_vec_each (image, &lab->images) {
		free(image->name);
		free(image->path);
		free(image->arg);
	}
	mesh_vec_free(&lab->images);
	free(lab->dir);
	free(lab->cgroup);
	memset(lab, 0, sizeof(*lab));
}

void mesh_lab_remains(const char *name, struct mesh_lab *ret)
{
	lab_init(ret, name);
	ret->index = MESH_LAB_MAX;
}

static void lab_decode(struct mesh_lab *lab, const json_t *o)
{
	const char *name;
	json_t *path;

	lab->index = (unsigned)json_integer_value(json_object_get(o, "index"));
	lab->nodes = (unsigned)json_integer_value(json_object_get(o, "nodes"));
	json_object_foreach(json_object_get(o, "images"), name, path)
	{
		struct mesh_lab_image *image = mesh_vec_add(&lab->images);

		image->name = mesh_xstrdup(name);
		image->path = mesh_xstrdup(json_string_value(path));
	}
}

int mesh_lab_load(const char *name, struct mesh_lab *ret, struct mesh_errs *errs)
{
	struct mesh_lab lab;
	mesh_auto_free char *path = NULL;
	json_error_t e;
	json_t *o;

	lab_init(&lab, name);
	path = mesh_lab_path(&lab, "lab.json");
	if (access(path, F_OK) < 0) {
		mesh_lab_free(&lab);
		return -ENOENT;
	}
	o = json_load_file(path, 0, &e);
	if (!json_is_object(o)) {
		mesh_errs_add(errs, "%s: %s (meshctl lab down --name %s removes what is left)", path, e.text, name);
		mesh_lab_free(&lab);
		return -EINVAL;
	}
	lab_decode(&lab, o);
	json_decref(o);
	*ret = lab;
	return 0;
}

int mesh_lab_save(const struct mesh_lab *lab)
{
	mesh_auto_free char *path = mesh_lab_path(lab, "lab.json");
	json_t *images = json_object();
	json_t *o = json_pack("{s:s, s:i, s:i, s:o}", "name", lab->name, "index", (int)lab->index, "nodes",
			      (int)lab->nodes, "images", images);
	mesh_auto_free char *text = NULL;

	mesh_vec_each (image, &lab->images)
		json_object_set_new(images, image->name, json_string(image->path));
	text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	return mesh_file_write(path, mesh_slice_str(text), 0644);
}

static int name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void mesh_lab_list(struct mesh_lab_names *ret)
{
	DIR *d = opendir(MESH_LAB_ROOT);
	struct dirent *e;

	memset(ret, 0, sizeof(*ret));
	while (d && (e = readdir(d)))
		if (mesh_lab_name_valid(e->d_name))
			mesh_vec_push(&ret->list, mesh_xstrdup(e->d_name));
	if (d)
		closedir(d);
	if (ret->list.count)
		qsort(ret->list.items, ret->list.count, sizeof(char *), name_order);
}

void mesh_lab_names_free(struct mesh_lab_names *names)
{
	mesh_vec_each (name, &names->list)
		free(*name);
	mesh_vec_free(&names->list);
}

/* An index is taken by another lab's state, or by namespaces that an unfinished removal left. */
static bool index_taken(unsigned index)
{
	struct mesh_lab_names names;
	bool taken = false;
	char path[128];

	mesh_lab_list(&names);
	mesh_vec_each (name, &names.list) {
		struct mesh_lab other;

		if (mesh_lab_load(*name, &other, NULL) < 0)
			continue;
		taken |= other.index == index;
		mesh_lab_free(&other);
	}
	mesh_lab_names_free(&names);
	snprintf(path, sizeof(path), "/run/netns/sml%u-fabric", index);
	return taken || access(path, F_OK) == 0;
}

int mesh_lab_create(const char *name, unsigned nodes, struct mesh_lab *ret, struct mesh_errs *errs)
{
	mesh_auto_fd int lock = -1;
	struct mesh_lab lab;
	int r = mesh_lab_mkdir(MESH_LAB_ROOT);

	lock = open(MESH_LAB_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0 || lock < 0 || flock(lock, LOCK_EX) < 0) {
		mesh_errs_add(errs, "%s: %s", MESH_LAB_ROOT, strerror(r < 0 ? -r : errno));
		return r < 0 ? r : -errno;
	}
	lab_init(&lab, name);
	lab.nodes = nodes;
	while (lab.index < MESH_LAB_MAX && index_taken(lab.index))
		lab.index++;
	if (lab.index == MESH_LAB_MAX) {
		mesh_errs_add(errs, "%d labs are there already (meshctl lab list)", MESH_LAB_MAX);
		r = -ENOSPC;
	} else if (mkdir(lab.dir, 0755) < 0) {
		r = -errno;
		if (r != -EEXIST)
			mesh_errs_add(errs, "%s: %s", lab.dir, strerror(errno));
	} else {
		r = mesh_lab_save(&lab);
	}
	if (r < 0)
		mesh_lab_free(&lab);
	else
		*ret = lab;
	return r;
}

int mesh_lab_add_image(struct mesh_lab *lab, const char *text, struct mesh_errs *errs)
{
	const char *eq = strchr(text, '=');
	mesh_auto_free char *path = eq ? realpath(eq + 1, NULL) : NULL;
	struct mesh_lab_image *image;

	if (!eq || eq == text) {
		mesh_errs_add(errs, "--image %s: not of the form NAME=PATH", text);
		return -EINVAL;
	}
	if (!path || access(path, X_OK) < 0) {
		mesh_errs_add(errs, "--image %s: no program is at %s", text, eq + 1);
		return -EINVAL;
	}
	image = mesh_vec_add(&lab->images);
	image->name = mesh_xstrndup(text, (size_t)(eq - text));
	image->path = mesh_steal(path);
	return 0;
}

#define ADDRESS(...)                                                                                                   \
	do {                                                                                                           \
		snprintf(out, MESH_LAB_TEXT, __VA_ARGS__);                                                             \
		return out;                                                                                            \
	} while (0)

const char *mesh_lab_fabric_ip(const struct mesh_lab *lab, unsigned host, char *out)
{
	ADDRESS("10.%u.0.%u", 64 + lab->index, host);
}

const char *mesh_lab_fabric_ip6(const struct mesh_lab *lab, unsigned host, char *out)
{
	ADDRESS("fd5a:%u::%x", 64 + lab->index, host);
}

const char *mesh_lab_pod_ip(const struct mesh_lab *lab, unsigned node, unsigned host, char *out)
{
	ADDRESS("10.%u.%u.%u", 64 + lab->index, node, host);
}

const char *mesh_lab_pod_ip6(const struct mesh_lab *lab, unsigned node, unsigned host, char *out)
{
	if (host == 0)
		ADDRESS("fd5a:%u:%u::", 64 + lab->index, node);
	ADDRESS("fd5a:%u:%u::%x", 64 + lab->index, node, host);
}

const char *mesh_lab_service_ip(const struct mesh_lab *lab, unsigned host, char *out)
{
	ADDRESS("10.%u.0.%u", 128 + lab->index, host);
}

const char *mesh_lab_host_ip(const struct mesh_lab *lab, char *out)
{
	ADDRESS("127.%u.0.1", 64 + lab->index);
}

const char *mesh_lab_netns_name(const struct mesh_lab *lab, const char *what, char *out)
{
	ADDRESS("sml%u-%s", lab->index, what);
}
