/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a pod sees in place of the machine's: resolv.conf, hosts, its service account. */
#include "lab/node.h"

#include "core/mem.h"

#include <stdio.h>

enum { TOKEN_S = 3607 };

char *mesh_pod_dir(const struct mesh_pod *pod)
{
	return mesh_lab_path(&pod->node->lab, "node-%u/files/%s", pod->node->number, pod->uid);
}

static int write_in(const char *dir, const char *name, struct mesh_slice text)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", dir, name);

	return mesh_file_write(path, text, 0644);
}

char *mesh_lab_ca(const struct mesh_lab *lab)
{
	mesh_auto_free char *path = mesh_lab_path(lab, "kubeconfig.inside"), *word = NULL;
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	static const char key[] = "certificate-authority-data";
	const char *at;

	if (mesh_file_read(path, 1 << 20, &text) < 0 || !(at = strstr(text.data, key)))
		return NULL;
	at += sizeof(key) - 1;
	at += strspn(at, "\": ");
	word = mesh_xstrndup(at, strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="));
	return mesh_lab_base64(word, NULL);
}

int mesh_pod_files(const struct mesh_pod *pod)
{
	mesh_auto(mesh_buf_free) struct mesh_buf resolv = {0}, hosts = {0};
	mesh_auto_free char *dir = mesh_pod_dir(pod), *account = mesh_xasprintf("%s/serviceaccount", dir),
			    *volumes = mesh_xasprintf("%s/volumes", dir), *ca = mesh_lab_ca(&pod->node->lab);
	const char *hostname = mesh_lab_text(pod->obj, "spec.hostname");
	char ip[MESH_LAB_TEXT];
	int r = mesh_lab_mkdir(account);

	if (r == 0)
		r = mesh_lab_mkdir(volumes);
	mesh_buf_printf(&resolv,
			"nameserver %s\nsearch %s.svc.cluster.local svc.cluster.local cluster.local\n"
			"options ndots:5\n",
			mesh_lab_service_ip(&pod->node->lab, MESH_LAB_SERVICE_DNS, ip), pod->ns);
	mesh_buf_printf(&hosts, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n",
			pod->sandbox.ip, *hostname ? hostname : pod->name);
	if (r == 0)
		r = write_in(dir, "resolv.conf", mesh_buf_view(&resolv));
	if (r == 0)
		r = write_in(dir, "hosts", mesh_buf_view(&hosts));
	if (r == 0)
		r = write_in(account, "namespace", mesh_slice_str(pod->ns));
	if (r == 0 && ca)
		r = write_in(account, "ca.crt", mesh_slice_str(ca));
	return r;
}

static void token_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	(void)loop;
	mesh_pod_token(mesh_container_of(timer, struct mesh_pod, token_timer));
}

static void token_there(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_node *node = ((void **)arg)[0];
	struct mesh_pod *pod = mesh_map_get_str(&node->by_uid, ((char **)arg)[1]);
	const char *token = mesh_lab_text(r->body, "status.token");

	free(((char **)arg)[1]);
	free(arg);
	if (!pod)
		return;
	pod->token_asked = false;
	pod->token_timer.fn = token_due;
	if (*token) {
		mesh_auto_free char *dir = mesh_pod_dir(pod), *account = mesh_xasprintf("%s/serviceaccount", dir);

		write_in(account, "token", mesh_slice_str(token));
		mesh_timer_set(node->loop, &pod->token_timer, MESH_SEC(TOKEN_S * 8 / 10));
	} else {
		mesh_timer_set(node->loop, &pod->token_timer, MESH_SEC(5));
	}
	mesh_pod_step(pod);
}

void mesh_pod_token(struct mesh_pod *pod)
{
	const char *account = mesh_lab_text(pod->obj, "spec.serviceAccountName");
	json_t *body;
	void **arg;

	if (json_is_false(mesh_lab_at(pod->obj, "spec.automountServiceAccountToken")) || pod->token_asked)
		return;
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/serviceaccounts/%s/token", pod->ns,
						   *account ? account : "default");

	body = json_pack("{s:s, s:s, s:{s:i, s:{s:s, s:s, s:s, s:s}}}", "apiVersion", "authentication.k8s.io/v1",
			 "kind", "TokenRequest", "spec", "expirationSeconds", TOKEN_S, "boundObjectRef", "apiVersion",
			 "v1", "kind", "Pod", "name", pod->name, "uid", pod->uid);
	arg = mesh_xcalloc(2, sizeof(void *));
	arg[0] = pod->node;
	arg[1] = mesh_xstrdup(pod->uid);
	pod->token_asked = true;
	mesh_kube_send(pod->node->kube, "POST", path, body, NULL, NULL, token_there, arg);
	json_decref(body);
}
