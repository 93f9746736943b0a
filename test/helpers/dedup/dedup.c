/*
 * Deduplicates raw BTF with libbpf: `dedup IN OUT`. Prints the number of types, void included; exits with 2 where
 * libbpf does not take the file, 3 where it does not deduplicate it.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

int main(int argc, char **argv)
{
	libbpf_set_print(quiet);
	if (argc != 3)
		return 1;
	struct btf *btf = btf__parse_raw(argv[1]);
	if (!btf)
		return 2;
	if (btf__dedup(btf, NULL))
		return 3;
	__u32 size;
	const void *data = btf__raw_data(btf, &size);
	FILE *out = fopen(argv[2], "wb");
	if (!out || fwrite(data, 1, size, out) != size || fclose(out))
		return 1;
	printf("%u\n", btf__type_cnt(btf));
	return 0;
}
