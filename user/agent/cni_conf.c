/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cni_conf.h"

#include "core/log.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

enum { FILE_MAX = 4 << 20, PROGRAM_MAX = 64 << 20 };

#define KEPT      ".sockmesh-kept" /* a file as it was before our entry: put back, byte for byte, when that goes */
#define SETTLE_NS MESH_MS(50)      /* files that change together are looked at together */
#define CHECK_NS  MESH_SEC(10)     /* also without a word from inotify */

struct names {
	MESH_VEC(char *) list;
};

static void names_free(struct names *n)
{
	mesh_vec_each (one, &n->list)
		free(*one);
	mesh_vec_free(&n->list);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends(const char *name, const char *end)
{
	return mesh_slice_ends(mesh_slice_str(name), mesh_slice_str(end));
}

/* Files of the directory that runtimes read, in the order in which they do. */
static int read_names(const char *dir, struct names *ret)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' &&
		    (ends(e->d_name, ".conflist") || ends(e->d_name, ".conf") || ends(e->d_name, ".json")))
			mesh_vec_push(&ret->list, mesh_xstrdup(e->d_name));
	closedir(d);
	if (ret->list.count)
		qsort(ret->list.items, ret->list.count, sizeof(char *), by_name);
	return 0;
}

static json_t *read_json(const char *path)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};

	if (mesh_file_read(path, FILE_MAX, &text) < 0)
		return NULL;
	return json_loadb(mesh_buf_view(&text).ptr, text.len, 0, NULL);
}

static int write_json(const char *path, const json_t *obj, mode_t mode)
{
	char *text = json_dumps(obj, JSON_INDENT(2));
	int r = text ? mesh_file_write(path, mesh_slice_str(text), (int)mode) : -ENOMEM;

	free(text);
	return r;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mode & 0777 : 0600;
}

static bool is_ours(const json_t *plugin)
{
	const char *type = json_string_value(json_object_get(plugin, "type"));

	return type && strcmp(type, MESH_CNI_TYPE) == 0;
}

/* The program: written beside and renamed, so that a runtime never runs half of one. Returns 1 if it was there. */
static int install_program(const struct mesh_cni_conf_opts *o, struct mesh_errs *errs)
{
	mesh_auto(mesh_buf_free) struct mesh_buf want = {0}, have = {0};
	mesh_auto_free char *path = mesh_xasprintf("%s/" MESH_CNI_TYPE, o->bin_dir);
	int r = mesh_file_read(o->file, PROGRAM_MAX, &want);

	if (r < 0) {
		mesh_errs_add(errs, "%s: %s", o->file, strerror(-r));
		return r;
	}
	if (mesh_file_read(path, PROGRAM_MAX, &have) == 0 && mesh_slice_eq(mesh_buf_view(&want), mesh_buf_view(&have)))
		return 1;
	r = mesh_file_write(path, mesh_buf_view(&want), 0755);
	if (r < 0)
		mesh_errs_add(errs, "%s: %s", path, strerror(-r));
	return r;
}

static json_t *entry_of(const struct mesh_cni_conf_opts *o)
{
	json_t *members = json_array();

	for (size_t i = 0; i < MESH_ARRAY_SIZE(o->members); i++)
		if (o->members[i])
			json_array_append_new(members, json_string(o->members[i]));
	return json_pack("{s:s, s:s, s:o}", "type", MESH_CNI_TYPE, "socket", o->socket, "members", members);
}

/* Ours last, once. Returns whether the list changed. */
static bool put_entry(json_t *plugins, json_t *entry)
{
	size_t n = json_array_size(plugins), ours = 0;

	for (size_t i = 0; i < n; i++)
		ours += is_ours(json_array_get(plugins, i));
	if (ours == 1 && json_equal(json_array_get(plugins, n - 1), entry))
		return false;
	for (size_t i = n; i > 0; i--)
		if (is_ours(json_array_get(plugins, i - 1)))
			json_array_remove(plugins, i - 1);
	json_array_append(plugins, entry);
	return true;
}

/* {"cniVersion", "name", ...one plugin} as a list of it and ours. */
static int install_single(const char *dir, const char *name, const json_t *conf, json_t *entry)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name), *kept = mesh_xasprintf("%s" KEPT, path);
	mesh_auto_free char *stem = mesh_xstrndup(name, (size_t)(strrchr(name, '.') - name));
	mesh_auto_free char *list = mesh_xasprintf("%s/%s.conflist", dir, stem);
	const json_t *version = json_object_get(conf, "cniVersion");
	json_t *all = json_object();
	int r;

	if (version)
		json_object_set(all, "cniVersion", (json_t *)version);
	json_object_set(all, "name", json_object_get(conf, "name"));
	json_object_set_new(all, "plugins", json_pack("[O, O]", conf, entry));
	r = write_json(list, all, mode_of(path));
	json_decref(all);
	if (r == 0 && rename(path, kept) < 0)
		r = -errno;
	return r;
}

