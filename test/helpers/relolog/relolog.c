// SPDX-License-Identifier: Apache-2.0
/*
 * Prints what the real libbpf makes of an object's CO-RE relocations with a given BTF.
 *
 * Reads lines "OBJECT<TAB>BTF" and for each writes libbpf's messages about relocations, one to a line, without those
 * that list candidates, then "= done". Nothing is loaded: the program's own syscall() answers bpf(2) with
 * success, so that libbpf gets as far as relocating wherever this runs, and no map or program is ever made.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Takes the place of libc's: libbpf reaches the kernel's bpf(2) through it. */
long syscall(long number, ...)
{
	va_list args;
	long a[6];
	long ret;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);

	if (number == __NR_bpf) {
		switch (a[0]) {
		case BPF_MAP_CREATE:
		case BPF_PROG_LOAD:
		case BPF_BTF_LOAD:
			return open("/dev/null", O_RDONLY | O_CLOEXEC);
		case BPF_MAP_UPDATE_ELEM:
		case BPF_MAP_FREEZE:
			return 0;
		default:
			errno = EINVAL;
			return -1;
		}
	}
#if defined(__x86_64__)
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a[0];
	register long x1 __asm__("x1") = a[1];
	register long x2 __asm__("x2") = a[2];
	register long x3 __asm__("x3") = a[3];
	register long x4 __asm__("x4") = a[4];
	register long x5 __asm__("x5") = a[5];
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	ret = x0;
#else
#error "this machine's way into the kernel is not written down here"
#endif
	if (ret < 0 && ret > -4096) {
		errno = -ret;
		return -1;
	}
	return ret;
}

/*
 * About CO-RE relocations ("relo #1" is also said of ELF's), but neither what they ask, which is the object's own, nor
 * about candidates, whose numbers differ between a BTF and what is left of it.
 */
static int is_outcome(const char *text)
{
	const char *relo = strstr(text, "': relo #");

	if (strncmp(text, "libbpf: prog '", 14) || !relo || strstr(relo, ": <"))
		return 0;
	return !strstr(relo, "matching candidate #") || strstr(relo, "error matching");
}

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	static char text[8192];
	char *candidate;

	(void)level;
	vsnprintf(text, sizeof(text), format, args);
	if (!is_outcome(text))
		return 0;
	candidate = strstr(text, "matching candidate #");
	if (candidate)
		strcpy(candidate, "matching candidate\n");
	for (char *c = text; *c; c++) {
		if (*c == '\n')
			*c = ' ';
	}
	puts(text);
	return 0;
}

/* Values for every CONFIG_ that the object asks for: without them it is refused before relocation. */
static char *kconfig_of(const struct btf *btf)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int id = btf ? btf__find_by_name_kind(btf, ".kconfig", BTF_KIND_DATASEC) : -1;

	if (id > 0) {
		const struct btf_type *sec = btf__type_by_id(btf, id);
		const struct btf_var_secinfo *var = btf_var_secinfos(sec);

		for (int i = 0; i < btf_vlen(sec); i++, var++) {
			const struct btf_type *type = btf__type_by_id(btf, var->type);
			const char *name = btf__name_by_offset(btf, type->name_off);

			if (strncmp(name, "CONFIG_", 7) == 0)
				fprintf(out, "%s=%s\n", name, var->size == 1 ? "y" : var->size > 8 ? "\"\"" : "1000");
		}
	}
	fclose(out);
	return text;
}

static char *read_file(const char *path, size_t *size)
{
	FILE *in = fopen(path, "r");
	struct stat st;
	char *bytes;

	if (!in)
		return NULL;
	if (fstat(fileno(in), &st) || !(bytes = malloc(st.st_size + 1))) {
		fclose(in);
		return NULL;
	}
	*size = fread(bytes, 1, st.st_size, in);
	fclose(in);
	return bytes;
}

/* Makes every symbol that is defined elsewhere a weak one: not every kernel has them, and the object is refused. */
static void weaken(char *bytes, size_t size)
{
	Elf64_Ehdr *head = (Elf64_Ehdr *)bytes;
	Elf64_Shdr *section;

	if (size < sizeof(*head) || head->e_ident[EI_DATA] != ELFDATA2LSB ||
	    head->e_shoff + head->e_shnum * sizeof(*section) > size)
		return;
	section = (Elf64_Shdr *)(bytes + head->e_shoff);
	for (int i = 0; i < head->e_shnum; i++, section++) {
		Elf64_Sym *symbol = (Elf64_Sym *)(bytes + section->sh_offset);

		if (section->sh_type != SHT_SYMTAB || section->sh_offset + section->sh_size > size)
			continue;
		for (size_t j = 1; j < section->sh_size / sizeof(*symbol); j++) {
			if (symbol[j].st_shndx == SHN_UNDEF)
				symbol[j].st_info = ELF64_ST_INFO(STB_WEAK, ELF64_ST_TYPE(symbol[j].st_info));
		}
	}
}

static void relocate(const char *object_path, const char *btf_path)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf_path, .object_name = "object");
	struct btf *own = btf__parse(object_path, NULL);
	struct bpf_object *object;
	struct bpf_program *prog;
	char *kconfig, *bytes;
	size_t size = 0;

	if (libbpf_get_error(own))
		own = NULL;
	kconfig = kconfig_of(own);
	btf__free(own);
	opts.kconfig = kconfig;
	bytes = read_file(object_path, &size);
	if (!bytes)
		goto out;
	weaken(bytes, size);
	object = bpf_object__open_mem(bytes, size, &opts);
	if (libbpf_get_error(object))
		goto out;
	bpf_object__for_each_program(prog, object) {
		bpf_program__set_autoload(prog, true);
		/*
		 * Tracing programs would want the running kernel's BTF before they are relocated. Without a type none
		 * does, and loading ends when everything is relocated.
		 */
		bpf_program__set_type(prog, BPF_PROG_TYPE_UNSPEC);
	}
	bpf_object__load(object);
	bpf_object__close(object);
out:
	free(bytes);
	free(kconfig);
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(print);
	while (getline(&line, &room, stdin) > 0) {
		char *btf = strchr(line, '\t');

		if (!btf)
			return 2;
		*btf++ = '\0';
		btf[strcspn(btf, "\n")] = '\0';
		relocate(line, btf);
		puts("= done");
		fflush(stdout);
	}
	free(line);
	return 0;
}
