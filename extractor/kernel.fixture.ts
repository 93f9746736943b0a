import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run.fixture.ts'

/** A vmlinux of a few kilobytes that is a kernel in all that the extractor looks at, made by gcc, ld and pahole. */
export interface SampleKernel {
  readonly release: string
  readonly banner: string
  readonly buildId: string
  /** Path of the ELF file with DWARF and `.BTF`. */
  readonly vmlinux: string
  /** Path of the ELF file with DWARF alone. */
  readonly withoutBtf: string
  /** Path of the ELF file without either. */
  readonly bare: string
  /** What pahole made of the DWARF, which is also the `.BTF` section. */
  readonly btf: Buffer
  /** The ELF file as an image has it: without DWARF and symbols. */
  readonly stripped: Buffer
  /** What `objcopy -O binary` makes of it, as arm64 kernels are: no headers at all. */
  readonly flat: Buffer
}

/** A struct that only the sample of this release has: by it one sample's BTF is told from another's. */
export function markerOf(release: string): string {
  return `only_in_${release.replace(/[^0-9A-Za-z]/g, '_')}`
}

/** Structs of the core list with sizes that kernels give them, and enough others to make a kernel's number of types. */
function source(release: string, banner: string, fillerCount: number): string {
  const padded = (name: string, size: number, members: string): string =>
    `struct ${name} { union { struct { ${members} }; char pad[${size}]; }; };`
  const fillers = Array.from(
    { length: fillerCount },
    (_, i) => `struct filler_${i} { struct filler_${Math.max(0, i - 1)} *prev; int field_${i}; };`,
  )
  return `
    struct list_head { struct list_head *next, *prev; };
    ${padded('mm_struct', 1024, 'int map_count;')}
    ${padded('signal_struct', 1000, 'int nr_threads;')}
    ${padded('cred', 168, 'int usage; unsigned uid, gid;')}
    ${padded('inode', 600, 'unsigned long i_ino;')}
    ${padded('file', 232, 'struct inode *f_inode;')}
    ${padded('dentry', 192, 'struct inode *d_inode;')}
    ${padded('super_block', 1400, 'unsigned char s_blocksize_bits;')}
    ${padded('vm_area_struct', 200, 'unsigned long vm_start;')}
    ${padded('net_device', 2400, 'int ifindex;')}
    ${padded('sk_buff', 232, 'unsigned len;')}
    ${padded('sock', 760, 'int sk_state;')}
    ${padded(
      'task_struct',
      9000,
      'struct list_head tasks; int pid, tgid; char comm[16]; struct mm_struct *mm; struct cred *cred; struct signal_struct *signal;',
    )}
    ${fillers.join('\n')}
    struct ${markerOf(release)} { int marker; };
    struct everything {
      struct task_struct *task; struct file *file; struct dentry *dentry; struct super_block *super_block;
      struct vm_area_struct *vma; struct net_device *net_device; struct sk_buff *sk_buff; struct sock *sock;
      struct filler_${fillerCount - 1} *fillers; struct ${markerOf(release)} *only;
    };
    const char linux_proc_banner[] = "%s version %s (builder@host) (gcc) %s\\n";
    const char hint[] = "Linux version 2.6 or later is needed\\n";
    const char linux_banner[] = ${JSON.stringify(`${banner}\n`)};
    struct everything everything;
    int start_kernel(struct task_struct *task) { return task->pid + everything.task->tgid + hint[0] + linux_banner[0] + linux_proc_banner[0]; }
    void _start(void) { start_kernel(everything.task); }
  `
}

/** Makes the sample in `dir`, with three types for each filler; takes about a second. */
export async function makeKernel(
  dir: string,
  release = '6.1.0-1-sample',
  fillers = 2600,
): Promise<SampleKernel> {
  await mkdir(dir, { recursive: true })
  const at = (name: string): string => join(dir, name)
  const banner = `Linux version ${release} (builder@host) (gcc (Sample) 12.2.0, GNU ld 2.40) #1 SMP Sample (2026-07-02)`
  await writeFile(at('kernel.c'), source(release, banner, fillers))
  await writeFile(at('btf.S'), '.section .BTF, "a"\n.incbin "kernel.btf"\n.section .note.GNU-stack, ""\n')
  run('gcc', ['-g', '-O1', '-fno-pie', '-ffreestanding', '-c', 'kernel.c', '-o', 'kernel.o'], undefined, dir)
  const link = ['-static', '--build-id=sha1', '-e', '_start']
  run('ld', [...link, '-o', 'without-btf', 'kernel.o'], undefined, dir)
  run(
    'pahole',
    ['-j1', '--btf_gen_floats', '--btf_encode_detached=kernel.btf', 'without-btf'],
    undefined,
    dir,
  )
  run('gcc', ['-c', 'btf.S', '-o', 'btf.o'], undefined, dir)
  run('ld', [...link, '-o', 'vmlinux', 'kernel.o', 'btf.o'], undefined, dir)
  run('objcopy', ['-S', 'vmlinux', 'stripped'], undefined, dir)
  run('objcopy', ['-S', 'without-btf', 'bare'], undefined, dir)
  run('objcopy', ['-O', 'binary', 'stripped', 'flat'], undefined, dir)
  const notes = run('readelf', ['-n', at('vmlinux')]).toString()
  return {
    release,
    banner,
    buildId: /Build ID: ([0-9a-f]+)/.exec(notes)?.[1] as string,
    vmlinux: at('vmlinux'),
    withoutBtf: at('without-btf'),
    bare: at('bare'),
    btf: await readFile(at('kernel.btf')),
    stripped: await readFile(at('stripped')),
    flat: await readFile(at('flat')),
  }
}
