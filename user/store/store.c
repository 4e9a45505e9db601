/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "core/log.h"
#include "core/mem.h"
#include "store/auth.h"
#include "store/chores.h"
#include "store/dynamic.h"
#include "store/held.h"
#include "store/write.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <sys/stat.h>

static void on_commit(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	mesh_api_commit(mesh_container_of(timer, struct mesh_store, commit));
}

static void on_chores(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	mesh_chores_run(mesh_container_of(timer, struct mesh_store, chores));
}

static void on_change(void *arg, enum mesh_change type, struct mesh_resource *resource, const json_t *obj)
{
	mesh_chores_changed(arg, type, resource, obj);
}

static int set_cidr(struct mesh_store *store, const char *text, struct mesh_errs *errs)
{
	struct mesh_slice rest = mesh_slice_str(text ? text : "10.96.0.0/16"), ip;
	uint64_t bits;
	uint32_t base;

	mesh_slice_split(&rest, '/', &ip);
	if (mesh_addr_parse(ip, 0, &store->service_base) < 0 || !mesh_addr_is_v4(&store->service_base) ||
	    mesh_slice_to_u64(rest, 30, &bits) < 0 || bits < 8) {
		mesh_errs_add(errs, "'%s' is no IPv4 range for Services (like 10.96.0.0/16)", text);
		return -EINVAL;
	}
	store->service_bits = (unsigned)bits;
	base = ntohl(mesh_addr_v4(&store->service_base)) & (~0U << (32 - bits));
	store->service_base = mesh_addr_from_v4(htonl(base + 1), 0);
	return 0;
}

static int make_dir(const char *path, struct mesh_errs *errs)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	mesh_errs_add(errs, "%s: %s", path, strerror(errno));
	return -errno;
}

/* Everything that a client may call the server by. */
static int open_pki(struct mesh_store *store, const struct mesh_store_opts *o, struct mesh_errs *errs)
{
	static const char *const always[] = {"kubernetes",
					     "kubernetes.default",
					     "kubernetes.default.svc",
					     "kubernetes.default.svc.cluster.local",
					     "localhost",
					     "127.0.0.1",
					     "::1"};
	MESH_VEC(const char *) names = {0};
	mesh_auto_free char *dir = mesh_xasprintf("%s/pki", o->data_dir);
	char(*texts)[MESH_ADDR_TEXT] = mesh_xcalloc(o->listen_count + 1, MESH_ADDR_TEXT);
	int r;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(always); i++)
		mesh_vec_push(&names, always[i]);
	for (size_t i = 0; i < o->listen_count; i++)
		mesh_vec_push(&names, mesh_addr_ip_text(&o->listen[i].addr, texts[i]));
	mesh_vec_push(&names, mesh_addr_ip_text(&store->service_base, texts[o->listen_count]));
	for (const char *const *n = o->names; n && *n; n++)
		mesh_vec_push(&names, *n);
	mesh_vec_push(&names, NULL);
	r = mesh_pki_open(&store->pki, dir, names.items, errs);
	mesh_vec_free(&names);
	free(texts);
	if (r < 0)
		return r;
	store->server_ctx = mesh_pki_server(store->pki, errs);
	store->client_ctx = mesh_pki_client(store->pki, errs);
	return store->server_ctx && store->client_ctx ? 0 : -EIO;
}

static int open_state(struct mesh_store *store, const struct mesh_store_opts *o, struct mesh_errs *errs)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/state.db", o->data_dir);
	const struct mesh_kind *const *kinds;
	size_t count;
	int r = mesh_state_open(&store->state, path, errs);

	if (r < 0)
		return r;
	if (o->watch_log)
		store->state->log_limit = o->watch_log;
	kinds = mesh_kinds(&count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(kinds[i]->group, "project.openshift.io") != 0)
			mesh_state_add_resource(store->state, kinds[i], false);
	store->state->changed = on_change;
	store->state->changed_arg = store;
	return mesh_state_load(store->state, errs);
}

