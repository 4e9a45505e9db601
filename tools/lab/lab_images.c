/* SPDX-License-Identifier: Apache-2.0 */
/* No image can be pulled in a lab: a table says which local program runs for each. */
#include "lab/lab_state.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>

struct builtin {
	const char *name, *program, *arg;
};

static const struct builtin builtins[] = {
	{"rhtgptetraining/foundation-gateway", "apps/coolapp", "gateway"},
	{"rhtgptetraining/foundation-gateway-service", "apps/coolapp", "gateway"},
	{"rhtgptetraining/foundation-partner", "apps/coolapp", "partner"},
	{"rhtgptetraining/foundation-partner-service", "apps/coolapp", "partner"},
	{"rhtgptetraining/foundation-catalog", "apps/coolapp", "catalog"},
	{"rhtgptetraining/foundation-catalog-service", "apps/coolapp", "catalog"},
	{"rhtgptetraining/foundation-catalog-v2", "apps/coolapp", "catalog-v2"},
	{"rhtgptetraining/foundation-catalog-service-v2", "apps/coolapp", "catalog-v2"},
	{"sockmesh/meshd", "meshd", NULL},
	{"sockmesh/echo", "apps/echo", NULL},
	{"echo", "apps/echo", NULL},
	{"sockmesh/tcp-echo", "apps/tcp-echo", NULL},
	{"tcp-echo", "apps/tcp-echo", NULL},
	{"localhost/sockmesh", "meshd", NULL},
	{"localhost/sockmesh-echo", "apps/echo", NULL},
	{"localhost/sockmesh-tcp-echo", "apps/tcp-echo", NULL},
	{"localhost/sockmesh-client", "/bin/sleep", "infinity"},
	{"sockmesh/client", "/bin/sleep", "infinity"},
	{"client", "/bin/sleep", "infinity"},
};

char *mesh_lab_image_key(const char *image)
{
	size_t len = strcspn(image, "@");
	const char *slash, *colon;
	char *key;

	if (strncmp(image, "docker.io/", 10) == 0) {
		image += 10;
		len -= 10;
	}
	if (strncmp(image, "library/", 8) == 0) {
		image += 8;
		len -= 8;
	}
	key = mesh_xstrndup(image, len);
	slash = strrchr(key, '/');
	colon = strrchr(key, ':');
	if (colon && (!slash || colon > slash))
		key[colon - key] = 0;
	return key;
}

char *mesh_lab_program(const char *name)
{
	static const char *const places[] = {"", "../libexec/sockmesh/", "../lib/sockmesh/"};
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (name[0] == '/')
		return access(name, X_OK) == 0 ? mesh_xstrdup(name) : NULL;
	if (n <= 0)
		return NULL;
	self[n] = 0;
	slash = strrchr(self, '/');
	*slash = 0;
	for (size_t i = 0; i < MESH_ARRAY_SIZE(places); i++) {
		char path[8192];

		snprintf(path, sizeof(path), "%s/%s%s", self, places[i], name);
		if (access(path, X_OK) == 0)
			return realpath(path, NULL);
	}
	return NULL;
}

static struct mesh_lab_image *known(struct mesh_lab *lab, const char *name)
{
	mesh_vec_each (image, &lab->images)
		if (strcmp(image->name, name) == 0)
			return image;
	return NULL;
}

/* NULL if its program is not there. */
static const struct mesh_lab_image *add_builtin(struct mesh_lab *lab, const struct builtin *b)
{
	char *path = mesh_lab_program(b->program);
	struct mesh_lab_image *image;

	if (!path)
		return NULL;
	image = mesh_vec_add(&lab->images);
	image->name = mesh_xstrdup(b->name);
	image->path = path;
	image->arg = mesh_xstrdup(b->arg);
	image->arg_is_default = b->program[0] == '/';
	return image;
}

int mesh_lab_image_find(struct mesh_lab *lab, const char *image, const struct mesh_lab_image **ret)
{
	mesh_auto_free char *key = mesh_lab_image_key(image);
	const struct mesh_lab_image *found = known(lab, image);

	if (!found)
		found = known(lab, key);
	for (size_t i = 0; !found && i < MESH_ARRAY_SIZE(builtins); i++)
		if (strcmp(builtins[i].name, key) == 0)
			found = add_builtin(lab, &builtins[i]);
	if (!found)
		return -ENOENT;
	*ret = found;
	return 0;
}
