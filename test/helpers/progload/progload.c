// SPDX-License-Identifier: Apache-2.0
/*
 * Loads every program of an object into the running kernel, one at a time, with a given BTF for its CO-RE relocations,
 * and prints "NAME ok" or "NAME refused" for each. With a third argument, the kernel's and libbpf's words on stderr.
 */
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int verbose;

static int say(enum libbpf_print_level level, const char *format, va_list args)
{
	if (!verbose || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, format, args);
}

static int load_only(const char *path, const char *btf, const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	struct bpf_object *object = bpf_object__open_file(path, &opts);
	struct bpf_program *program;
	int err;

	if (!object)
		return -1;
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, strcmp(bpf_program__name(program), name) == 0);
	err = bpf_object__load(object);
	bpf_object__close(object);
	return err;
}

int main(int argc, char **argv)
{
	struct bpf_program *program;
	struct bpf_object *object;

	if (argc < 3) {
		fprintf(stderr, "usage: progload OBJECT BTF [verbose]\n");
		return 2;
	}
	verbose = argc > 3;
	libbpf_set_print(say);
	object = bpf_object__open_file(argv[1], NULL);
	if (!object)
		return 1;
	bpf_object__for_each_program(program, object) {
		const char *name = bpf_program__name(program);

		printf("%s %s\n", name, load_only(argv[1], argv[2], name) ? "refused" : "ok");
	}
	bpf_object__close(object);
	return 0;
}
