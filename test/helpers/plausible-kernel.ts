import { encodeBtf } from '../../btf/index.ts'
import type { BtfType } from '../../btf/types.ts'
import { numbered, t } from './btf-bytes.ts'

/** What every kernel has, with a size that it may have, and the members that are looked for. */
const STRUCTS: readonly (readonly [name: string, sizeBytes: number, members: readonly string[]])[] = [
  ['mm_struct', 1024, []],
  ['signal_struct', 1024, []],
  ['cred', 176, ['uid', 'gid']],
  ['file', 232, ['f_inode']],
  ['inode', 600, ['i_ino']],
  ['dentry', 192, []],
  ['super_block', 1408, []],
  ['vm_area_struct', 200, []],
  ['net_device', 2496, ['ifindex']],
  ['sk_buff', 232, []],
  ['sock', 760, []],
  ['list_head', 16, ['next', 'prev']],
]

/**
 * A BTF of some 60 KB that passes for a whole kernel's (extractor's check of kernels), whose `task_struct` has `tgid`
 * at `tgidOffset` bytes.
 */
export function plausibleKernel(tgidOffset = 4): Uint8Array {
  const task = ['pid', 'comm', 'mm'].map((name, i) => t.member(name, 1, 64 + i * 4))
  const types: BtfType[] = [
    t.int('int'),
    t.struct('task_struct', 9000, [t.member('tgid', 1, tgidOffset), ...task]),
    ...STRUCTS.map(([name, sizeBytes, members]) =>
      t.struct(
        name,
        sizeBytes,
        members.map((member, i) => t.member(member, 1, i * 4)),
      ),
    ),
    ...Array.from({ length: 5000 }, (_, i) => t.typedef(`t${i}`, 1)),
  ]
  return encodeBtf(numbered(types))
}
