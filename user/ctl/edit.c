/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/fetch.h"
#include "ctl/json_out.h"
#include "ctl/merge.h"
#include "ctl/write.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

static const char head[] =
	"# Please edit the object below. Lines beginning with a '#' will be ignored,\n"
	"# and an empty file will abort the edit. If an error occurs while saving this file will be\n"
	"# reopened with the relevant failures.\n#\n";

static const char *editor(void)
{
	static const char *const names[] = {"KUBE_EDITOR", "EDITOR", "VISUAL"};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++) {
		const char *e = getenv(names[i]);

		if (e && e[0])
			return e;
	}
	return "vi";
}

/* EDITOR may have arguments of its own: a shell splits them, the file's name never passes through it. */
static int run_editor(struct mesh_ctl *ctl, const char *path)
{
	mesh_auto_free char *command = mesh_xasprintf("%s \"$1\"", editor());
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, "sh", path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return mesh_ctl_error(ctl, "cannot start the editor: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return mesh_ctl_error(ctl, "there was a problem with the editor \"%s\"", editor());
	return 0;
}

static bool only_comments(struct mesh_slice text)
{
	struct mesh_slice line;

	while (mesh_slice_split(&text, '\n', &line)) {
		line = mesh_slice_trim(line);
		if (line.len && line.ptr[0] != '#' && !mesh_slice_eq(line, MESH_SLICE("---")))
			return false;
	}
	return true;
}

enum edited { EDITED_SAVED, EDITED_SAME, EDITED_FAILED, EDITED_AGAIN };

/* Parses what the editor left and sends the difference. why gets what to show when the file is opened again. */
static enum edited save(struct mesh_ctl *ctl, struct mesh_printer *p, const struct mesh_resource *res,
			const json_t *before, struct mesh_slice text, struct mesh_buf *why)
{
	mesh_auto(mesh_documents_free) struct mesh_documents docs = {0};
	mesh_auto_free char *path = mesh_resource_path(res, mesh_namespace_of(before), mesh_meta(before, "name"));
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	struct mesh_errs errs = {0};
	json_t *patch;
	int r;

	if (only_comments(text))
		return EDITED_SAME;
	if (mesh_documents_parse("edited", text, &docs, &errs) < 0 || docs.list.count != 1) {
		mesh_errs_format(&errs, why);
		mesh_errs_free(&errs);
		return EDITED_AGAIN;
	}
	patch = mesh_merge_diff(before, docs.list.items[0].value);
	if (json_object_size(patch) == 0) {
		json_decref(patch);
		return EDITED_SAME;
	}
	r = mesh_write(ctl, res, "PATCH", path, patch, "application/merge-patch+json", &a);
	json_decref(patch);
	if (r == 0) {
		mesh_print_done(ctl, p, a.body, "edited");
		return EDITED_SAVED;
	}
	mesh_buf_printf(why, "%s\n", a.error);
	mesh_ctl_fail(ctl, &a, NULL);
	return a.status == 0 || a.status == 404 || a.status == 409 ? EDITED_FAILED : EDITED_AGAIN;
}

static void put_comment(struct mesh_buf *out, struct mesh_slice why)
{
	struct mesh_slice line;

	while (why.len && mesh_slice_split(&why, '\n', &line))
		if (line.len)
			mesh_buf_printf(out, "# %.*s\n", (int)line.len, line.ptr);
	mesh_buf_str(out, "#\n");
}

static struct mesh_slice without_comments(struct mesh_slice text)
{
	while (text.len && text.ptr[0] == '#') {
		struct mesh_slice line;

		mesh_slice_split(&text, '\n', &line);
	}
	return text;
}

static int edit_file(struct mesh_ctl *ctl, struct mesh_printer *p, const struct mesh_resource *res, json_t *obj,
		     const char *file)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0}, last = {0};
	enum edited done = EDITED_AGAIN;

	mesh_buf_str(&text, head);
	mesh_yaml_out(&text, obj);
	while (done == EDITED_AGAIN) {
		mesh_auto(mesh_buf_free) struct mesh_buf why = {0}, now = {0};
		struct mesh_slice body;

		if (mesh_file_write(file, mesh_buf_view(&text), 0600) < 0)
			return mesh_ctl_error(ctl, "cannot write %s: %s", file, strerror(errno));
		if (run_editor(ctl, file) != 0)
			return 1;
		if (mesh_file_read(file, 16 << 20, &now) < 0)
			return mesh_ctl_error(ctl, "cannot read %s", file);
		body = without_comments(mesh_buf_view(&now));
		if (last.data && mesh_slice_eq(body, mesh_buf_view(&last)))
			return mesh_ctl_error(ctl, "Edit cancelled, no valid changes were saved.");
		mesh_buf_clear(&last);
		mesh_buf_slice(&last, body);
		done = save(ctl, p, res, obj, body, &why);
		mesh_buf_clear(&text);
		mesh_buf_str(&text, head);
		put_comment(&text, mesh_buf_view(&why));
		mesh_buf_slice(&text, body);
	}
	if (done == EDITED_SAME)
		fputs("Edit cancelled, no changes made.\n", stderr);
	if (done == EDITED_SAVED)
		ctl->failed = false;
	return done == EDITED_FAILED;
}

int mesh_ctl_run_edit(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_targets_free) struct mesh_targets t = {0};
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	int r = 0;

	if (mesh_printer_init(ctl, &p) < 0 ||
	    mesh_targets_parse(ctl, f->args.list.items, f->args.list.count, true, &t) < 0)
		return 1;
	mesh_vec_each (one, &t.list) {
		mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
		char file[] = "/tmp/meshctl-edit-XXXXXX.yaml";
		int fd;

		if (mesh_fetch(ctl, one, ctl->namespace, false, &a) < 0) {
			mesh_ctl_fail(ctl, &a, NULL);
			return 1;
		}
		json_object_del(json_object_get(a.body, "metadata"), "managedFields");
		fd = mkstemps(file, 5);
		if (fd < 0)
			return mesh_ctl_error(ctl, "cannot make a temporary file: %s", strerror(errno));
		close(fd);
		r |= edit_file(ctl, &p, one->resource, a.body, file);
		if (r == 0)
			unlink(file);
	}
	return r;
}
