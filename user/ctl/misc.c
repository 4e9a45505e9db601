/* SPDX-License-Identifier: Apache-2.0 */
/* crds and version. */
#include "ctl/ctl.h"

#include "config/document.h"
#include "core/mem.h"
#include "core/version.h"
#include "ctl/json_out.h"
#include "ctl/print.h"

#include <stdio.h>

static bool wanted(const struct mesh_flags *f, const struct mesh_kind *kind)
{
	if (f->args.list.count == 0)
		return true;
	mesh_vec_each (word, &f->args.list)
		if (mesh_kind_by_word(*word) == kind)
			return true;
	return false;
}

int mesh_ctl_run_crds(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	const struct mesh_kind *const *kinds;
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	size_t count;

	if (mesh_printer_init(ctl, &p) < 0)
		return 1;
	if (p.format == MESH_FORMAT_TABLE)
		p.format = MESH_FORMAT_YAML;
	mesh_vec_each (word, &f->args.list)
		if (!mesh_kind_by_word(*word) || !(mesh_kind_by_word(*word)->flags & MESH_KIND_CRD))
			return mesh_ctl_error(ctl, "the mesh has no kind named \"%s\" of its own", *word);
	kinds = mesh_kinds(&count);
	for (size_t i = 0; i < count; i++) {
		json_t *crd;

		if (!(kinds[i]->flags & MESH_KIND_CRD) || !wanted(f, kinds[i]))
			continue;
		crd = mesh_kind_crd(kinds[i]);
		mesh_print(ctl, &p, crd);
		json_decref(crd);
	}
	return 0;
}

int mesh_ctl_run_version(struct mesh_ctl *ctl, const struct mesh_flags *f)
{
	mesh_auto(mesh_printer_free) struct mesh_printer p = {0};
	mesh_auto(mesh_answer_free) struct mesh_answer a = {0};
	const char *git;
	json_t *all;

	if (mesh_printer_init(ctl, &p) < 0)
		return 1;
	if (!f->client && mesh_ctl_connect(ctl) != 0)
		return 1;
	if (!f->client && mesh_ctl_get(ctl, "/version", &a) < 0)
		mesh_ctl_fail(ctl, &a, NULL);
	git = json_string_value(json_object_get(a.body, "gitVersion"));
	if (p.format == MESH_FORMAT_TABLE) {
		printf("Client Version: %s\n", mesh_version);
		if (git)
			printf("Server Version: %s\n", git);
		return ctl->failed;
	}
	all = json_pack("{s:{s:s}}", "clientVersion", "gitVersion", mesh_version);
	if (git)
		json_object_set(all, "serverVersion", a.body);
	mesh_print(ctl, &p, all);
	json_decref(all);
	return ctl->failed;
}