static bool has_entry(const json_t *plugins)
{
	json_t *plugin;
	size_t i;

	json_array_foreach(plugins, i, plugin) if (is_ours(plugin)) return true;
	return false;
}

/* The file as its owner wrote it, before our entry comes in. */
static int keep(const char *path)
{
	mesh_auto_free char *kept = mesh_xasprintf("%s" KEPT, path);
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	int r = mesh_file_read(path, FILE_MAX, &text);

	return r < 0 ? r : mesh_file_write(kept, mesh_buf_view(&text), (int)mode_of(path));
}

static int install_in(const char *dir, const char *name, json_t *conf, json_t *entry)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);
	json_t *plugins = json_object_get(conf, "plugins");
	int r = 0;

	if (!json_is_array(plugins))
		return install_single(dir, name, conf, entry);
	if (!has_entry(plugins))
		r = keep(path);
	if (r < 0)
		return r;
	return put_entry(plugins, entry) ? write_json(path, conf, mode_of(path)) : 1;
}

static bool is_network(const char *name, const json_t *conf)
{
	if (!json_is_string(json_object_get(conf, "name")))
		return false;
	if (ends(name, ".conflist"))
		return json_array_size(json_object_get(conf, "plugins")) > 0;
	return json_is_string(json_object_get(conf, "type"));
}

static int install_entry(const struct mesh_cni_conf_opts *o, struct mesh_errs *errs)
{
	mesh_auto(names_free) struct names names = {0};
	int r = read_names(o->conf_dir, &names);

	if (r < 0) {
		mesh_errs_add(errs, "%s: %s", o->conf_dir, strerror(-r));
		return r;
	}
	mesh_vec_each (name, &names.list) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%s", o->conf_dir, *name);
		json_t *conf = read_json(path), *entry;

		if (!is_network(*name, conf)) {
			json_decref(conf);
			continue;
		}
		entry = entry_of(o);
		r = install_in(o->conf_dir, *name, conf, entry);
		json_decref(entry);
		json_decref(conf);
		if (r < 0)
			mesh_errs_add(errs, "%s: %s", path, strerror(-r));
		return r;
	}
	mesh_errs_add(errs, "%s has no network configuration yet", o->conf_dir);
	return -ENOENT;
}

int mesh_cni_conf_install(const struct mesh_cni_conf_opts *opts, struct mesh_errs *errs)
{
	int program = install_program(opts, errs), entry;

	if (program < 0)
		return program;
	entry = install_entry(opts, errs);
	return entry < 0 ? entry : program && entry;
}

/* A list that we made of a .conf goes, and the .conf comes back. Returns whether that was so. */
static bool restore_single(const char *dir, const char *name)
{
	static const char *const was[] = {".conf", ".json"};
	size_t stem = strlen(name) - strlen(".conflist");

	for (size_t i = 0; i < MESH_ARRAY_SIZE(was); i++) {
		mesh_auto_free char *path = mesh_xasprintf("%s/%.*s%s", dir, (int)stem, name, was[i]);
		mesh_auto_free char *kept = mesh_xasprintf("%s" KEPT, path);
		mesh_auto_free char *list = mesh_xasprintf("%s/%s", dir, name);

		if (rename(kept, path) < 0)
			continue;
		unlink(list);
		return true;
	}
	return false;
}

/* The list without our entry: as it was kept, if it is still that one. */
static int put_back(const char *path, const json_t *conf)
{
	mesh_auto_free char *kept = mesh_xasprintf("%s" KEPT, path);
	json_t *was = read_json(kept);
	bool same = was && json_equal(was, conf);
	int r = 0;

	json_decref(was);
	if (same && rename(kept, path) == 0)
		return 0;
	r = write_json(path, conf, mode_of(path));
	unlink(kept);
	return r;
}

/* Returns 1 if our entry was in it. */
static int remove_from(const char *dir, const char *name)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);
	json_t *conf = read_json(path), *plugins = json_object_get(conf, "plugins");
	bool changed = false;
	int r = 0;

	for (size_t i = json_array_size(plugins); i > 0; i--)
		if (is_ours(json_array_get(plugins, i - 1))) {
			json_array_remove(plugins, i - 1);
			changed = true;
		}
	if (changed && !restore_single(dir, name))
		r = put_back(path, conf);
	json_decref(conf);
	return r < 0 ? r : changed;
}

