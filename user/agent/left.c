/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints of pods elsewhere that left a service without having been seen to end: the pod may live on without its
 * label, or be gone (deleted by force). The API is asked, and flows to one that is gone are ended.
 */
#include "agent/state.h"
#include "config/condition.h"
#include "core/log.h"
#include "core/mem.h"

enum { LOOKS_MAX = 256 }; /* at once; what is above is left to TCP's own timeouts */

struct mesh_agent_look {
	struct mesh_agent *agent;
	struct mesh_addr ip;
	struct mesh_kube_request *request;
};

static void look_free(struct mesh_agent_look *look)
{
	mesh_kube_cancel(look->request);
	free(look);
}

/* Whether the pod has that address still; a pod of the same name may be another one. */
static bool has_address(const json_t *status, const struct mesh_addr *ip)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(status, "podIPs"), i, one)
	{
		const char *text = json_string_value(json_object_get(one, "ip"));
		struct mesh_addr addr;

		if (text && mesh_addr_parse(mesh_slice_str(text), 0, &addr) == 0 && mesh_addr_ip_eq(&addr, ip))
			return true;
	}
	return false;
}

static void on_answer(void *arg, const struct mesh_kube_response *r)
{
	struct mesh_agent_look *look = arg;
	struct mesh_agent *a = look->agent;
	const json_t *status = json_object_get(r->body, "status");
	bool gone = (r->status == 404 && r->reason) ||
		    (r->status == 200 && (mesh_pod_over(r->body) || !has_address(status, &look->ip)));

	look->request = NULL;
	for (size_t i = a->looks.count; i > 0; i--)
		if (a->looks.items[i - 1] == look)
			mesh_vec_remove(&a->looks, i - 1);
	if (gone) {
		mesh_vec_push(&a->gone, ((struct mesh_agent_gone){.ip = look->ip, .elsewhere = true}));
		if (a->published && !a->dirty)
			mesh_agent_end_gone(a);
	}
	look_free(look);
}

void mesh_agent_left(void *arg, const char *ns, const char *pod, const struct mesh_addr *ip)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/%s/pods/%s", ns, pod);
	struct mesh_agent *a = arg;
	struct mesh_agent_look *look;

	if (!a->published || a->left || a->looks.count >= LOOKS_MAX)
		return;
	look = mesh_xcalloc(1, sizeof(*look));
	*look = (struct mesh_agent_look){.agent = a, .ip = *ip};
	look->request = mesh_kube_send(a->kube, "GET", path, NULL, NULL, NULL, on_answer, look);
	if (look->request)
		mesh_vec_push(&a->looks, look);
	else
		free(look);
}

void mesh_agent_left_free(struct mesh_agent *a)
{
	mesh_vec_each (look, &a->looks)
		look_free(*look);
	mesh_vec_free(&a->looks);
}
