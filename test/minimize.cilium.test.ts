import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeBtf } from '../btf/index.ts'
import { t } from './helpers/btf-bytes.ts'
import { askCilium, buildCilium, type Cilium } from './helpers/cilium.ts'
import { compileBpf, hasClang } from './helpers/clang-bpf.ts'
import { expectLines } from './helpers/expect-lines.ts'
import { havePrograms } from './helpers/machine.ts'
import { oracleCases, oracleObjects } from './helpers/oracle-objects.ts'
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
    let dir = ''
    let versions: Cilium[] = []
    beforeAll(async () => {
      dir = mkdtempSync(join(tmpdir(), 'min-cilium-'))
      versions = await buildCilium(packagedMirror ?? '', dir)
    }, 600_000)
    afterAll(() => rmSync(dir, { recursive: true, force: true }))

    it.skipIf(!hasClang || !havePrograms('bpftool'))(
      'refuses what bpftool leaves of types of one name, and takes what we leave (skipped without clang or bpftool)',
      async () => {
        const kernel = encodeBtf([
          t.int('int'),
          t.struct('s', 8, [t.member('a', 1, 0), t.member('b', 1, 4)]),
          t.struct('s', 12, [t.member('a', 1, 8), t.member('b', 1, 4), t.member('c', 1, 0)]),
        ])
        const bytes = compileBpf(`struct s { int b; int c; } CORE; volatile u64 sink;
        SEC("raw_tp/x") int handler(struct s *s) { sink = s->b; sink = s->c; return 0; }`)
        const work = mkdtempSync(join(dir, 'twice-'))
        const [twice] = oracleCases(oracleObjects([{ name: 'twice', bytes }], work), kernel, work)
        if (twice === undefined) throw new Error('no case')
        const { path, fullPath, minPath } = twice
        const theirs = join(work, 'bpftool.btf')
        execFileSync('bpftool', ['gen', 'min_core_btf', fullPath, theirs, path])
        for (const { program } of versions) {
          const pairs = [fullPath, minPath, theirs].map((btf) => ({ object: path, btf }))
          const [onFull = [], onMin = [], onTheirs = []] = await askCilium(program, pairs)
          expect(onFull).toEqual(['handler#0: byte_off=0->4', 'handler#1: byte_off=4->0'])
          expect(onMin).toEqual(onFull)
          expect(onTheirs[0]).toBe('handler: refused')
        }
      },
    )

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
