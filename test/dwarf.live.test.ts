import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { diffTypes, formatDiff, parseBtf } from '../btf/index.ts'
import { packageRoot } from '../core/version.ts'
import { extractBytes } from '../extractor/extract.fixture.ts'
import type { Extracted, ExtractOptions } from '../extractor/index.ts'
import {
  download,
  findMirror,
  kernelOffers,
  newest,
  type Offer,
  releaseOf,
} from '../extractor/mirror.fixture.ts'
import { makeRpm, writeRpm } from '../extractor/rpm.fixture.ts'
import { run } from '../extractor/run.fixture.ts'
import { fileScratch } from '../extractor/scratch.fixture.ts'
import { countCompared, type Reason, REASONS, reasonFor } from './helpers/dwarf-differences.ts'
import { havePrograms } from './helpers/machine.ts'
import { nightly } from './helpers/nightly.ts'

const isPossible = nightly && havePrograms('pahole', 'rpmbuild', 'dpkg-deb')
const mirror = isPossible ? await findMirror() : null
const dir = await fileScratch()
const docs = await readFile(join(packageRoot, 'docs/dwarf.md'), 'utf8')

/** A package is some 300 MB, its vmlinux 600 MB; on a busy machine each step takes minutes. */
const PATIENCE_MS = 3600_000

/** One alone: `BTFHUB_NIGHTLY=1 npx vitest run test/dwarf.live.test.ts -t '6.1 on arm64'`. */
const SERIES: readonly [series: string, arch: string, suite: string][] = [
  ['5.10', 'amd64', 'bullseye'],
  ['5.10', 'arm64', 'bullseye'],
  ['6.1', 'amd64', 'bookworm'],
  ['6.1', 'arm64', 'bookworm'],
  ['6.12', 'amd64', 'trixie'],
  ['6.12', 'arm64', 'trixie'],
]

it('docs/dwarf.md explains each reason for which DWARF and BTF may differ', () => {
  const headings = [...docs.matchAll(/^- \*\*(\w+)\*\*:/gm)].map(([, name]) => name)
  expect(headings).toEqual(REASONS)
})

describe.skipIf(mirror === null)(
  'Debian’s debug packages (nightly; skipped where apt’s mirror does not answer)',
  { timeout: PATIENCE_MS },
  () => {
    describe.each(SERIES)('of %s on %s', (series, arch, suite) => {
      let offer: Offer
      let deb: string
      let embedded: Extracted
      let encoded: Extracted

      beforeAll(async () => {
        const offers = await kernelOffers(mirror as string, suite, arch)
        offer = newest(offers, new RegExp(`^linux-image-${series}\\.\\d.*-cloud-${arch}-dbg$`))
        deb = await download(mirror as string, offer)
        embedded = await extractDeb({ readToEnd: false })
        encoded = await extractDeb({ forceDwarf: true })
      }, PATIENCE_MS)

      const extractDeb = (options: Partial<ExtractOptions>): Promise<Extracted> =>
        extractBytes(createReadStream(deb, { highWaterMark: 1 << 20 }), join(dir, 'temp'), {
          release: releaseOf(offer),
          ...options,
        })

      it('say the same in DWARF and in BTF, but for what docs/dwarf.md explains', () => {
        expect([embedded.origin, encoded.origin, encoded.warnings]).toEqual(['embedded', 'dwarf', []])
        expect(encoded.sha256).toBe(offer.sha256)
        const [own, made] = [parseBtf(embedded.btf), parseBtf(encoded.btf)]
        const changes = [...diffTypes(own, made)]
        const unexplained = changes.filter((change) => reasonFor(change) === null)
        expect([...formatDiff(unexplained)].join('\n')).toBe('')
        const count = (reason: Reason): number =>
          changes.filter((change) => reasonFor(change) === reason).length
        const { structs, members, enums, typedefs } = countCompared(own)
        expect(structs).toBeGreaterThan(6000)
        const row = [releaseOf(offer), structs, members, enums, typedefs, ...REASONS.map(count)].map(String)
        // The mirror may have a newer kernel by now, of which the table does not tell.
        const told = docs
          .split('\n')
          .map(cellsOf)
          .find(([release]) => release === row[0])
        expect(told ?? row).toEqual(row)
      })

      it.each([
        ['EL 7, with xz', xzRpm],
        ['EL 9, with zstd', zstdRpm],
      ])('give the same as RPM packages of %s', async (_, wrap) => {
        const release = releaseOf(offer)
        const rpm = await wrap({ [`usr/lib/debug/lib/modules/${release}/vmlinux`]: vmlinuxIn(deb, release) })
        const found = await extractBytes(rpm, join(dir, 'temp'), { release, forceDwarf: true })
        expect(Buffer.from(found.btf).equals(encoded.btf)).toBe(true)
        const { buildId, banner } = embedded
        expect(found).toMatchObject({ buildId, banner, paholeFlags: encoded.paholeFlags, warnings: [] })
      })
    })
  },
)

type Files = Readonly<Record<string, Uint8Array>>

/** A header as RPM 4.11 writes it, without digests of the payload. */
async function xzRpm(files: Files): Promise<Buffer> {
  return writeRpm(files, { style: '4.11', compression: 'xz' })
}

async function zstdRpm(files: Files): Promise<Buffer> {
  return await makeRpm(files, 'zstd')
}

function vmlinuxIn(deb: string, release: string): Buffer {
  // tar leaves when it has the file, which dpkg-deb calls an error.
  const unpack = 'dpkg-deb --fsys-tarfile "$0" 2>/dev/null | tar xO --occurrence=1 "$1"'
  return run('sh', ['-c', unpack, deb, `./usr/lib/debug/boot/vmlinux-${release}`])
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''))
}
