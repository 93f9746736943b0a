import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Btf, loadBtf, parseBtf } from '../btf/index.ts'
import { minimizeFor, parseBpfObject, prepareTool } from '../minimize/index.ts'
import { type FoundObject, installedObjects } from './helpers/bpf-objects.ts'
import { corpusBtf, fullBtfPaths } from './helpers/btf-corpus.ts'
import { expectLines } from './helpers/expect-lines.ts'
import { namesIn } from './helpers/core-case.ts'
import { havePrograms } from './helpers/machine.ts'
import { buildRelolog } from './helpers/relolog.ts'
import { tellOnKernel } from './helpers/libbpf-on-kernel.ts'
import { oracleCases, type OracleObject, oracleObjects } from './helpers/oracle-objects.ts'

/**
 * Real tools on real kernels: what libbpf's log says of each relocation is the same with the min BTF as with the full
 * one, and is what our resolver says. All objects and all kernels; the few objects whose relocations libbpf
 * never reaches would be named. More objects: BTFHUB_BPF_OBJECTS=DIR:DIR.
 */
/** All objects on one kernel, while four others are under way. */
const KERNEL_TIMEOUT_MS = 300_000

const program = buildRelolog()
const found: readonly FoundObject[] = installedObjects()
const kernels: readonly string[] = fullBtfPaths()
const lacking = [
  ...(program === null ? ['no libbpf to build the oracle with'] : []),
  ...(found.length === 0 ? ['no package with BPF objects, such as libbpf-tools'] : []),
  ...(kernels.length === 0 ? ['no corpus of kernels'] : []),
]
const skipped = lacking.length > 0 ? ` (skipped: ${lacking.join(', ')})` : ''

describe.skipIf(lacking.length > 0)(`min BTF of real tools on real kernels${skipped}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'min-oracle-'))
  let objects: OracleObject[] = []

  beforeAll(() => {
    objects = oracleObjects(found, dir)
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it('there are objects with relocations, and without', () => {
    expect(objects.filter(({ object }) => object.relocations.length > 0).length).toBeGreaterThan(40)
    expect(objects.filter(({ object }) => object.relocations.length === 0).length).toBeGreaterThan(0)
  })

  it.concurrent.each(kernels)(
    '%s',
    async (kernel) => {
      const work = mkdtempSync(join(dir, 'kernel-'))
      const relocated = objects.filter(({ object }) => object.relocations.length > 0)
      const cases = oracleCases(relocated, corpusBtf(kernel), work)
      for (const { name, onFull, onMin, theirs, ours } of await tellOnKernel(program ?? '', cases)) {
        expectLines(name, onMin, onFull)
        expectLines(name, ours, theirs)
      }
      rmSync(work, { recursive: true })
    },
    KERNEL_TIMEOUT_MS,
  )
})

const bpftool = havePrograms('bpftool')
const noBpftool = bpftool ? skipped : ' (skipped: no bpftool)'

describe.skipIf(lacking.length > 0 || !bpftool)(
  `bpftool gen min_core_btf as second opinion${noBpftool}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'min-bpftool-'))
    afterAll(() => rmSync(dir, { recursive: true, force: true }))

    /** Each object once and each kernel once, and more often where there are more of the other. */
    const count = Math.max(found.length, kernels.length)
    const spread = Array.from({ length: lacking.length > 0 ? 0 : count }, (_, i) => ({
      object: found[i % found.length] as FoundObject,
      kernel: kernels[i % kernels.length] as string,
    }))

    it.each(spread.map(({ object, kernel }) => [object.name, kernel, object] as const))(
      '%s on %s: what bpftool keeps, we keep',
      (name, kernel, { bytes }) => {
        const work = mkdtempSync(join(dir, 'case-'))
        const full = corpusBtf(kernel)
        const theirs = runBpftool(work, bytes, full)
        const target = loadBtf(full)
        const ours = parseBtf(minimizeFor(prepareTool([parseBpfObject(name, bytes)]), target).bytes)
        rmSync(work, { recursive: true })
        if (typeof theirs === 'string') {
          // Its known defects: objects without .BTF.ext, ambiguous relocations, declarations in chains.
          expect(theirs).toMatch(/Failed to (parse|apply)|CO-RE|relo|unsupported kind|Invalid argument|\.BTF/)
          return
        }
        const kept = new Set(namesIn(ours))
        expect(namesIn(theirs).filter((each) => !kept.has(each))).toEqual([])
      },
    )
  },
)

/** What bpftool cuts out; its complaint where it fails. */
function runBpftool(work: string, object: Uint8Array, full: Uint8Array): Btf | string {
  const [objectPath, fullPath, minPath] = ['o.bpf.o', 'full.btf', 'min.btf'].map((name) =>
    join(work, name),
  ) as [string, string, string]
  writeFileSync(objectPath, object)
  writeFileSync(fullPath, full)
  const run = spawnSync('bpftool', ['gen', 'min_core_btf', fullPath, minPath, objectPath], {
    encoding: 'utf8',
  })
  if (run.status !== 0) return `${run.stderr}${run.stdout}`
  return loadBtf(readFileSync(minPath))
}
