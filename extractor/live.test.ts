import { createReadStream } from 'node:fs'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Btf, diffTypes, layoutDigest, parseBtf } from '../btf/index.ts'
import { checkKernelBtf } from './check-kernel-btf.ts'
import { extractBytes } from './extract.fixture.ts'
import { download, findMirror, kernelOffers, newest, type Offer, releaseOf } from './mirror.fixture.ts'
import { countCompared } from '../test/helpers/dwarf-differences.ts'
import { nightly } from '../test/helpers/nightly.ts'
import { run } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'
import type { Extracted, ExtractOptions } from './types.ts'

/** Some 450 MB come over the network the first time. */
const PATIENCE_MS = 600_000
const mirror = await findMirror()
const dir = await fileScratch()
const corpus = join(process.env['BTFHUB_CORPUS'] ?? '../shared/data', 'btf')

async function extractOffer(offer: Offer, options: Partial<ExtractOptions> = {}): Promise<Extracted> {
  const path = await download(mirror as string, offer)
  const bytes = createReadStream(path, { highWaterMark: 256 * 1024 })
  return await extractBytes(bytes, join(dir, 'temp'), { release: releaseOf(offer), ...options })
}

async function offerOf(suite: string, arch: string, name: RegExp): Promise<Offer> {
  return newest(await kernelOffers(mirror as string, suite, arch), name)
}

describe.skipIf(mirror === null)(
  'Debian’s own packages (skipped where apt’s mirror does not answer)',
  { timeout: PATIENCE_MS },
  () => {
    it.each([
      ['bullseye', 'amd64', /^linux-image-\d.*-cloud-amd64$/],
      ['bookworm', 'amd64', /^linux-image-\d.*-cloud-amd64$/],
      ['trixie', 'amd64', /^linux-image-\d.*-cloud-amd64$/],
      // Since 7.2 the image is in a package of its own, and linux-image an empty one.
      ['trixie-backports', 'amd64', /^linux-binary-(unsigned-)?\d.*-cloud-amd64$/],
      ['bullseye', 'arm64', /^linux-image-\d.*-cloud-arm64$/],
      ['bookworm', 'arm64', /^linux-image-\d.*-cloud-arm64$/],
      ['trixie', 'arm64', /^linux-image-\d.*-cloud-arm64$/],
    ])('the newest cloud kernel of %s on %s carries BTF', async (suite, arch, name) => {
      const offer = await offerOf(suite, arch, name)
      const found = await extractOffer(offer)
      expect(found).toMatchObject({
        origin: 'embedded',
        sha256: offer.sha256,
        bytesRead: offer.sizeBytes,
        warnings: [],
      })
      expect(found.buildId).toMatch(/^[0-9a-f]{40}$/)
      expect(found.banner).toMatch(`Linux version ${releaseOf(offer)} (`)
      expect(checkKernelBtf(found.btf)).toEqual([])
      const early = await extractOffer(offer, { readToEnd: false })
      expect(Buffer.from(early.btf).equals(found.btf)).toBe(true)
      expect(early.sha256).toBeNull()
      expect(early.bytesRead).toBeLessThan(offer.sizeBytes)
    })

    it('gives what the corpus has of the same release', async (context) => {
      const known = join(corpus, 'debian/11/x86_64/5.10.0-30-cloud-amd64.btf.xz')
      const there = await readFile(known).catch(() => null)
      const offers = await kernelOffers(mirror as string, 'bullseye', 'amd64')
      const offer = offers.find((one) => one.name === 'linux-image-5.10.0-30-cloud-amd64')
      if (there === null || offer === undefined)
        return context.skip('the corpus or the mirror no longer has that release')
      const found = await extractOffer(offer)
      expect(Buffer.from(found.btf).equals(run('xz', ['-dc', known]))).toBe(true)
    })
  },
)

describe.skipIf(mirror === null)(
  'Debian 12’s debug package (skipped where apt’s mirror does not answer)',
  () => {
    let offer: Offer
    let vmlinux: string
    let section: Buffer

    beforeAll(async () => {
      offer = await offerOf('bookworm', 'amd64', /^linux-image-\d.*-cloud-amd64-dbg$/)
      const deb = await download(mirror as string, offer)
      const path = `./usr/lib/debug/boot/vmlinux-${releaseOf(offer)}`
      await mkdir(join(dir, 'oracle'))
      // tar leaves when it has the file, which dpkg-deb calls an error.
      const unpack = 'dpkg-deb --fsys-tarfile "$0" 2>/dev/null | tar -x -C "$1" --occurrence=1 "$2"'
      run('sh', ['-c', unpack, deb, join(dir, 'oracle'), path])
      vmlinux = join(dir, 'oracle', path)
      run('objcopy', [`--dump-section=.BTF=${join(dir, 'section')}`, vmlinux, '/dev/null'])
      section = await readFile(join(dir, 'section'))
    })

    it('has byte for byte the BTF, and the build-id, that the image has', async () => {
      const image = await extractOffer(
        await offerOf('bookworm', 'amd64', new RegExp(`^linux-image-${releaseOf(offer)}$`)),
      )
      const debug = await extractOffer(offer, { readToEnd: false })
      expect(Buffer.from(image.btf).equals(section)).toBe(true)
      expect(Buffer.from(debug.btf).equals(section)).toBe(true)
      const buildId = /Build ID: ([0-9a-f]+)/.exec(run('readelf', ['-n', vmlinux]).toString())?.[1]
      expect(image.buildId).toBe(buildId)
      expect(debug).toMatchObject({ buildId, banner: image.banner, origin: 'embedded' })
      expect(debug.bytesRead).toBeLessThan(offer.sizeBytes / 5)
    })

    it('encodes to what pahole makes of that vmlinux, which agrees with the embedded BTF on every type', async () => {
      const found = await extractOffer(offer, { forceDwarf: true })
      expect(found).toMatchObject({ origin: 'dwarf', sha256: offer.sha256, bytesRead: offer.sizeBytes })
      const expected = join(dir, 'expected.btf')
      run('pahole', [...(found.paholeFlags ?? []), `--btf_encode_detached=${expected}`, vmlinux])
      expect(Buffer.from(found.btf).equals(await readFile(expected))).toBe(true)
      const embedded = parseBtf(new Uint8Array(section))
      expect(countCompared(embedded).structs).toBeGreaterThan(7000)
      expect([...diffTypes(embedded, parseBtf(found.btf))]).toEqual([])
    }, 300_000)

    it.skipIf(!nightly)(
      'encodes to the same types after dwz went over it, alone or with another file (nightly)',
      async () => {
        const copies = ['alone', 'one', 'two'].map((name) => join(dir, name)) as [string, string, string]
        const [alone, one, two] = copies
        for (const copy of copies) await copyFile(vmlinux, copy)
        // Without, dwz leaves what has as many entries as a kernel alone.
        const many = ['-l', '1000000000', '-L', '1000000000']
        run('dwz', [...many, alone])
        run('dwz', [...many, '-m', join(dir, 'common'), '-M', 'common', one, two])
        const encoded = async (path: string): Promise<Btf> => {
          const bytes = createReadStream(path, { highWaterMark: 1 << 20 })
          const options = { forceDwarf: true, localPath: path }
          return parseBtf((await extractBytes(bytes, join(dir, 'temp'), options)).btf)
        }
        const plain = await encoded(vmlinux)
        for (const path of [alone, one]) {
          const found = await encoded(path)
          expect(layoutDigest(found), path).toBe(layoutDigest(plain))
          expect([...diffTypes(plain, found)], path).toEqual([])
        }
      },
      3 * PATIENCE_MS,
    )
  },
)
