import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectLines } from './helpers/expect-lines.ts'
import { tellOnKernel } from './helpers/libbpf-on-kernel.ts'
import { havePrograms } from './helpers/machine.ts'
import { nightly } from './helpers/nightly.ts'
import {
  PACKAGED_TIMEOUT_MS,
  packagedArches,
  PackagedCases,
  packagedKernels,
  packagedLacks,
  packagedMirror,
} from './helpers/packaged-cases.ts'
import { buildRelolog } from './helpers/relolog.ts'
import { buildTodaysRelolog, type Libbpf } from './helpers/todays-libbpf.ts'

/**
 * The widest comparison with libbpf, this machine's and today's: the objects of all packages of Debian that have some,
 * of three releases, on all kernels of their architecture. Its log of the min BTF is its log of the full one, whatever
 * it comes to, and what it does to each instruction is what our resolver says.
 */
const program = nightly ? buildRelolog() : null
const lacking = [
  ...packagedLacks,
  ...(nightly && program === null ? ['no libbpf to build the oracle with'] : []),
  ...(havePrograms('objcopy', 'nm') ? [] : ['no binutils']),
]
const skipped = lacking.length > 0 ? ` (skipped: ${lacking.join(', ')})` : ''

describe.skipIf(lacking.length > 0).each(packagedArches)(
  `libbpf and the objects of Debian's packages for %s${skipped}`,
  (arch) => {
    let dir = ''
    const packaged = new PackagedCases(arch)
    const libbpfs: Libbpf[] = [{ version: 'installed', program: program ?? '' }]
    const counts = new Map<string, Count>()
    beforeAll(async () => {
      dir = mkdtempSync(join(tmpdir(), 'min-libbpf-'))
      libbpfs.push(await buildTodaysRelolog(packagedMirror ?? '', dir))
      for (const { version } of libbpfs) counts.set(version, noCount())
    }, 600_000)
    afterAll(() => rmSync(dir, { recursive: true, force: true }))

    it.concurrent.each(packagedKernels(arch))('%s', { timeout: PACKAGED_TIMEOUT_MS }, (kernel) =>
      packaged.on(kernel, async (cases) => {
        for (const { version, program } of libbpfs) {
          const count = counts.get(version) ?? noCount()
          for (const { name, onFull, onMin, theirs, ours } of await tellOnKernel(program, cases)) {
            expectLines(`${name}, libbpf ${version}`, onMin, onFull)
            count.pairs++
            if (onFull.length === 0) {
              count.unreached.add(name)
              continue
            }
            expectLines(`${name}, libbpf ${version}`, ours, theirs)
            count.relocated++
            count.patched += theirs.filter((line) => line.includes(' = ')).length
            count.poisoned += theirs.filter((line) => line.endsWith(' poisoned')).length
            count.refused += theirs.some((line) => line.endsWith(': failed')) ? 1 : 0
          }
        }
      }),
    )

    it('were relocated by libbpf, all but a few', () => {
      expect(packaged.objects.length).toBeGreaterThan(150)
      for (const [version, { unreached, ...count }] of counts) {
        const told = JSON.stringify({ objects: packaged.objects.length, ...count, unreached: [...unreached] })
        process.stdout.write(`${arch}, libbpf ${version}: ${told}\n`)
        expect(count.relocated).toBeGreaterThan(count.pairs * 0.9)
      }
    })
  },
)

/** What became of the objects on all kernels; names of those whose relocations were never come to. */
interface Count {
  pairs: number
  relocated: number
  patched: number
  poisoned: number
  refused: number
  readonly unreached: Set<string>
}

function noCount(): Count {
  return { pairs: 0, relocated: 0, patched: 0, poisoned: 0, refused: 0, unreached: new Set() }
}
