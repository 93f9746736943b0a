import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadBtf } from '../btf/index.ts'
import { KernelView, minimizeFor, parseBpfObject, prepareTool } from '../minimize/index.ts'
import { installedObjects } from './helpers/bpf-objects.ts'
import { corpusBtf, fullBtfPaths } from './helpers/btf-corpus.ts'
import { havePrograms } from './helpers/machine.ts'
import { nightly } from './helpers/nightly.ts'

/**
 * cilium/ebpf itself, as Debian packages it, on real tools and kernels: every relocation comes to the same with the min
 * BTF as with the full one, failures included. Kernels with types that its version does not know are no question for it.
 */
const GOPATH = '/usr/share/gocode'
const lacking = [
  ...(nightly ? [] : ['minutes long, make nightly runs it']),
  ...(havePrograms('go') ? [] : ['no go']),
  ...(existsSync(join(GOPATH, 'src/github.com/cilium/ebpf')) ? [] : ['no golang-github-cilium-ebpf-dev']),
  ...(installedObjects().length > 0 ? [] : ['no package with BPF objects, such as libbpf-tools']),
  ...(fullBtfPaths().length > 0 ? [] : ['no corpus of kernels']),
]
const skipped = lacking.length > 0 ? ` (skipped: ${lacking.join(', ')})` : ''
const KERNEL_TIMEOUT_MS = 600_000

describe.skipIf(lacking.length > 0)(
  `cilium/ebpf with min BTF of real tools on real kernels${skipped}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'min-cilium-'))
    const program = join(dir, 'cilium')
    const objects: { path: string; name: string; bytes: Uint8Array }[] = []
    let judged = 0

    beforeAll(() => {
      const source = new URL('./helpers/cilium/main.go', import.meta.url).pathname
      const env = { ...process.env, GOPATH, GO111MODULE: 'off', GOFLAGS: '', GOCACHE: join(dir, 'cache') }
      const built = spawnSync('go', ['build', '-o', program, source], { env, encoding: 'utf8' })
      if (built.status !== 0) throw new Error(`the oracle does not compile: ${built.stderr}`)
      for (const [i, { name, bytes }] of installedObjects().entries()) {
        const path = join(dir, `${i}.bpf.o`)
        writeFileSync(path, bytes)
        objects.push({ path, name, bytes })
      }
    })
    afterAll(() => rmSync(dir, { recursive: true, force: true }))

    it.each(fullBtfPaths())(
      '%s',
      (kernel) => {
        const bytes = corpusBtf(kernel)
        const full = join(dir, 'full.btf')
        writeFileSync(full, bytes)
        const view = new KernelView(loadBtf(bytes))
        const mins = objects.map(({ name, bytes: object }, i) => {
          const path = join(dir, `${i}.min.btf`)
          writeFileSync(path, minimizeFor(prepareTool([parseBpfObject(name, object)]), view).bytes)
          return path
        })
        const onFull = ask(objects.map(({ path }) => `${path}\t${full}`))
        const onMin = ask(objects.map(({ path }, i) => `${path}\t${mins[i]}`))
        for (const [i, { name }] of objects.entries()) {
          if (onFull[i]?.[0]?.startsWith('refused: kernel:') === true) continue
          judged++
          expect({ name, said: onMin[i] }).toEqual({ name, said: onFull[i] })
        }
      },
      KERNEL_TIMEOUT_MS,
    )

    it('was a question for it on many of them', () => expect(judged).toBeGreaterThan(objects.length * 10))

    /** What it said of each pair, line by line; ids of the kernel's types left out, since a min BTF has its own. */
    function ask(pairs: readonly string[]): string[][] {
      const input = pairs.map((pair) => `${pair}\n`).join('')
      const run = spawnSync(program, [], { input, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 })
      const said = run.stdout.split('= done\n').slice(0, -1)
      if (said.length !== pairs.length) throw new Error(`the oracle ended early: ${run.signal ?? run.stderr}`)
      return said.map((text) =>
        text
          .trim()
          .split('\n')
          .map((line) => line.replace(/(target_type_id=\d+->)\d+/, '$1ID')),
      )
    }
  },
)
