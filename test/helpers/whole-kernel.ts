/** BTF that passes for a whole kernel's, of C declarations. */
import { kernelBtf } from './clang-bpf.ts'

const FILLERS = 2600

/** The BTF of a kernel with these types and variables of its own, besides what every kernel has. */
export function wholeKernelBtf(own: string): Uint8Array {
  const fillers = Array.from(
    { length: FILLERS },
    (_, i) => `struct filler_${i} { struct filler_${Math.max(0, i - 1)} *before; int number_${i}; };`,
  )
  return kernelBtf(`
    struct list_head { struct list_head *next, *prev; };
    ${sized('mm_struct', 1024, '')}
    ${sized('signal_struct', 1000, '')}
    ${sized('cred', 168, 'unsigned uid, gid;')}
    ${sized('inode', 600, 'unsigned long i_ino;')}
    ${sized('file', 232, 'struct inode *f_inode;')}
    ${sized('dentry', 192, '')}
    ${sized('super_block', 1400, '')}
    ${sized('vm_area_struct', 200, '')}
    ${sized('net_device', 2400, 'int ifindex;')}
    ${sized('sk_buff', 232, '')}
    ${sized('sock', 760, '')}
    ${sized('task_struct', 9000, 'int pid, tgid; char comm[16]; struct mm_struct *mm;')}
    ${fillers.join('\n')}
    struct all {
      struct list_head l; struct mm_struct mm; struct signal_struct s; struct cred c; struct inode i; struct file f;
      struct dentry d; struct super_block b; struct vm_area_struct v; struct net_device n; struct sk_buff k;
      struct sock o; struct task_struct t; ${fillers.map((_, i) => `struct filler_${i} f${i};`).join(' ')}
    } all;
    ${own}
  `)
}

function sized(name: string, bytes: number, members: string): string {
  return `struct ${name} { ${members} char rest[${bytes} - sizeof(struct { ${members} })]; };`
}
