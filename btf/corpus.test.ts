import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { corpusBtf, corpusFiles, fullBtfPaths } from '../test/helpers/btf-corpus.ts'
import { corpusDir } from '../test/helpers/machine.ts'
import type { Btf } from './btf.ts'
import { encodeBtf } from './encode.ts'
import { formatHeader } from './format-c.ts'
import { findMember } from './layout.ts'
import { loadBtf } from './load.ts'
import type { BtfType } from './types.ts'
import { validateBtf } from './validate.ts'

const corpus = corpusDir()

/** What the keys of the table mean. `nf_conn` is left out: where they measured it, it lives in a module. */
const MEMBERS: Readonly<Record<string, readonly [struct: string, member: string]>> = {
  binprm_file_offset: ['linux_binprm', 'file'],
  bpf_map_id_offset: ['bpf_map', 'id'],
  bpf_map_name_offset: ['bpf_map', 'name'],
  bpf_map_type_offset: ['bpf_map', 'map_type'],
  bpf_prog_attach_type_offset: ['bpf_prog', 'expected_attach_type'],
  bpf_prog_aux_id_offset: ['bpf_prog_aux', 'id'],
  bpf_prog_aux_name_offset: ['bpf_prog_aux', 'name'],
  bpf_prog_aux_offset: ['bpf_prog', 'aux'],
  bpf_prog_tag_offset: ['bpf_prog', 'tag'],
  bpf_prog_type_offset: ['bpf_prog', 'type'],
  creds_cap_inheritable_offset: ['cred', 'cap_inheritable'],
  creds_uid_offset: ['cred', 'uid'],
  dentry_d_inode_offset: ['dentry', 'd_inode'],
  dentry_d_name_offset: ['dentry', 'd_name'],
  dentry_d_sb_offset: ['dentry', 'd_sb'],
  dentry_sb_offset: ['dentry', 'd_sb'],
  device_nd_net_net_offset: ['net_device', 'nd_net'],
  file_f_inode_offset: ['file', 'f_inode'],
  file_f_path_offset: ['file', 'f_path'],
  flowi4_saddr_offset: ['flowi4', 'saddr'],
  flowi4_uli_offset: ['flowi4', 'uli'],
  flowi6_saddr_offset: ['flowi6', 'saddr'],
  flowi6_uli_offset: ['flowi6', 'uli'],
  inode_ctime_offset: ['inode', 'i_ctime'],
  inode_gid_offset: ['inode', 'i_gid'],
  inode_ino_offset: ['inode', 'i_ino'],
  inode_mtime_offset: ['inode', 'i_mtime'],
  inode_nlink_offset: ['inode', 'i_nlink'],
  inode_sb_offset: ['inode', 'i_sb'],
  iokiocb_ctx_offset: ['io_kiocb', 'ctx'],
  kernel_clone_args_exit_signal_offset: ['kernel_clone_args', 'exit_signal'],
  linux_binprm_argc_offset: ['linux_binprm', 'argc'],
  linux_binprm_envc_offset: ['linux_binprm', 'envc'],
  linux_binprm_p_offset: ['linux_binprm', 'p'],
  mount_id_offset: ['mount', 'mnt_id'],
  mount_mnt_mountpoint_offset: ['mount', 'mnt_mountpoint'],
  mountpoint_dentry_offset: ['mountpoint', 'm_dentry'],
  net_device_ifindex_offset: ['net_device', 'ifindex'],
  net_device_name_offset: ['net_device', 'name'],
  net_ns_offset: ['net', 'ns'],
  net_proc_inum_offset: ['net', 'proc_inum'],
  path_dentry_offset: ['path', 'dentry'],
  path_mnt_offset: ['path', 'mnt'],
  pid_level_offset: ['pid', 'level'],
  pid_link_pid_offset: ['pid_link', 'pid'],
  pid_numbers_offset: ['pid', 'numbers'],
  pipe_buffer_flags_offset: ['pipe_buffer', 'flags'],
  pipe_inode_info_buffers_offset: ['pipe_inode_info', 'buffers'],
  pipe_inode_info_bufs_offset: ['pipe_inode_info', 'bufs'],
  pipe_inode_info_curbuf_offset: ['pipe_inode_info', 'curbuf'],
  pipe_inode_info_head_offset: ['pipe_inode_info', 'head'],
  pipe_inode_info_nrbufs_offset: ['pipe_inode_info', 'nrbufs'],
  pipe_inode_info_ring_size_offset: ['pipe_inode_info', 'ring_size'],
  sb_dev_offset: ['super_block', 's_dev'],
  sb_flags_offset: ['super_block', 's_flags'],
  sb_magic_offset: ['super_block', 's_magic'],
  sock_common_skc_family_offset: ['sock_common', 'skc_family'],
  sock_common_skc_net_offset: ['sock_common', 'skc_net'],
  sock_common_skc_num_offset: ['sock_common', 'skc_num'],
  socket_sock_offset: ['socket', 'sk'],
  super_block_s_type_offset: ['super_block', 's_type'],
  task_struct_pid_link_offset: ['task_struct', 'pids'],
  task_struct_pid_offset: ['task_struct', 'thread_pid'],
  tty_name_offset: ['tty_struct', 'name'],
  tty_offset: ['signal_struct', 'tty'],
  vfsmount_mnt_flags_offset: ['vfsmount', 'mnt_flags'],
  vfsmount_mnt_root_offset: ['vfsmount', 'mnt_root'],
  vfsmount_mnt_sb_offset: ['vfsmount', 'mnt_sb'],
  vm_area_struct_flags_offset: ['vm_area_struct', 'vm_flags'],
}
const SIZES: Readonly<Record<string, string>> = {
  sizeof_inode: 'inode',
  sizeof_pipe_buffer: 'pipe_buffer',
  sizeof_upid: 'upid',
}
const LEFT_OUT = ['nf_conn_ct_net_offset']

