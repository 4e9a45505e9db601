/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/pods.h"

#include "config/condition.h"
#include "config/get.h"
#include "core/mem.h"
#include "kube/exec.h"

#include <stdio.h>

static char *exec_path(const struct mesh_ctl *ctl, const json_t *pod, const char *container, bool tty)
{
	const struct mesh_flags *f = ctl->flags;
	mesh_auto_free char *ns = mesh_kube_escape(mesh_meta(pod, "namespace"));
	mesh_auto_free char *name = mesh_kube_escape(mesh_meta(pod, "name")), *c = mesh_kube_escape(container);
	struct mesh_buf b = {0};

	mesh_buf_printf(&b, "/api/v1/namespaces/%s/pods/%s/exec?container=%s&stdout=true", ns, name, c);
	for (char **word = f->command; *word; word++) {
		mesh_auto_free char *one = mesh_kube_escape(*word);

		mesh_buf_printf(&b, "&command=%s", one);
	}
	if (f->stdin_open)
		mesh_buf_str(&b, "&stdin=true");
	mesh_buf_str(&b, tty ? "&tty=true" : "&stderr=true");
	return mesh_buf_steal(&b);
}

static int exec_in(struct mesh_ctl *ctl, const json_t *pod, const char *container)
{
	const struct mesh_flags *f = ctl->flags;
	bool tty = f->tty && f->stdin_open && isatty(STDIN_FILENO);
	mesh_auto_free char *path = exec_path(ctl, pod, container, tty), *reason = NULL;
	struct mesh_exec_opts o = {.path = path,
				   .stdin_fd = f->stdin_open ? STDIN_FILENO : -1,
				   .stdout_fd = STDOUT_FILENO,
				   .stderr_fd = STDERR_FILENO,
				   .tty = tty};
	struct mesh_errs errs = {0};
	int code = 0, r;

	if (f->tty && !tty)
		fputs("Unable to use a TTY - input is not a terminal or the right kind of file\n", stderr);
	fflush(stdout);
	r = mesh_kube_exec(mesh_kube_config(ctl->kube), &o, &code, &reason, &errs);
	if (r < 0 && reason) {
		mesh_vec_each (e, &errs.list)
			fprintf(stderr, "Error from server (%s): %s\n", reason, e->text);
		mesh_errs_free(&errs);
		return 1;
	}
	if (r < 0)
		return mesh_ctl_errors(ctl, &errs);
	if (code && !f->quiet)
		fprintf(stderr, "command terminated with exit code %d\n", code);
	return code;
}

int mesh_ctl_run_exec(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	const char *container;
	json_t *pod;
	int r = 1;

	if (f->args.list.count == 0)
		return mesh_ctl_error(ctl, "pod, type/name or --filename must be specified");
	if (f->args.list.count > 1)
		return mesh_ctl_error(
			ctl, "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead");
	if (!f->command || !f->command[0])
		return mesh_ctl_error(ctl, "you must specify at least one command for the container");
	pod = mesh_ctl_pod_find(ctl, f->args.list.items[0], false);
	if (!pod)
		return 1;
	container = mesh_ctl_pod_container(ctl, pod);
	if (container && mesh_pod_over(pod))
		mesh_ctl_error(ctl, "cannot exec into a container in a completed pod; current phase is %s",
			       mesh_text(json_object_get(pod, "status"), "phase"));
	else if (container)
		r = exec_in(ctl, pod, container);
	json_decref(pod);
	return r;
}
