/* Gives a file of BTF to the running kernel (BPF_BTF_LOAD); its verifier's last words where it is refused. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char log_text[1 << 20];

int main(int argc, char **argv) {
  struct stat st;
  int file = argc == 2 ? open(argv[1], O_RDONLY) : -1;
  if (file < 0 || fstat(file, &st) != 0) return 2;
  void *bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.btf = (unsigned long)bytes;
  attr.btf_size = st.st_size;
  if (syscall(SYS_bpf, BPF_BTF_LOAD, &attr, sizeof attr) >= 0) {
    puts("loaded");
    return 0;
  }
  int why = errno;
  attr.btf_log_buf = (unsigned long)log_text;
  attr.btf_log_size = sizeof log_text;
  attr.btf_log_level = 1;
  syscall(SYS_bpf, BPF_BTF_LOAD, &attr, sizeof attr);
  size_t length = strlen(log_text);
  printf("refused: %s: %s\n", strerror(why), log_text + (length > 500 ? length - 500 : 0));
  return 0;
}