static int open_listeners(struct mesh_store *store, const struct mesh_store_opts *o, struct mesh_errs *errs)
{
	int r = mesh_server_new(&store->server, store->loop, store->server_ctx, mesh_api_serve, mesh_auth_known, store);

	if (r == 0 && o->hurry)
		mesh_server_hurry(store->server, o->hurry);
	for (size_t i = 0; r == 0 && i < o->listen_count; i++) {
		int fd = o->listen[i].fd >= 0 ? o->listen[i].fd : mesh_listen_tcp(&o->listen[i].addr);
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct mesh_addr addr = o->listen[i].addr;

		r = fd < 0 ? fd : mesh_server_listen(store->server, fd);
		if (r < 0) {
			char text[MESH_ADDR_TEXT];

			mesh_errs_add(errs, "cannot listen on %s: %s", mesh_addr_text(&o->listen[i].addr, text),
				      strerror(-r));
			break;
		}
		if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
			mesh_addr_from_sock(&ss, &addr);
		mesh_vec_push(&store->addrs, addr);
	}
	return r;
}

int mesh_store_new(struct mesh_store **ret, struct mesh_loop *loop, const struct mesh_store_opts *o,
		   struct mesh_errs *errs)
{
	struct mesh_store *store = mesh_xcalloc(1, sizeof(*store));
	int r;

	store->loop = loop;
	store->commit.fn = on_commit;
	store->chores.fn = on_chores;
	store->route_host = mesh_xstrdup(o->route_host);
	r = set_cidr(store, o->service_cidr, errs);
	if (r == 0)
		r = make_dir(o->data_dir, errs);
	if (r == 0)
		r = open_pki(store, o, errs);
	if (r == 0)
		r = open_state(store, o, errs);
	if (r == 0)
		r = open_listeners(store, o, errs);
	if (r == 0) {
		mesh_builtin_bootstrap(store);
		mesh_chores_run(store);
		mesh_api_commit(store);
		*ret = store;
		return 0;
	}
	mesh_store_free(store);
	return r;
}

void mesh_store_free(struct mesh_store *store)
{
	if (!store)
		return;
	if (store->state)
		mesh_api_commit(store);
	mesh_watch_free_all(store);
	mesh_server_free(store->server);
	mesh_timer_remove(store->loop, &store->commit);
	mesh_timer_remove(store->loop, &store->chores);
	if (store->state)
		mesh_dynamic_free(store);
	mesh_state_free(store->state);
	mesh_map_free(&store->gone_uids);
	mesh_map_free(&store->new_dependents);
	mesh_map_free(&store->ending_namespaces);
	mesh_map_free(&store->new_namespaces);
	mesh_vec_free(&store->held);
	mesh_vec_free(&store->waiting);
	mesh_vec_free(&store->addrs);
	SSL_CTX_free(store->server_ctx);
	SSL_CTX_free(store->client_ctx);
	mesh_pki_free(store->pki);
	free(store->route_host);
	free(store);
}

struct mesh_addr mesh_store_addr(const struct mesh_store *store, size_t i)
{
	return i < store->addrs.count ? store->addrs.items[i] : (struct mesh_addr){0};
}

static void add_base64(struct mesh_buf *out, const char *key, const struct mesh_buf *value)
{
	char *text = mesh_xcalloc(1, value->len / 3 * 4 + 8);

	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)value->data, (int)value->len);
	mesh_buf_printf(out, "    %s: %s\n", key, text);
	free(text);
}

void mesh_store_kubeconfig(const struct mesh_store *store, const char *server, struct mesh_buf *out)
{
	mesh_buf_printf(out,
			"apiVersion: v1\nkind: Config\ncurrent-context: sockmesh\n"
			"clusters:\n- name: sockmesh\n  cluster:\n    server: %s\n",
			server);
	add_base64(out, "certificate-authority-data", &store->pki->ca_pem);
	mesh_buf_str(out, "contexts:\n- name: sockmesh\n  context:\n    cluster: sockmesh\n    user: kubernetes-admin\n"
			  "    namespace: default\nusers:\n- name: kubernetes-admin\n  user:\n");
	add_base64(out, "client-certificate-data", &store->pki->admin_cert);
	add_base64(out, "client-key-data", &store->pki->admin_key);
}