/** Every number that a struct of that name gives; one that is defined twice may give two. */
function numbersOf(btf: Btf, key: string): (number | null)[] {
  const size = SIZES[key]
  if (size !== undefined) return btf.idsByName(size).map((id) => btf.sizeOrType(id))
  const [struct = '', member = ''] = MEMBERS[key] ?? []
  return btf.idsByName(struct).map((id) => {
    const found = findMember(btf, id, member)
    return found === null ? null : found.offsetBits / 8
  })
}

interface Table {
  readonly constants: readonly Readonly<Record<string, number>>[]
  readonly kernels: readonly {
    readonly distrib: string
    readonly version: string
    readonly arch: string
    readonly uname_release: string
    readonly cindex: number
  }[]
}

/** What others found in these kernels, by the corpus's path. */
function oracle(): Map<string, Readonly<Record<string, number>>> {
  const byPath = new Map<string, Readonly<Record<string, number>>>()
  for (const arch of ['amd64', 'arm64']) {
    const file = join(corpus ?? '', 'tables', `constants_${arch}.json`)
    const table = JSON.parse(readFileSync(file, 'utf8')) as Table
    for (const kernel of table.kernels) {
      const path = `${kernel.distrib}/${kernel.version}/${kernel.arch}/${kernel.uname_release}.btf.xz`
      byPath.set(path, table.constants[kernel.cindex] ?? {})
    }
  }
  return byPath
}

describe.skipIf(corpus === null)('real BTF (skipped where BTFHUB_CORPUS is not there)', () => {
  const known = corpus === null ? new Map<string, Readonly<Record<string, number>>>() : oracle()
  const covered = fullBtfPaths().filter((path) => known.has(path))

  it.each(fullBtfPaths())('%s is valid, and has the offsets that others measured', (path) => {
    const btf = loadBtf(corpusBtf(path))
    validateBtf(btf)
    expect(btf.idsByName('task_struct').length).toBeGreaterThan(0)
    for (const [key, value] of Object.entries(known.get(path) ?? {})) {
      if (LEFT_OUT.includes(key)) continue
      expect({ key, numbers: numbersOf(btf, key) }).toEqual({
        key,
        numbers: expect.arrayContaining([value]) as unknown,
      })
    }
  })

  it('of eleven kernels is measured by others', () => {
    expect(covered.length).toBeGreaterThanOrEqual(11)
  })

  it.each([
    'debian/13/x86_64/6.12.107+deb13-amd64.btf.xz',
    'centos/7/x86_64/3.10.0-1160.el7.x86_64.btf.xz',
    'mainline/2026-06-25/x86_64/vmlinux.btf.xz',
  ])('%s written again, in either byte order, has the same types', (path) => {
    const btf = loadBtf(corpusBtf(path))
    const types: BtfType[] = []
    for (let id = 1; id < btf.idCount; id++) types.push(btf.type(id))
    for (const endian of ['little', 'big'] as const) {
      const again = loadBtf(encodeBtf(types, endian))
      expect(again.endian).toBe(endian)
      validateBtf(again)
      // A whole kernel in one toEqual takes a minute: what differs is looked for by hand.
      const text = (type: BtfType): string =>
        JSON.stringify(type, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))
      expect(types.findIndex((type) => text(again.type(type.id)) !== text(type))).toBe(-1)
      expect(again.idCount).toBe(btf.idCount)
    }
  })

  it('of a module is read on its base', () => {
    const base = loadBtf(corpusBtf('split/btf-rs/vmlinux.btf.xz'))
    const module = loadBtf(corpusBtf('split/btf-rs/openvswitch.btf.xz'), { base })
    validateBtf(module)
    const [vport = 0] = module.idsByName('vport')
    expect(vport).toBeGreaterThanOrEqual(base.idCount)
    const dev = findMember(module, vport, 'dev')
    expect(module.name(module.sizeOrType(dev?.typeId ?? 0))).toBe('net_device')
    expect(module.idsByName('net_device')).toEqual(base.idsByName('net_device'))
  })

  const split = corpusFiles().filter((path) => /testmod\.btf\.xz$/.test(path))
  it.each(split)('%s, split BTF, is not taken for a whole one', (path) => {
    expect(() => loadBtf(corpusBtf(path))).toThrow(expect.objectContaining({ code: 'NEEDS_BASE' }))
  })

  const bases = corpusFiles().filter((path) => /\.base\.xz$/.test(path))
  it.each(bases)('%s, a distilled base, is valid', (path) => {
    validateBtf(loadBtf(corpusBtf(path)))
  })

  it('that others minimized is valid and can be printed, each of 363 files', () => {
    const files = ['min', 'min-btfhub'].flatMap((folder) => minimized(join(corpus ?? '', folder)))
    for (const file of files) {
      const btf = loadBtf(readFileSync(file))
      validateBtf(btf)
      expect([...formatHeader(btf)].length).toBeGreaterThan(20)
    }
    expect(files.length).toBe(363)
  })
})

function minimized(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.btf'))
    .map((entry) => join(entry.parentPath, entry.name))
}
