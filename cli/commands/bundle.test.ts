import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeKernel } from '../../core/kernel.ts'
import { decodeCompact, type BundleItem } from '../../minimize/index.ts'
import { compileBpf, hasClang } from '../../test/helpers/clang-bpf.ts'
import { btfhub, runCli } from '../../test/helpers/cli.ts'
import { corpusDir, havePrograms } from '../../test/helpers/machine.ts'
import { wholeKernelBtf } from '../../test/helpers/whole-kernel.ts'
import { writeBundle } from '../hub/bundle-write.ts'

const SOURCE = `
struct task_struct { int pid; int start; } CORE;
SEC("raw_tp/a") int prog(struct task_struct *t) { return field_exists(t->start) ? t->start : t->pid; }
`
const able = hasClang && havePrograms('xz', 'tar')

describe.skipIf(!able)('bundles of a hub, and without one (skipped without clang for BPF, xz or tar)', () => {
  const dir = mkdtempSync(join(tmpdir(), 'bundle-cli-'))
  const data = join(dir, 'hub')
  const tree = join(dir, 'tree')
  const object = join(dir, 'tool.bpf.o')
  const env = { BTFHUB_DATA: data }

  beforeAll(async () => {
    writeFileSync(object, compileBpf(SOURCE))
    const old = wholeKernelBtf('struct old { int x; } o;')
    for (const [path, bytes] of [
      ['centos/7/x86_64/3.10.0-957.el7.x86_64', old],
      ['centos/7/x86_64/3.10.0-1160.el7.x86_64', old],
      ['debian/12/x86_64/6.1.0-56-amd64', wholeKernelBtf('struct young { int y; } y;')],
    ] as const) {
      const file = join(tree, `${path}.btf`)
      execFileSync('mkdir', ['-p', join(file, '..')])
      writeFileSync(file, bytes)
    }
    await btfhub(['import', tree], env)
    await btfhub(['tool', 'add', 'mine@1', object], env)
  })
  afterAll(() => rmSync(dir, { recursive: true }))

  const list = (file: string): string[] =>
    execFileSync('tar', ['-tf', file], { encoding: 'utf8' }).trim().split('\n')

  it('bcc: a gzip tar with every name that its tools ask for', async () => {
    const file = join(dir, 'min_core_btfs.tar.gz')
    await btfhub(['bundle', 'mine', '--layout', 'bcc', '-o', file], env)
    expect(list(file)).toContain('./"centos"/7/x86_64/3.10.0-957.el7.x86_64.btf')
    expect(list(file)).toContain('./debian/12/x86_64/6.1.0-56-amd64.btf')
  })

  it("datadog: a tar.xz of tar.xz, each with one file of the kernel's name", async () => {
    const file = join(dir, 'minimized-btfs.tar.xz')
    await btfhub(['bundle', 'mine', '--layout', 'datadog', '-o', file], env)
    expect(list(file)).toEqual([
      'centos/3.10.0-1160.el7.x86_64.btf.tar.xz',
      'centos/3.10.0-957.el7.x86_64.btf.tar.xz',
      'debian/6.1.0-56-amd64.btf.tar.xz',
    ])
    execFileSync('tar', ['-xf', file, '-C', dir])
    expect(list(join(dir, 'debian/6.1.0-56-amd64.btf.tar.xz'))).toEqual(['6.1.0-56-amd64.btf'])
  })

  it('tree: a folder in which equal contents are one file', async () => {
    const out = join(dir, 'out')
    for (const again of [1, 2]) {
      await btfhub(['bundle', 'mine', '--layout', 'tree', '-o', out], env)
      const nodes = ['3.10.0-957.el7.x86_64', '3.10.0-1160.el7.x86_64'].map(
        (release) => statSync(join(out, `centos/7/x86_64/${release}.btf`)).ino,
      )
      expect({ again, same: nodes[0] === nodes[1] }).toEqual({ again, same: true })
    }
    expect(readdirSync(join(out, 'centos/7/x86_64'))).toHaveLength(2)
  })

  it('minimize --layout gives the same bytes as the hub', async () => {
    const [ours, hubs] = [join(dir, 'a.btfs'), join(dir, 'b.btfs')]
    await btfhub(['minimize', '--object', object, '--btf', tree, '--layout', 'compact', '-o', ours])
    await btfhub(['bundle', 'mine@1', '--layout', 'compact', '-o', hubs], env)
    expect(readFileSync(ours).equals(readFileSync(hubs))).toBe(true)
    expect(decodeCompact(readFileSync(ours))).toHaveLength(3)
  })

  it.each([
    [['bundle', 'other', '--layout', 'flat', '-o', join(dir, 'x')], 3, 'no tool other'],
    [['bundle', 'mine', '--layout', 'odd', '-o', join(dir, 'x')], 2, 'odd'],
    [['bundle', 'mine', '--layout', 'flat', '--arch', 'arm64', '-o', join(dir, 'x')], 2, 'no min BTF'],
    [['minimize', '--object', object, '--btf', object, '--layout', 'bcc', '-o', join(dir, 'x')], 2, 'DISTRO'],
  ] as const)('%j ends with %i', async (args, exit, text) => {
    const { code, stderr } = await runCli(args, env)
    expect({ code, stderr }).toEqual({ code: exit, stderr: expect.stringContaining(text) as string })
  })

  it.skipIf(!havePrograms('bpftool'))(
    'minimize --compare tells what bpftool keeps otherwise, --engine bpftool runs it (skipped without bpftool)',
    async () => {
      const [btf, out] = [join(tree, 'debian/12/x86_64/6.1.0-56-amd64.btf'), join(dir, 'cut.btf')]
      const args = ['minimize', '--object', object, '--btf', btf, '-o', out]
      expect(await btfhub([...args, '--compare'])).toBe('+ int unsigned long, 8 bytes')
      const ours = readFileSync(out)
      await btfhub([...args, '--engine', 'bpftool'])
      expect(readFileSync(out).byteLength).toBeLessThan(ours.byteLength)
    },
  )
})

const corpus = corpusDir()

describe.skipIf(corpus === null)(`real min BTF${corpus === null ? ' (skipped: no corpus)' : ''}`, () => {
  it('363 files of an agent have 49 contents, and that many places on disk', async () => {
    const items: BundleItem[] = [
      ...itemsBelow(join(corpus ?? '', 'min'), (name) => name),
      ...itemsBelow(join(corpus ?? '', 'min-btfhub'), (name) => `fedora/34/${name}`),
    ]
    const out = mkdtempSync(join(tmpdir(), 'bundle-real-'))
    const written = await writeBundle('tree', items, out, new AbortController().signal)
    const inodes = new Set(
      readdirSync(out, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.btf'))
        .map((name) => statSync(join(out, name)).ino),
    )
    rmSync(out, { recursive: true })
    expect(written).toMatchObject({ names: 363, contents: 49, leftOut: [] })
    expect(inodes.size).toBe(49)
  })
})

function itemsBelow(root: string, place: (name: string) => string): BundleItem[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.btf'))
    .map((name) => {
      const parts = place(name)
        .replace(/\.btf$/, '')
        .split(sep)
      const kernel = makeKernel(...(parts as [string, string, string, string]))
      return { kernel, bytes: readFileSync(join(root, name)) }
    })
}
