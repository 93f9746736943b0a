import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ayaDifferences, ayaRefusal, buildAya, withoutIds } from './helpers/aya.ts'
import { expectLines } from './helpers/expect-lines.ts'
import { haveCargo } from './helpers/machine.ts'
import { nightly } from './helpers/nightly.ts'
import { askOracle } from './helpers/oracle-process.ts'
import {
  PACKAGED_TIMEOUT_MS,
  packagedArches,
  PackagedCases,
  packagedKernels,
  packagedLacks,
} from './helpers/packaged-cases.ts'

/** What the crates of Debian trixie ask for; Debian 12 has 1.63. */
const RUST_MINOR = 65

/**
 * aya itself, as Debian packages it, on real tools and kernels: every instruction comes out of its relocation the same
 * with the min BTF as with the full one, or it gives up with the same words; and where it does not, our resolver says
 * the same. Objects that it cannot read are no question for it.
 */
const lacking = [
  ...packagedLacks,
  ...(nightly && !haveCargo(RUST_MINOR) ? [`no cargo of Rust 1.${RUST_MINOR} or later`] : []),
]
const skipped = lacking.length > 0 ? ` (skipped: ${lacking.join(', ')})` : ''

describe.skipIf(lacking.length > 0)(`aya and the objects of Debian's packages${skipped}`, () => {
  let dir = ''
  let program = ''
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'min-aya-'))
    program = (await buildAya(dir)) ?? ''
  }, 600_000)
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  describe.each(packagedArches)('for %s', (arch) => {
    const packaged = new PackagedCases(arch)
    const count = { relocated: 0, stopped: 0 }
    const refusals = new Map<string, Set<string>>()

    it.each(packagedKernels(arch))('%s', { timeout: PACKAGED_TIMEOUT_MS }, (kernel) =>
      packaged.on(kernel, async (cases) => {
        const onFull = await askOracle(
          program,
          cases.map(({ path, fullPath }) => ({ object: path, btf: fullPath })),
        )
        const onMin = await askOracle(
          program,
          cases.map(({ path, minPath }) => ({ object: path, btf: minPath })),
        )
        for (const [i, { object, resolutions }] of cases.entries()) {
          const [full = [], min = []] = [onFull[i], onMin[i]]
          const { name } = object
          expectLines(name, withoutIds(object, min), withoutIds(object, full))
          const refusal = ayaRefusal(full)
          if (refusal === null) {
            expectLines(name, ayaDifferences(full, resolutions), [])
            count.relocated++
          } else {
            const said = refusal.replace(/\d+/g, 'N').replace(/("\w+")(?:, \1)+/, '$1 …')
            refusals.set(said, (refusals.get(said) ?? new Set()).add(name))
            if (full[0]?.startsWith('stopped') === true) count.stopped++
          }
        }
      }),
    )

    it('were relocated by it, most of them', () => {
      const pairs = packaged.objects.length * packagedKernels(arch).length
      const told = [...refusals].map(([said, names]) => `  ${said}: ${[...names].join(', ')}\n`)
      process.stdout.write(`${arch}: ${JSON.stringify({ pairs, ...count })}\n${told.join('')}`)
      expect(count.relocated).toBeGreaterThan(pairs / 2)
    })
  })
})
