/* SPDX-License-Identifier: Apache-2.0 */
#include "store/held.h"

#include "core/mem.h"

struct mesh_held {
	struct mesh_store *store;
	struct mesh_request *req; /* NULL: the client went away */
	int status;
	char *type;
	struct mesh_buf body;
};

static void answer_closed(struct mesh_request *req)
{
	struct mesh_held *held = req->data;

	held->req = NULL;
}

void mesh_held_add(struct mesh_store *store, struct mesh_request *req, int status, const char *type,
		   struct mesh_slice body)
{
	struct mesh_held *held = mesh_xcalloc(1, sizeof(*held));

	*held = (struct mesh_held){.store = store, .req = req, .status = status, .type = mesh_xstrdup(type)};
	mesh_buf_slice(&held->body, body);
	req->data = held;
	req->closed = answer_closed;
	mesh_vec_push(&store->held, held);
	mesh_api_changed(store);
}

static void read_closed(struct mesh_request *req)
{
	struct mesh_store *store = req->data;

	for (size_t i = 0; i < store->waiting.count; i++)
		if (store->waiting.items[i] == req)
			store->waiting.items[i] = NULL;
}

void mesh_held_wait(struct mesh_store *store, struct mesh_request *req)
{
	req->data = store;
	req->closed = read_closed;
	mesh_vec_push(&store->waiting, req);
	mesh_api_changed(store);
}

void mesh_held_release(struct mesh_store *store, bool committed)
{
	__typeof__(store->held) held = store->held;

	memset(&store->held, 0, sizeof(store->held));
	for (size_t i = 0; i < held.count; i++) {
		struct mesh_held *h = held.items[i];

		if (h->req && !committed) {
			json_t *status = mesh_status_new(
				500, "InternalError",
				"Internal error occurred: the change could not be written to disk", NULL);

			mesh_buf_clear(&h->body);
			mesh_js_write(&h->body, status);
			json_decref(status);
			h->status = 500;
		}
		if (h->req) {
			h->req->closed = NULL;
			mesh_request_answer(h->req, h->status, h->type, mesh_buf_view(&h->body));
		}
		free(h->type);
		mesh_buf_free(&h->body);
		free(h);
	}
	free(held.items);
	/* Serving a read may put it back, when an answer above made a connection's next write come in. */
	for (size_t i = 0, n = store->waiting.count; i < n; i++) {
		struct mesh_request *req = store->waiting.items[0];

		mesh_vec_remove(&store->waiting, 0);
		if (!req)
			continue;
		req->closed = NULL;
		mesh_api_serve(store, req);
	}
}
