import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { btfCorpus, corpusBtf } from '../test/helpers/btf-corpus.ts'
import {
  clangBpf,
  definitions,
  layoutAssertions,
  memberList,
  useEveryType,
} from '../test/helpers/c-layout.ts'
import { havePrograms } from '../test/helpers/machine.ts'
import { formatHeader } from './format-c.ts'
import { loadBtf, rawBtf } from './load.ts'

const KERNELS = {
  'Debian 13': 'debian/13/x86_64/6.12.107+deb13-amd64.btf.xz',
  'CentOS 7, with types defined twice': 'centos/7/x86_64/3.10.0-1160.el7.x86_64.btf.xz',
  'Ubuntu arm64': 'ubuntu/20.04/arm64/5.4.0-80-generic.btf.xz',
  'the newest mainline': 'mainline/2026-06-25/x86_64/vmlinux.btf.xz',
}

const can = btfCorpus !== null && havePrograms('clang')

describe.skipIf(!can)('a header (skipped without clang or BTFHUB_CORPUS)', () => {
  it.each(Object.entries(KERNELS))(
    'of %s compiles, and every size and offset is as in the BTF',
    (_, path) => {
      const btf = loadBtf(corpusBtf(path))
      const header = [...formatHeader(btf)].join('\n')
      const assertions = layoutAssertions(btf)
      expect(assertions.length).toBeGreaterThan(30_000)
      expect(clangBpf(header, assertions.join('\n'), 'check').errors).toEqual([])
    },
  )

  it('with a wrong offset is noticed', () => {
    const btf = loadBtf(corpusBtf(KERNELS['CentOS 7, with types defined twice']))
    const header = [...formatHeader(btf)].join('\n').replace('\tstruct list_head *next;', '\tint x; $&')
    const errors = clangBpf(header, layoutAssertions(btf).join('\n'), 'check').errors
    expect(errors.length).toBeGreaterThan(100)
  })

  it('compiles to BTF that has every member, bitfields too, where the kernel has it', () => {
    const btf = loadBtf(corpusBtf(KERNELS['CentOS 7, with types defined twice']))
    const header = [...formatHeader(btf)].join('\n')
    const { object, errors } = clangBpf(header, useEveryType(btf).join('\n'), 'object')
    expect(errors).toEqual([])
    const compiled = loadBtf(object as Uint8Array)
    const again = definitions(compiled)
    const differ = [...definitions(btf)].filter(([name, id]) => {
      const other = again.get(name)
      if (other === undefined || compiled.sizeOrType(other) !== btf.sizeOrType(id)) return true
      return memberList(compiled, other).join('\n') !== memberList(btf, id).join('\n')
    })
    expect(differ).toEqual([])
    expect(again.size).toBeGreaterThan(6000)
  })

  it('of a module has its types and those of the base that they need', () => {
    const base = loadBtf(corpusBtf('split/btf-rs/vmlinux.btf.xz'))
    const module = loadBtf(corpusBtf('split/btf-rs/openvswitch.btf.xz'), { base })
    const header = [...formatHeader(module)].join('\n')
    // This kernel has 32 bits: only there its structs have the sizes that they have.
    const main = `_Static_assert(sizeof(struct vport) == ${module.sizeOrType(module.idsByName('vport')[0] ?? 0)}, "");`
    expect(clangBpf(header, '', 'check').errors).toEqual([])
    expect(clangBpf(header, main, 'check', ['-target', 'i386-linux-gnu']).errors).toEqual([])
    expect(header).toContain('struct list_head {')
    expect(header.length).toBeLessThan([...formatHeader(base)].join('\n').length / 20)
  })

  it.skipIf(!havePrograms('bpftool'))('has what bpftool puts into its own (skipped without bpftool)', () => {
    const path = KERNELS['Debian 13']
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-bpftool-'))
    try {
      const file = join(dir, 'vmlinux.btf')
      writeFileSync(file, rawBtf(corpusBtf(path)))
      const theirs = execFileSync('bpftool', ['btf', 'dump', 'file', file, 'format', 'c'], {
        encoding: 'latin1',
        maxBuffer: 64 * 1024 * 1024,
      })
      const btf = loadBtf(corpusBtf(path))
      const ours = new Set(definedIn([...formatHeader(btf)].join('\n')))
      expect(definedIn(theirs).filter((name) => !ours.has(name))).toEqual([])
      // Where bpftool's header has another layout, ours is the kernel's: the first test says so.
      const errors = clangBpf(theirs, layoutAssertions(btf).join('\n'), 'check').errors
      const wrong = new Set(errors.map((line) => /"(\w+ \w+)[^"]*"$/.exec(line)?.[1]))
      expect([...wrong].filter((name) => !bpftoolGetsWrong.includes(name))).toEqual([])
      expect(wrong).toContain('struct warn_args')
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

/**
 * Of bpftool 7.1 (later ones may know better): enums of one byte get four, and with them all that has them inside; a `va_list` by value gets clang's
 * size for BPF, which is a pointer's.
 */
const bpftoolGetsWrong: readonly (string | undefined)[] = [
  'enum blk_integrity_checksum',
  'enum rw_hint',
  'struct bdev_inode',
  'struct bio',
  'struct blk_integrity',
  'struct blkdev_dio',
  'struct cros_ec_device',
  'struct dax_device',
  'struct ec_response_get_next_event_v3',
  'struct fuse_inode',
  'struct hugetlbfs_inode_info',
  'struct inode',
  'struct iomap_ioend',
  'struct mqueue_inode_info',
  'struct proc_inode',
  'struct queue_limits',
  'struct request_queue',
  'struct shmem_inode_info',
  'struct socket_alloc',
  'struct tracefs_inode',
  'struct warn_args',
  'union ec_response_get_next_data_v3',
]

function definedIn(header: string): string[] {
  return [...header.matchAll(/^(?:struct|union|enum) \w+ (?=\{)/gm)].map(([text]) => text)
}
