/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what talks to the API: the embedded one, on a loop, in a directory of its own, with
 * a client. All in this process and thread.
 */
#ifndef MESH_TEST_MESH_API_H
#define MESH_TEST_MESH_API_H

#include "core/buf.h"
#include "core/mem.h"
#include "kube/kube.h"
#include "store/store.h"

#include <ftw.h>
#include <stdarg.h>

struct api {
	char dir[64];
	struct mesh_loop *loop;
	struct mesh_store *store;
	struct mesh_kube *kube;
	struct mesh_errs errs;
};

static inline int api_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void api_free(struct api *a)
{
	mesh_kube_free(a->kube);
	mesh_store_free(a->store);
	mesh_loop_free(a->loop);
	mesh_errs_free(&a->errs);
	nftw(a->dir, api_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Returns false when it cannot start; errs says why. */
static inline bool api_new(struct api *a)
{
	struct mesh_store_listen listen = {.fd = -1};
	struct mesh_store_opts opts = {.listen = &listen, .listen_count = 1};
	struct mesh_kube_opts kube = {.program = "test", .netns_fd = -1};
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	mesh_auto_free char *server = NULL, *path = NULL;
	char addr[MESH_ADDR_TEXT];
	struct mesh_addr at;

	*a = (struct api){.dir = "/tmp/mesh-api-XXXXXX"};
	mesh_addr_parse_port(MESH_SLICE("127.0.0.1:0"), &listen.addr);
	opts.data_dir = a->dir;
	if (!mkdtemp(a->dir) || mesh_loop_new(&a->loop) < 0 || mesh_store_new(&a->store, a->loop, &opts, &a->errs) < 0)
		return false;
	at = mesh_store_addr(a->store, 0);
	server = mesh_xasprintf("https://%s", mesh_addr_text(&at, addr));
	mesh_store_kubeconfig(a->store, server, &text);
	path = mesh_xasprintf("%s/kubeconfig", a->dir);
	if (mesh_file_write(path, mesh_buf_view(&text), 0600) < 0)
		return false;
	kube.kubeconfig = path;
	return mesh_kube_new(&a->kube, a->loop, &kube, &a->errs) == 0;
}

/* The answer's body (decref it) and status; body: JSON text or NULL. */
static inline json_t *api_call(struct api *a, const char *method, const char *path, const char *body, int *status)
{
	struct mesh_errs errs = {0};
	json_error_t error;
	json_t *obj = body ? json_loads(body, 0, &error) : NULL, *ret = NULL;
	int r;

	if (body && !obj)
		printf("  not JSON: %s\n  %s\n", error.text, body);
	r = mesh_kube_call(a->kube, method, path, obj, NULL, &ret, &errs);
	if (r < 200 || r >= 300)
		mesh_vec_each (e, &errs.list)
			printf("  %s %s: %d %s\n", method, path, r, e->text);
	if (status)
		*status = r;
	mesh_errs_free(&errs);
	json_decref(obj);
	return ret;
}

static inline int api_do(struct api *a, const char *method, const char *path, const char *body)
{
	int status = 0;

	json_decref(api_call(a, method, path, body, &status));
	return status;
}

/* Runs the loop until done(arg), at most five seconds. */
static inline bool api_until(struct api *a, bool (*done)(void *arg), void *arg)
{
	uint64_t end = mesh_now_ns() + MESH_SEC(5);

	while (!done(arg)) {
		if (mesh_now_ns() > end)
			return false;
		mesh_loop_once(a->loop, 20);
	}
	return true;
}

#endif
