/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/find_api.h"

#include "core/mem.h"

#include <errno.h>
#include <glob.h>

static const char labs_dir[] = "/run/sockmesh/labs";

void mesh_lab_list_read(const char *dir, struct mesh_lab_list *ret)
{
	mesh_auto_free char *pattern = mesh_xasprintf("%s/*/kubeconfig", dir ? dir : labs_dir);
	glob_t found;

	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		mesh_vec_push(&ret->list, mesh_xstrdup(found.gl_pathv[i]));
	globfree(&found);
}

void mesh_lab_list_free(struct mesh_lab_list *labs)
{
	mesh_vec_each (path, &labs->list)
		free(*path);
	mesh_vec_free(&labs->list);
}

int mesh_find_api(const char *said, char **ret, struct mesh_errs *errs)
{
	mesh_auto(mesh_lab_list_free) struct mesh_lab_list labs = {0};
	mesh_auto(mesh_buf_free) struct mesh_buf names = {0};
	const char *env = getenv("KUBECONFIG"), *host = getenv("KUBERNETES_SERVICE_HOST");

	if (said) {
		*ret = mesh_xstrdup(said);
		return 0;
	}
	*ret = NULL;
	if ((env && env[0]) || (host && host[0]))
		return 0;
	mesh_lab_list_read(NULL, &labs);
	if (labs.list.count == 1)
		*ret = mesh_xstrdup(labs.list.items[0]);
	if (labs.list.count <= 1)
		return 0;
	mesh_vec_each (path, &labs.list)
		mesh_buf_printf(&names, "\n  --kubeconfig %s", *path);
	mesh_errs_add(errs, "several labs run: say which is meant by one of%s", names.data);
	return -EINVAL;
}
