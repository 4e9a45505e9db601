/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/controllers.h"

#include "core/mem.h"

#include <stdio.h>
#include <sys/random.h>

/* No vowels and nothing that looks like one, so that no words appear (apimachinery's util/rand). */
static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";

enum { LETTERS = sizeof(alphabet) - 1, NAME_MAX_LEN = 63 };

void mesh_name_suffix(char out[MESH_SUFFIX_LEN + 1])
{
	unsigned char bytes[MESH_SUFFIX_LEN];

	for (int i = 0; i < MESH_SUFFIX_LEN; i++) {
		do { /* without bias: only whole multiples of the alphabet count */
			if (getrandom(&bytes[i], 1, 0) != 1)
				abort();
		} while (bytes[i] >= 256 / LETTERS * LETTERS);
		out[i] = alphabet[bytes[i] % LETTERS];
	}
	out[MESH_SUFFIX_LEN] = 0;
}

void mesh_name_encode(uint32_t number, char out[MESH_HASH_MAX])
{
	snprintf(out, MESH_HASH_MAX, "%u", number);
	for (char *c = out; *c; c++)
		*c = alphabet[(unsigned char)*c % LETTERS];
}

void mesh_name_template_hash(const json_t *pod_template, unsigned collisions, char out[MESH_HASH_MAX])
{
	mesh_auto_free char *text = json_dumps(pod_template, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
	uint32_t h = 2166136261u;

	for (const char *c = text; c && *c; c++)
		h = (h ^ (unsigned char)*c) * 16777619u;
	for (unsigned n = collisions; n; n >>= 8)
		h = (h ^ (n & 255)) * 16777619u;
	mesh_name_encode(h, out);
}

char *mesh_name_pod(const char *base)
{
	char suffix[MESH_SUFFIX_LEN + 1];
	size_t len = strlen(base), room = NAME_MAX_LEN - MESH_SUFFIX_LEN - 1;

	mesh_name_suffix(suffix);
	return mesh_xasprintf("%.*s-%s", (int)(len > room ? room : len), base, suffix);
}
