/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify OBJECT...: loads each BPF object (nothing is attached or pinned) and prints, for every program,
 * its name and how many instructions the verifier processed. Exit status 1 if one is refused.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int show(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, args) : 0;
}

static int verify(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *prog;
	struct bpf_map *map;

	if (!object) {
		fprintf(stderr, "%s: cannot open: %s\n", path, strerror(errno));
		return 1;
	}
	bpf_object__for_each_map(map, object) bpf_map__set_pin_path(map, NULL);
	bpf_object__for_each_program(prog, object) bpf_program__set_autoload(prog, true);
	if (bpf_object__load(object) < 0) {
		fprintf(stderr, "%s: the kernel refuses it: %s\n", path, strerror(errno));
		bpf_object__close(object);
		return 1;
	}
	bpf_object__for_each_program(prog, object)
	{
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len) < 0)
			continue;
		printf("%s %u\n", bpf_program__name(prog), info.verified_insns);
	}
	bpf_object__close(object);
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	libbpf_set_print(show);
	for (int i = 1; i < argc; i++)
		failed |= verify(argv[i]);
	return failed;
}
