/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kubeconfig.h"

#include "core/mem.h"
#include "kube/yaml_in.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { KUBECONFIG_MAX = 4 << 20 };

static const char *const service_account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";

struct file {
	char *path;
	json_t *value;
};

struct files {
	MESH_VEC(struct file) list;
};

static void files_free(struct files *f)
{
	mesh_vec_each (one, &f->list) {
		free(one->path);
		json_decref(one->value);
	}
	mesh_vec_free(&f->list);
}

void mesh_kubeconfig_free(struct mesh_kubeconfig *c)
{
	free(c->server);
	free(c->server_name);
	free(c->ca_file);
	free(c->ca_data);
	free(c->cert_file);
	free(c->cert_data);
	free(c->key_file);
	if (c->key_data)
		OPENSSL_cleanse(c->key_data, strlen(c->key_data));
	free(c->key_data);
	free(c->token);
	free(c->token_file);
	free(c->username);
	free(c->password);
	free(c->proxy);
	free(c->namespace);
	free(c->context);
	free(c->file);
	*c = (struct mesh_kubeconfig){0};
}

static int files_read(const char *paths, struct files *files, struct mesh_errs *errs)
{
	struct mesh_slice rest = mesh_slice_str(paths), part;
	bool several = strchr(paths, ':') != NULL;

	while (mesh_slice_split(&rest, ':', &part)) {
		mesh_auto_free char *path = mesh_xstrndup(part.ptr, part.len);
		mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
		struct mesh_err *e;
		json_t *value;
		int r;

		if (part.len == 0)
			continue;
		r = mesh_file_read(path, KUBECONFIG_MAX, &text);
		if (r == -ENOENT && several)
			continue;
		if (r < 0) {
			e = mesh_errs_add(errs, "cannot read the kubeconfig: %s", strerror(-r));
			if (e)
				e->file = mesh_xstrdup(path);
			return r == -ENOENT ? r : -EINVAL;
		}
		value = mesh_yaml_read(path, mesh_buf_view(&text), errs);
		if (!value)
			return -EINVAL;
		mesh_vec_push(&files->list, ((struct file){mesh_steal(path), value}));
	}
	return 0;
}

/* The object under key of the first entry of the list `list` that is called name; *from is its file. */
static const json_t *find(const struct files *files, const char *list, const char *name, const char *key,
			  const char **from)
{
	mesh_vec_each (f, &files->list) {
		const json_t *entries = json_object_get(f->value, list), *entry;
		size_t i;

		json_array_foreach(entries, i, entry)
		{
			const char *n = json_string_value(json_object_get(entry, "name"));

			if (n && strcmp(n, name) == 0) {
				*from = f->path;
				return json_object_get(entry, key);
			}
		}
	}
	return NULL;
}

static const char *text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s && s[0] ? s : NULL;
}

static char *text_dup(const json_t *obj, const char *key)
{
	return mesh_xstrdup(text(obj, key));
}

/* A path in a kubeconfig is relative to the file that it stands in. */
static char *path_dup(const json_t *obj, const char *key, const char *from)
{
	const char *p = text(obj, key), *slash = strrchr(from, '/');

	if (!p || p[0] == '/' || !slash)
		return mesh_xstrdup(p);
	return mesh_xasprintf("%.*s/%s", (int)(slash - from), from, p);
}

static int base64_dup(const json_t *obj, const char *key, const char *from, char **ret, struct mesh_errs *errs)
{
	const char *in = text(obj, key);
	EVP_ENCODE_CTX *ctx;
	struct mesh_err *e;
	char *out;
	int n = 0, last = 0, r;

	if (!in)
		return 0;
	ctx = EVP_ENCODE_CTX_new();
	out = mesh_xmalloc(strlen(in) + 4);
	EVP_DecodeInit(ctx);
	r = EVP_DecodeUpdate(ctx, (unsigned char *)out, &n, (const unsigned char *)in, (int)strlen(in));
	if (r >= 0)
		r = EVP_DecodeFinal(ctx, (unsigned char *)out + n, &last);
	EVP_ENCODE_CTX_free(ctx);
	if (r < 0) {
		free(out);
		e = mesh_errs_add(errs, "%s: not base64", key);
		if (e)
			e->file = mesh_xstrdup(from);
		return -EINVAL;
	}
	out[n + last] = '\0';
	*ret = out;
	return 0;
}

static int missing(const char *file, struct mesh_errs *errs, const char *what, const char *name)
{
	struct mesh_err *e = mesh_errs_add(errs, "no %s is named \"%s\"", what, name);

	if (e)
		e->file = mesh_xstrdup(file);
	return -EINVAL;
}

static int read_cluster(const struct files *files, const char *name, struct mesh_kubeconfig *c, struct mesh_errs *errs)
{
	const char *from = files->list.items[0].path;
	const json_t *cluster = find(files, "clusters", name, "cluster", &from);
	size_t len;
	int r;

	if (!cluster)
		return missing(from, errs, "cluster", name);
	c->server = text_dup(cluster, "server");
	if (!c->server)
		return missing(from, errs, "server in the cluster that", name);
	for (len = strlen(c->server); len && c->server[len - 1] == '/';)
		c->server[--len] = '\0';
	c->server_name = text_dup(cluster, "tls-server-name");
	c->proxy = text_dup(cluster, "proxy-url");
	c->insecure = json_is_true(json_object_get(cluster, "insecure-skip-tls-verify"));
	r = base64_dup(cluster, "certificate-authority-data", from, &c->ca_data, errs);
	if (r == 0 && !c->ca_data)
		c->ca_file = path_dup(cluster, "certificate-authority", from);
	return r;
}

