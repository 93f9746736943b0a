import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { askCilium, buildCilium, type Cilium } from './helpers/cilium.ts'
import { expectLines } from './helpers/expect-lines.ts'
import {
  PACKAGED_TIMEOUT_MS,
  packagedArches,
  PackagedCases,
  packagedKernels,
  packagedLacks,
  packagedMirror,
} from './helpers/packaged-cases.ts'

/**
 * cilium/ebpf itself, of several versions as Debian packages them, on real tools and kernels: every relocation comes
 * to the same with the min BTF as with the full one, failures included. Objects that a version cannot read, and
 * kernels with types that it does not know, are no question for it.
 */
const skipped = packagedLacks.length > 0 ? ` (skipped: ${packagedLacks.join(', ')})` : ''

describe.skipIf(packagedLacks.length > 0)(
  `cilium/ebpf and the objects of Debian's packages${skipped}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'min-cilium-'))
    let versions: Cilium[] = []
    beforeAll(async () => {
      versions = await buildCilium(packagedMirror ?? '', dir)
    }, 600_000)
    afterAll(() => rmSync(dir, { recursive: true, force: true }))

    describe.each(packagedArches)('for %s', (arch) => {
      const packaged = new PackagedCases(arch)
      const judged = new Map<string, number>()
      const unread = new Map<string, Set<string>>()

      it.each(packagedKernels(arch))('%s', { timeout: PACKAGED_TIMEOUT_MS }, (kernel) =>
        packaged.on(kernel, async (cases) => {
          for (const { version, program } of versions) {
            const onFull = await askCilium(
              program,
              cases.map(({ path, fullPath }) => ({ object: path, btf: fullPath })),
            )
            const onMin = await askCilium(
              program,
              cases.map(({ path, minPath }) => ({ object: path, btf: minPath })),
            )
            for (const [i, { object }] of cases.entries()) {
              const [full = [], min = []] = [onFull[i], onMin[i]]
              const [said = ''] = full
              if (said.startsWith('refused: kernel:')) continue
              if (said.startsWith('refused: object:')) {
                // Which of its defects comes first differs from time to time.
                unread.set(version, (unread.get(version) ?? new Set<string>()).add(object.name))
                continue
              }
              expectLines(`${object.name}, cilium/ebpf ${version}`, min, full)
              judged.set(version, (judged.get(version) ?? 0) + 1)
            }
          }
        }),
      )

      it('were a question for each version, most of them', () => {
        const pairs = packaged.objects.length * packagedKernels(arch).length
        for (const { version } of versions) {
          const names = [...(unread.get(version) ?? [])]
          process.stdout.write(
            `${arch}, ${version}: ${judged.get(version)} of ${pairs} pairs; not read: ${names.join(', ')}\n`,
          )
          expect(judged.get(version)).toBeGreaterThan(pairs / 2)
        }
      })
    })
  },
)
