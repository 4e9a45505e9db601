/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/verdict.h"

#include "config/get.h"
#include "core/mem.h"

static const char *const names[] = {
	[MESH_VERDICT_OK] = "ok", [MESH_VERDICT_WARN] = "warn", [MESH_VERDICT_FAIL] = "fail"};

void mesh_verdict_add(json_t *rows, enum mesh_verdict verdict, const char *name, const char *why, const char *remedy,
		      const char *what, ...)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	json_t *row;
	va_list ap;

	va_start(ap, what);
	mesh_buf_vprintf(&text, what, ap);
	va_end(ap);
	row = json_pack("{s:s, s:s, s:s, s:s}", "name", name, "verdict", names[verdict], "what",
			text.data ? text.data : "", "why", why);
	if (remedy && verdict != MESH_VERDICT_OK)
		json_object_set_new(row, "remedy", json_string(remedy));
	json_array_append_new(rows, row);
}

enum mesh_verdict mesh_verdict_of(const json_t *row)
{
	for (enum mesh_verdict v = MESH_VERDICT_OK; v < MESH_VERDICT_FAIL; v++)
		if (strcmp(mesh_text(row, "verdict"), names[v]) == 0)
			return v;
	return MESH_VERDICT_FAIL;
}

void mesh_verdict_print(struct mesh_buf *out, const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		mesh_buf_printf(out, "%-5s %s: %s\n", names[mesh_verdict_of(row)], mesh_text(row, "name"),
				mesh_text(row, "what"));
		if (mesh_verdict_of(row) == MESH_VERDICT_OK)
			continue;
		if (mesh_text(row, "why")[0])
			mesh_buf_printf(out, "      needed for: %s\n", mesh_text(row, "why"));
		if (mesh_text(row, "remedy")[0])
			mesh_buf_printf(out, "      what helps: %s\n", mesh_text(row, "remedy"));
	}
}

size_t mesh_verdict_count(const json_t *rows, enum mesh_verdict verdict)
{
	const json_t *row;
	size_t n = 0, i;

	json_array_foreach(rows, i, row) n += mesh_verdict_of(row) == verdict;
	return n;
}
