/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API is and who we are: a kubeconfig (client-go's file format, several files merged as
 * KUBECONFIG=a:b says, the first that sets a thing wins) or a pod's service account. The struct owns
 * its texts; data (certificates, keys) is PEM text. One thread.
 */
#ifndef MESH_KUBE_KUBECONFIG_H
#define MESH_KUBE_KUBECONFIG_H

#include "core/err.h"

#include <jansson.h>

struct mesh_kubeconfig {
	char *server;            /* "https://127.0.0.1:6443", no slash at the end */
	char *server_name;       /* tls-server-name, or NULL */
	char *ca_file, *ca_data; /* at most one is set; neither: the system's authorities */
	char *cert_file, *cert_data;
	char *key_file, *key_data;
	char *token;               /* bearer token, or NULL */
	char *token_file;          /* read again when it changes; wins over token */
	char *username, *password; /* basic authentication, or NULL */
	char *proxy;               /* proxy-url, or NULL */
	char *namespace;           /* never NULL */
	char *context;             /* name of the context used, or NULL (in-cluster) */
	char *file;                /* the file that holds the context, or NULL (in-cluster) */
	bool insecure;             /* insecure-skip-tls-verify */
};

void mesh_kubeconfig_free(struct mesh_kubeconfig *config);
/**
 * Reads the files in paths (separated by ':'; those that do not exist are passed over if there are several).
 * context NULL: the current one. Returns 0; -ENOENT (no file) or -EINVAL with errs; *ret untouched on failure.
 */
int mesh_kubeconfig_read(const char *paths, const char *context, struct mesh_kubeconfig *ret, struct mesh_errs *errs);
/** The pod's own service account, from the environment and dir (NULL: where Kubernetes mounts it). */
int mesh_kubeconfig_in_cluster(const char *dir, struct mesh_kubeconfig *ret, struct mesh_errs *errs);
/** By the rules of mesh_kube_opts.kubeconfig: file given, $KUBECONFIG, in-cluster, ~/.kube/config. */
int mesh_kubeconfig_find(const char *file, const char *context, struct mesh_kubeconfig *ret, struct mesh_errs *errs);

#endif
