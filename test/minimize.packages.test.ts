import { describe, expect, it } from 'vitest'
import { expectLines } from './helpers/expect-lines.ts'
import { tellOnKernel } from './helpers/libbpf-on-kernel.ts'
import { nightly } from './helpers/nightly.ts'
import {
  PACKAGED_TIMEOUT_MS,
  packagedArches,
  PackagedCases,
  packagedKernels,
  packagedLacks,
} from './helpers/packaged-cases.ts'
import { buildRelolog } from './helpers/relolog.ts'

/**
 * The widest comparison with libbpf: the objects of all packages of Debian that have some, of three releases, on all
 * kernels of their architecture. Its log of the min BTF is its log of the full one, whatever it comes to, and what it
 * does to each instruction is what our resolver says.
 */
const program = nightly ? buildRelolog() : null
const lacking = [
  ...packagedLacks,
  ...(nightly && program === null ? ['no libbpf to build the oracle with'] : []),
]
const skipped = lacking.length > 0 ? ` (skipped: ${lacking.join(', ')})` : ''

describe.skipIf(lacking.length > 0).each(packagedArches)(
  `libbpf and the objects of Debian's packages for %s${skipped}`,
  (arch) => {
    const packaged = new PackagedCases(arch)
    const count = { pairs: 0, relocated: 0, patched: 0, poisoned: 0, refused: 0 }
    const unreached = new Map<string, number>()

    it.concurrent.each(packagedKernels(arch))('%s', { timeout: PACKAGED_TIMEOUT_MS }, (kernel) =>
      packaged.on(kernel, async (cases) => {
        for (const { name, onFull, onMin, theirs, ours } of await tellOnKernel(program ?? '', cases)) {
          expectLines(name, onMin, onFull)
          count.pairs++
          if (onFull.length === 0) {
            unreached.set(name, (unreached.get(name) ?? 0) + 1)
            continue
          }
          expectLines(name, ours, theirs)
          count.relocated++
          count.patched += theirs.filter((line) => line.includes(' = ')).length
          count.poisoned += theirs.filter((line) => line.endsWith(' poisoned')).length
          count.refused += theirs.some((line) => line.endsWith(': failed')) ? 1 : 0
        }
      }),
    )

    it('were relocated by libbpf, all but a few', () => {
      const objects = packaged.objects.length
      process.stdout.write(`${arch}: ${JSON.stringify({ objects, ...count, unreached: [...unreached] })}\n`)
      expect(objects).toBeGreaterThan(150)
      expect(count.relocated).toBeGreaterThan(count.pairs * 0.9)
    })
  },
)
