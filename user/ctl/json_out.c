/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/json_out.h"

#include "config/json_write.h"

void mesh_number_out(struct mesh_buf *out, const json_t *number)
{
	mesh_json_write_number(out, number);
}

void mesh_json_out(struct mesh_buf *out, const json_t *value, int indent)
{
	mesh_json_write(out, value, &(struct mesh_json_style){.indent = indent, .sorted = true, .html = true});
}
