import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  COMPAT_LEVELS,
  type CompatLevel,
  layoutDigest,
  loadBtf,
  lowerBtf,
  parseBtf,
  validateBtf,
} from '../btf/index.ts'
import { download, findMirror } from '../extractor/mirror.fixture.ts'
import { corpusBtf, fullBtfPaths } from './helpers/btf-corpus.ts'
import { kernelSays, libbpfSays } from './helpers/btfload.ts'
import { canLoadBpf } from './helpers/machine.ts'
import { readAsOld } from './helpers/old-reader.ts'

const CEILINGS: Readonly<Record<CompatLevel, number>> = { '0.3': 15, '0.4': 16, '0.6': 18, '1.0': 19 }
const isNightly = process.env['BTFHUB_NIGHTLY'] === '1'
/** The oldest, the newest and one between, or all. */
const corpus = fullBtfPaths().filter(
  (path) => isNightly || /^(?:centos\/7\/.*1160\.el7|debian\/13|mainline\/2026)/.test(path),
)

describe.skipIf(corpus.length === 0)('real kernels, lowered (skipped without a corpus)', () => {
  it.each(corpus)('%s is read by readers of old, and lays types out as before', (path) => {
    const btf = loadBtf(corpusBtf(path))
    for (const level of COMPAT_LEVELS) {
      const lowered = parseBtf(lowerBtf(btf, level))
      expect(readAsOld(lowered.bytes, CEILINGS[level])).toHaveLength(btf.idCount - 1)
      validateBtf(lowered)
      if (level === '1.0') expect(layoutDigest(lowered)).toBe(layoutDigest(btf))
    }
  })
})

const own = '/sys/kernel/btf/vmlinux'

describe.skipIf(!canLoadBpf())('this machine’s kernel (skipped where it has no BTF, or takes none)', () => {
  it.each(COMPAT_LEVELS)('takes its own BTF lowered to %s', (level) => {
    const lowered = lowerBtf(parseBtf(new Uint8Array(readFileSync(own))), level)
    expect(kernelSays(lowered)).toBe('loaded')
  })
})

const mirror = isNightly ? await findMirror() : null
/** Of Debian 11: the last that knows neither FLOAT nor tags. */
const OLD_LIBBPF = {
  name: 'libbpf0',
  filename: 'pool/main/libb/libbpf/libbpf0_0.3-2_amd64.deb',
  sizeBytes: 98280,
  sha256: '21775f2ae3e1221dab6b9cbb7743df54f751b831e89e005a6f3ce951ba3a30b9',
}

describe.skipIf(mirror === null || !canLoadBpf() || process.arch !== 'x64')(
  'libbpf 0.3 of Debian 11 (nightly; skipped where apt’s mirror does not answer)',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-libbpf-'))
    afterAll(() => rmSync(dir, { recursive: true, force: true }))

    it('reads a kernel of today when it is lowered to 0.3, and refuses every higher level', async () => {
      const deb = await download(mirror as string, OLD_LIBBPF)
      execFileSync('dpkg-deb', ['-x', deb, dir])
      const library = join(dir, 'usr/lib/x86_64-linux-gnu/libbpf.so.0')
      const btf = parseBtf(new Uint8Array(readFileSync(own)))
      const [taskStruct = 0] = btf.idsByName('task_struct')
      const says = Object.fromEntries(
        COMPAT_LEVELS.map((level) => [level, libbpfSays(library, lowerBtf(btf, level))]),
      )
      expect(says).toEqual({
        '0.3': `task_struct ${btf.sizeOrType(taskStruct)}`,
        '0.4': 'refused: -22',
        '0.6': 'refused: -22',
        '1.0': 'refused: -22',
      })
    })
  },
)
