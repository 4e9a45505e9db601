/* SPDX-License-Identifier: Apache-2.0 */
/* meshd: the mesh's daemon; the first argument chooses what it is. */
#include "agent/agent.h"
#include "agent/holder.h"
#include "control/control.h"
#include "core/mem.h"
#include "core/version.h"
#include "gateway/gateway.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

struct mesh_role {
	const char *name, *help;
	int (*main)(int argc, char **argv);
};

static const struct mesh_role roles[] = {
	{"agent", "one for each node: routes for its pods that are in the mesh", mesh_agent_main},
	{"hold", "beside an agent, to hold pods' listeners while it starts again", mesh_holder_main},
	{"gateway", "the edge of the mesh, in a pod of its own", mesh_gateway_main},
	{"control", "the control plane; --embedded serves the Kubernetes API", mesh_control_main},
	{NULL, NULL, NULL},
};

static int usage(FILE *out)
{
	fputs("usage: meshd ROLE [OPTIONS]\n\n", out);
	for (const struct mesh_role *r = roles; r->name; r++)
		fprintf(out, "  %-10s %s\n", r->name, r->help);
	return out == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return usage(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		puts(mesh_version);
		return 0;
	}
	prctl(PR_SET_NAME, "meshd"); /* a keeper runs us as /proc/self/exe */
	signal(SIGPIPE, SIG_IGN);    /* a peer that hangs up is an error of that write, not our end */
	for (const struct mesh_role *r = roles; r->name; r++)
		if (strcmp(argv[1], r->name) == 0)
			return r->main(argc - 1, argv + 1);
	fprintf(stderr, "meshd: no role is named '%s'\n", argv[1]);
	return usage(stderr);
}
