/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML and JSON through everything that config/ does with an object.
 */
#include "../unit/config_exercise.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *fault = exercise_text(mesh_slice_of((const char *)data, size));

	if (fault) {
		fprintf(stderr, "%s\n", fault);
		abort();
	}
	return 0;
}
