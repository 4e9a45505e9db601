/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ask.h"

#include "core/ask.h"
#include "core/mem.h"

#include <errno.h>

enum { ANSWER_MAX = 64 << 20 };

int mesh_agent_ask(const char *socket, const char *cmd, unsigned time_ms, json_t **ret, struct mesh_errs *errs)
{
	mesh_auto_free char *line = mesh_xasprintf("{\"cmd\":\"%s\"}", cmd);
	mesh_auto(mesh_buf_free) struct mesh_buf in = {0};
	struct mesh_ask ask = {
		.path = socket, .line = mesh_slice_str(line), .fd = -1, .time_ms = time_ms, .answer_max = ANSWER_MAX};
	json_t *answer;
	int r = mesh_ask(&ask, &in);

	if (r < 0) {
		mesh_errs_add(errs, "the agent at %s: %s", socket, strerror(-r));
		return r;
	}
	answer = json_loadb(in.data, in.len, 0, NULL);
	if (!answer) {
		mesh_errs_add(errs, "the agent at %s: its answer is not JSON", socket);
		return -EPROTO;
	}
	*ret = answer;
	return 0;
}
