/* SPDX-License-Identifier: Apache-2.0 */
/* What the splice tier would change for programs on this kernel: its probes' verdicts, and what follows. */
#include "ctl/node_check.h"

#include "core/mem.h"
#include "dataplane/probe_splice.h"

void mesh_node_check_splice(json_t *rows)
{
	static const char why[] = "flows between two sockets of a node go past TCP where programs cannot tell";
	mesh_auto(mesh_buf_free) struct mesh_buf differs = {0};
	struct mesh_splice_found found;

	mesh_splice_probe(&found, false);
	if (found.trouble[0]) {
		mesh_verdict_add(
			rows, MESH_VERDICT_WARN, "splice", why,
			"a kernel with sockmaps (CONFIG_BPF_STREAM_PARSER or NET_SOCK_MSG) from 6.1 on; without it "
			"flows go by TCP, with bypass",
			"not tried: %s", found.trouble);
		return;
	}
	for (size_t i = 0; i < found.count; i++) {
		const struct mesh_splice_row *row = &found.rows[i];

		if (!row->same)
			mesh_buf_printf(&differs, "%s%s", differs.len ? ", " : "", row->name);
		mesh_verdict_add(rows, MESH_VERDICT_OK, row->name, row->what, NULL, "splice: %s: %s",
				 row->same ? "as over TCP" : "differs", row->seen);
	}
	if (found.all)
		mesh_verdict_add(rows, MESH_VERDICT_OK, "splice", why, NULL,
				 "chosen for every pod of the mesh: all %zu probes are as over TCP", found.count);
	else
		mesh_verdict_add(rows, MESH_VERDICT_OK, "splice", why, NULL,
				 "not chosen by itself, for this differs: %s; a pod or namespace opts in by annotation "
				 "sockmesh.io/splice: enabled",
				 differs.data ? differs.data : "");
}
