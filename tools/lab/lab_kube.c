/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab_internal.h"

#include "core/log.h"
#include "core/loop.h"
#include "core/mem.h"
#include "kube/kube.h"
#include "lab/lab_net.h"

#include <stdio.h>

enum { WAIT_S = 60 };

int mesh_lab_kube(const struct mesh_lab *lab, struct mesh_loop *loop, const char *program, struct mesh_kube **ret)
{
	mesh_auto_free char *path = mesh_lab_path(lab, "kubeconfig.inside");
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	uint64_t end = mesh_now_ns() + MESH_SEC(WAIT_S);
	struct mesh_kube_opts opts = {.kubeconfig = path, .program = program};
	char name[MESH_LAB_TEXT];
	int r;

	while (access(path, R_OK) < 0 && mesh_now_ns() < end)
		mesh_loop_once(loop, 10);
	opts.netns_fd = mesh_lab_netns_open(mesh_lab_netns_name(lab, "fabric", name));
	if (opts.netns_fd < 0) {
		mesh_error("%s: %s", name, strerror(-opts.netns_fd));
		return opts.netns_fd;
	}
	r = mesh_kube_new(ret, loop, &opts, &errs);
	mesh_vec_each (e, &errs.list)
		mesh_error("%s", e->text);
	return r;
}
