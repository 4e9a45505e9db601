/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over hash maps that programs change meanwhile. */
#include "dataplane/dp.h"

#include <errno.h>

enum { BATCH = 4096 };

uint64_t mesh_dp_each_batch(int fd, size_t key_size, size_t value_size, mesh_dp_see_fn *see, void *arg)
{
	mesh_auto_free char *keys = mesh_xcalloc(BATCH, key_size), *values = mesh_xcalloc(BATCH, value_size);
	uint64_t n = 0;
	uint32_t at = 0;
	void *from = NULL;
	int r = 0;

	while (r == 0) {
		uint32_t count = BATCH;

		r = bpf_map_lookup_batch(fd, from, &at, keys, values, &count, NULL);
		if (r < 0 && r != -ENOENT)
			break;
		n += count;
		for (uint32_t i = 0; see && i < count; i++)
			see(arg, keys + i * key_size, values + i * value_size);
		from = &at;
	}
	return n;
}

struct dropping {
	size_t key_size;
	mesh_dp_goes_fn *goes;
	void *arg;
	struct mesh_buf keys;
};

static void see_whether(void *arg, const void *key, const void *value)
{
	struct dropping *d = arg;

	if (!d->goes || d->goes(d->arg, key, value))
		mesh_buf_add(&d->keys, key, d->key_size);
}

void mesh_dp_drop(int fd, size_t key_size, size_t value_size, mesh_dp_goes_fn *goes, void *arg)
{
	struct dropping d = {.key_size = key_size, .goes = goes, .arg = arg};

	mesh_dp_each_batch(fd, key_size, value_size, see_whether, &d);
	for (size_t at = 0; at < d.keys.len; at += key_size)
		bpf_map_delete_elem(fd, d.keys.data + at);
	mesh_buf_free(&d.keys);
}