static int read_user(const struct files *files, const char *name, struct mesh_kubeconfig *c, struct mesh_errs *errs)
{
	static const char *const foreign[] = {"exec", "auth-provider"};
	const char *from = files->list.items[0].path;
	const json_t *user = find(files, "users", name, "user", &from);
	struct mesh_err *e;
	int r;

	if (!user)
		return missing(from, errs, "user", name);
	for (size_t i = 0; i < MESH_ARRAY_SIZE(foreign); i++) {
		if (!json_object_get(user, foreign[i]))
			continue;
		e = mesh_errs_add(errs, "user \"%s\": \"%s\" is not supported: give a token or a client certificate",
				  name, foreign[i]);
		if (e)
			e->file = mesh_xstrdup(from);
		return -EINVAL;
	}
	c->token = text_dup(user, "token");
	c->token_file = path_dup(user, "tokenFile", from);
	c->username = text_dup(user, "username");
	c->password = text_dup(user, "password");
	r = base64_dup(user, "client-certificate-data", from, &c->cert_data, errs);
	if (r == 0 && !c->cert_data)
		c->cert_file = path_dup(user, "client-certificate", from);
	if (r == 0)
		r = base64_dup(user, "client-key-data", from, &c->key_data, errs);
	if (r == 0 && !c->key_data)
		c->key_file = path_dup(user, "client-key", from);
	return r;
}

static const char *current_context(const struct files *files)
{
	mesh_vec_each (f, &files->list) {
		const char *name = text(f->value, "current-context");

		if (name)
			return name;
	}
	return NULL;
}

static int read_context(const struct files *files, const char *name, struct mesh_kubeconfig *c, struct mesh_errs *errs)
{
	const char *from = files->list.items[0].path, *cluster, *user;
	const json_t *context = find(files, "contexts", name, "context", &from);
	int r;

	if (!context)
		return missing(from, errs, "context", name);
	c->context = mesh_xstrdup(name);
	c->file = mesh_xstrdup(from);
	c->namespace = text(context, "namespace") ? text_dup(context, "namespace") : mesh_xstrdup("default");
	cluster = text(context, "cluster");
	user = text(context, "user");
	if (!cluster)
		return missing(from, errs, "cluster in the context that", name);
	r = read_cluster(files, cluster, c, errs);
	if (r == 0 && user)
		r = read_user(files, user, c, errs);
	return r;
}

int mesh_kubeconfig_read(const char *paths, const char *context, struct mesh_kubeconfig *ret, struct mesh_errs *errs)
{
	mesh_auto(files_free) struct files files = {0};
	struct mesh_kubeconfig c = {0};
	struct mesh_err *e;
	int r = files_read(paths, &files, errs);

	if (r < 0)
		return r;
	if (!context && files.list.count)
		context = current_context(&files);
	if (files.list.count == 0 || !context) {
		e = mesh_errs_add(errs, files.list.count ? "current-context is not set" : "no such kubeconfig file");
		if (e)
			e->file = mesh_xstrdup(paths);
		return files.list.count ? -EINVAL : -ENOENT;
	}
	r = read_context(&files, context, &c, errs);
	if (r < 0) {
		mesh_kubeconfig_free(&c);
		return r;
	}
	mesh_kubeconfig_free(ret);
	*ret = c;
	return 0;
}

int mesh_kubeconfig_in_cluster(const char *dir, struct mesh_kubeconfig *ret, struct mesh_errs *errs)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	mesh_auto(mesh_buf_free) struct mesh_buf ns = {0};
	mesh_auto_free char *ns_file = NULL, *token_file = NULL;
	struct mesh_slice name;

	dir = dir ? dir : service_account_dir;
	token_file = mesh_xasprintf("%s/token", dir);
	if (!host || !host[0] || !port || !port[0] || access(token_file, R_OK) < 0) {
		mesh_errs_add(errs, "not in a pod: KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT and %s are needed",
			      token_file);
		return -ENOENT;
	}
	ns_file = mesh_xasprintf("%s/namespace", dir);
	mesh_file_read(ns_file, 4096, &ns);
	name = mesh_slice_trim(mesh_buf_view(&ns));
	mesh_kubeconfig_free(ret);
	ret->server = mesh_xasprintf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	ret->ca_file = mesh_xasprintf("%s/ca.crt", dir);
	ret->token_file = mesh_steal(token_file);
	ret->namespace = name.len ? mesh_xstrndup(name.ptr, name.len) : mesh_xstrdup("default");
	return 0;
}

int mesh_kubeconfig_find(const char *file, const char *context, struct mesh_kubeconfig *ret, struct mesh_errs *errs)
{
	const char *env = getenv("KUBECONFIG"), *home = getenv("HOME");
	mesh_auto_free char *own = NULL;

	if (file && file[0])
		return mesh_kubeconfig_read(file, context, ret, errs);
	if (env && env[0])
		return mesh_kubeconfig_read(env, context, ret, errs);
	if (mesh_kubeconfig_in_cluster(NULL, ret, NULL) == 0)
		return 0;
	own = mesh_xasprintf("%s/.kube/config", home ? home : "");
	if (access(own, F_OK) == 0)
		return mesh_kubeconfig_read(own, context, ret, errs);
	mesh_errs_add(errs, "no kubeconfig: give --kubeconfig, set KUBECONFIG, or make %s", own);
	return -ENOENT;
}
