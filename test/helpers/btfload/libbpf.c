/* Reads a file of BTF with the libbpf at a path, of any version: how many types, and the size of task_struct. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct stat st;
  void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
  int file = argc == 3 ? open(argv[2], O_RDONLY) : -1;
  if (library == NULL || file < 0 || fstat(file, &st) != 0) {
    fprintf(stderr, "%s\n", library == NULL ? dlerror() : "no such file");
    return 2;
  }
  void *(*new)(const void *, unsigned) = dlsym(library, "btf__new");
  long (*error)(const void *) = dlsym(library, "libbpf_get_error");
  int (*find)(const void *, const char *) = dlsym(library, "btf__find_by_name");
  long (*size)(const void *, unsigned) = dlsym(library, "btf__resolve_size");
  void *btf = new(mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, file, 0), st.st_size);
  if (error(btf) != 0) {
    printf("refused: %ld\n", error(btf));
    return 0;
  }
  int id = find(btf, "task_struct");
  printf("task_struct %ld\n", id < 0 ? (long)id : size(btf, id));
  return 0;
}