int mesh_cni_conf_remove(const char *bin_dir, const char *conf_dir, struct mesh_errs *errs)
{
	mesh_auto_free char *program = mesh_xasprintf("%s/" MESH_CNI_TYPE, bin_dir);
	struct timespec moment = {.tv_nsec = 200 * 1000 * 1000};
	mesh_auto(names_free) struct names names = {0};
	int r = read_names(conf_dir, &names), failed = r == -ENOENT ? 0 : r;
	bool changed = false;

	if (failed)
		mesh_errs_add(errs, "%s: %s", conf_dir, strerror(-r));
	mesh_vec_each (name, &names.list) {
		r = ends(*name, ".conflist") ? remove_from(conf_dir, *name) : 0;
		if (r < 0) {
			mesh_errs_add(errs, "%s/%s: %s", conf_dir, *name, strerror(-r));
			failed = r;
		}
		changed |= r > 0;
	}
	/* A runtime reads the new list a moment later; with the old one it would miss the program. */
	if (changed)
		nanosleep(&moment, NULL);
	if (!failed && unlink(program) < 0 && errno != ENOENT) {
		failed = -errno;
		mesh_errs_add(errs, "%s: %s", program, strerror(errno));
	}
	return failed;
}

struct mesh_cni_conf {
	struct mesh_loop *loop;
	struct mesh_cni_conf_opts opts;
	struct mesh_io io;
	struct mesh_timer timer;
	char *trouble;
};

static void check(struct mesh_cni_conf *c)
{
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	int r = mesh_cni_conf_install(&c->opts, &errs);

	if (r == 0)
		mesh_info("the plugin " MESH_CNI_TYPE " is in the network configuration in %s", c->opts.conf_dir);
	if (r >= 0) {
		free(mesh_steal(c->trouble));
		return;
	}
	mesh_errs_format(&errs, &text);
	if (!c->trouble || strcmp(c->trouble, text.data) != 0)
		mesh_warn("the CNI plugin is not installed: %s", text.data);
	free(c->trouble);
	c->trouble = mesh_buf_steal(&text);
}

static void on_timer(struct mesh_loop *loop, struct mesh_timer *timer)
{
	check(mesh_container_of(timer, struct mesh_cni_conf, timer));
	mesh_timer_set(loop, timer, CHECK_NS);
}

static void on_change(struct mesh_loop *loop, struct mesh_io *io, uint32_t events)
{
	struct mesh_cni_conf *c = mesh_container_of(io, struct mesh_cni_conf, io);
	char buf[4096] __attribute__((aligned(8)));

	(void)events;
	while (read(io->fd, buf, sizeof(buf)) > 0)
		;
	mesh_timer_set(loop, &c->timer, SETTLE_NS);
}

/* Without inotify (its instances are few) the timer alone looks. */
static void watch(struct mesh_cni_conf *c)
{
	const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
	mesh_auto_fd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 || inotify_add_watch(fd, c->opts.conf_dir, mask) < 0 ||
	    inotify_add_watch(fd, c->opts.bin_dir, mask) < 0) {
		mesh_info("%s: no word of changes (%s): looked at every 10 s", c->opts.conf_dir, strerror(errno));
		return;
	}
	c->io = (struct mesh_io){.fd = mesh_steal_fd(&fd), .fn = on_change};
	mesh_io_set(c->loop, &c->io, EPOLLIN);
}

struct mesh_cni_conf *mesh_cni_conf_new(struct mesh_loop *loop, const struct mesh_cni_conf_opts *opts)
{
	struct mesh_cni_conf *c = mesh_xcalloc(1, sizeof(*c));

	*c = (struct mesh_cni_conf){
		.loop = loop,
		.io.fd = -1,
		.timer.fn = on_timer,
		.opts = {.bin_dir = mesh_xstrdup(opts->bin_dir),
			 .conf_dir = mesh_xstrdup(opts->conf_dir),
			 .file = mesh_xstrdup(opts->file),
			 .socket = mesh_xstrdup(opts->socket),
			 .members = {mesh_xstrdup(opts->members[0]), mesh_xstrdup(opts->members[1])}}};
	watch(c);
	check(c);
	mesh_timer_set(loop, &c->timer, CHECK_NS);
	return c;
}

const char *mesh_cni_conf_trouble(const struct mesh_cni_conf *conf)
{
	return conf->trouble;
}

void mesh_cni_conf_free(struct mesh_cni_conf *c)
{
	if (!c)
		return;
	if (c->io.fd >= 0) {
		mesh_io_remove(c->loop, &c->io);
		close(c->io.fd);
	}
	mesh_timer_remove(c->loop, &c->timer);
	free((char *)c->opts.bin_dir);
	free((char *)c->opts.conf_dir);
	free((char *)c->opts.file);
	free((char *)c->opts.socket);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(c->opts.members); i++)
		free((char *)c->opts.members[i]);
	free(c->trouble);
	free(c);
}
