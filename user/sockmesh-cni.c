/* SPDX-License-Identifier: Apache-2.0 */
/* sockmesh-cni: run by the container runtime for each pod; see cni/plugin.h. */
#include "cni/plugin.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONFIG_MAX = 16 << 20 };

static void read_all(struct mesh_buf *in)
{
	ssize_t n = 1;

	while (n != 0 && in->len < CONFIG_MAX) {
		n = read(STDIN_FILENO, mesh_buf_room(in, 16384), 16384);
		if (n < 0 && errno != EINTR)
			return;
		in->len += n > 0 ? (size_t)n : 0;
	}
}

int main(void)
{
	struct mesh_cni_call call = {.command = getenv("CNI_COMMAND"),
				     .container = getenv("CNI_CONTAINERID"),
				     .netns = getenv("CNI_NETNS"),
				     .ifname = getenv("CNI_IFNAME"),
				     .args = getenv("CNI_ARGS")};
	struct mesh_buf in = {0}, out = {0};
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (isatty(STDIN_FILENO)) {
		fputs("sockmesh-cni is a CNI plugin: container runtimes run it, with a configuration on standard "
		      "input\n",
		      stderr);
		return 2;
	}
	read_all(&in);
	call.config = mesh_buf_view(&in);
	r = mesh_cni_run(&call, &out);
	fwrite(mesh_buf_view(&out).ptr, 1, out.len, stdout);
	fflush(stdout);
	mesh_buf_free(&in);
	mesh_buf_free(&out);
	return r;
}
