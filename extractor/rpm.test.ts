import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { makeDeb } from './deb.fixture.ts'
import { extractBytes } from './extract.fixture.ts'
import { bzImage, compress, payload } from './image.fixture.ts'
import { makeKernel, type SampleKernel } from './kernel.fixture.ts'
import { makeRpm, RPM_COMPRESSIONS, type RpmCompression, writeRpm } from './rpm.fixture.ts'
import { readRpmHead } from './rpm.ts'
import { chunks, run, streamOf } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'
import { ExtractError } from './types.ts'

const dir = await fileScratch()
let kernel: SampleKernel
let other: SampleKernel
let image: Buffer
let vmlinux: Buffer
let withoutBtf: Buffer
let debugPath: string

beforeAll(async () => {
  kernel = await makeKernel(join(dir, 'kernel'), '4.18.0-348.el8.x86_64')
  other = await makeKernel(join(dir, 'other'), '4.18.0-348.el8.x86_64+debug')
  image = bzImage(payload('gzip', kernel.stripped))
  vmlinux = await readFile(kernel.vmlinux)
  withoutBtf = await readFile(kernel.withoutBtf)
  debugPath = `usr/lib/debug/lib/modules/${kernel.release}/vmlinux`
})

const temp = (): string => join(dir, 'temp')

function expectWhole(found: Awaited<ReturnType<typeof extractBytes>>, origin = 'embedded'): void {
  expect(Buffer.from(found.btf).equals(kernel.btf)).toBe(true)
  expect(found).toMatchObject({ origin, buildId: kernel.buildId, banner: kernel.banner, warnings: [] })
}

describe('a package of rpmbuild', () => {
  it.each(Object.keys(RPM_COMPRESSIONS) as RpmCompression[])(
    'gives what a Debian package of the same vmlinux gives, its payload stored as %s',
    async (compression) => {
      const rpm = await makeRpm({ [debugPath]: withoutBtf, 'usr/share/doc/x': image }, compression)
      const deb = await makeDeb({ [`usr/lib/debug/boot/vmlinux-${kernel.release}`]: withoutBtf })
      const [fromRpm, fromDeb] = [await extractBytes(rpm, temp()), await extractBytes(deb, temp())]
      expect(sha256Of(fromRpm.btf)).toBe(sha256Of(fromDeb.btf))
      expect(fromRpm).toMatchObject({ origin: 'dwarf', banner: kernel.banner, sha256: sha256Of(rpm) })
    },
  )

  it('is read as rpm2cpio and bsdtar read it', async () => {
    const files = { [debugPath]: vmlinux, 'boot/link': { linkTo: 'elsewhere' }, 'boot/x': Buffer.from('x') }
    const path = join(dir, 'oracle.rpm')
    await writeFile(path, await makeRpm(files, 'xz'))
    const head = await readRpmHead(streamOf(await readFile(path)))
    const listed = run('bsdtar', ['-tf', path]).toString().trim().split('\n')
    expect(head.files.map((file) => `.${file.path}`)).toEqual(listed)
    expect(head).toMatchObject({ packageName: 'kernel-sample', compressor: 'xz' })
    expect(head.files.find((file) => file.path === `/${debugPath}`)?.sizeBytes).toBe(vmlinux.byteLength)
    const archive = run('rpm2cpio', [path])
    const unpacked = run('cpio', ['--quiet', '-i', '--to-stdout', `./${debugPath}`], archive)
    expect(Buffer.from((await extractBytes(unpacked, temp())).btf).equals(kernel.btf)).toBe(true)
  })

  it.each([
    (release: string) => `boot/vmlinuz-${release}`,
    (release: string) => `lib/modules/${release}/vmlinuz`,
    (release: string) => `usr/lib/modules/${release}/vmlinuz`,
  ])('finds the image at %s', async (path) => {
    const files = { [path(kernel.release)]: image, [`lib/modules/${kernel.release}/System.map`]: image }
    expectWhole(await extractBytes(await makeRpm(files), temp()))
  })

  it('finds an ELF that is compressed by itself, and DWARF beside what was stripped, as SUSE has them', async () => {
    const elf = { [`boot/vmlinux-${kernel.release}.gz`]: compress('gzip', vmlinux) }
    expectWhole(await extractBytes(await makeRpm(elf), temp(), { release: kernel.release }))
    const twin = join(dir, 'twin.debug')
    run('objcopy', ['--only-keep-debug', kernel.withoutBtf, twin])
    const debug = { [`usr/lib/debug/boot/vmlinux-${kernel.release}.debug`]: await readFile(twin) }
    const found = await extractBytes(await makeRpm(debug), temp(), { release: kernel.release })
    expect(Buffer.from(found.btf).equals(kernel.btf)).toBe(true)
    expect(found.origin).toBe('dwarf')
  })

  it('passes over what the header lists and the payload does not have', async () => {
    const files = {
      [`boot/vmlinuz-${kernel.release}`]: { ghost: true },
      [`lib/modules/${kernel.release}/vmlinuz`]: image,
    } as const
    expectWhole(await extractBytes(await makeRpm(files), temp()))
  })

  it('takes a kernel whose bytes come under a later name of it', async () => {
    const files = { [debugPath]: vmlinux, 'usr/lib/debug/zzz': { sameAs: debugPath } }
    const rpm = await makeRpm(files, 'gzip')
    expectWhole(await extractBytes(rpm, temp(), { release: kernel.release }))
  })

  it('keeps a kernel and its debug build apart, and refuses to choose', async () => {
    const files = {
      [debugPath]: vmlinux,
      [`usr/lib/debug/lib/modules/${other.release}/vmlinux`]: await readFile(other.vmlinux),
    }
    const rpm = await makeRpm(files)
    expectWhole(await extractBytes(rpm, temp(), { release: kernel.release }))
    expect((await extractBytes(rpm, temp(), { release: other.release })).buildId).toBe(other.buildId)
    await expect(extractBytes(rpm, temp())).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('say which one') as string,
    })
  })

  it.each([
    [
      'a decompressor',
      (r: string) => `usr/lib/debug/lib/modules/${r}/build/arch/x86/boot/compressed/vmlinux`,
    ],
    ['a source tree', (r: string) => `usr/src/kernels/${r}/vmlinux`],
    ['a module called after it', (r: string) => `usr/lib/debug/lib/modules/${r}/kernel/vmlinux.ko.debug`],
  ])('does not take %s for the kernel, and unpacks nothing to know it', async (_, path) => {
    const rpm = await makeRpm({
      [path(kernel.release)]: vmlinux,
      'usr/noise': run('openssl', ['rand', '3000000']),
    })
    const wanted = { release: kernel.release, readToEnd: false }
    let read = 0
    const onProgress = (_phase: string, bytes: number): void => void (read = bytes)
    await expect(extractBytes(chunks(rpm, 4096), temp(), { ...wanted, onProgress })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('it has none at all') as string,
    })
    expect(read).toBeLessThan(20_000)
  })

  it('is read no further than its kernel, whether or not that has BTF and a release is named', async () => {
    const noise = run('openssl', ['rand', '4000000'])
    const bare = bzImage(payload('gzip', await readFile(kernel.bare)))
    const rpm = await makeRpm({ [`boot/vmlinuz-${kernel.release}`]: image, 'lib/noise': noise }, 'gzip')
    const found = await extractBytes(chunks(rpm, 4096), temp(), { readToEnd: false })
    expectWhole(found)
    expect(found.sha256).toBeNull()
    expect(found.bytesRead).toBeLessThan(2_000_000)
    const without = await makeRpm({ [`boot/vmlinuz-${kernel.release}`]: bare, 'lib/noise': noise }, 'gzip')
    let read = 0
    const onProgress = (_phase: string, bytes: number): void => void (read = bytes)
    await expect(extractBytes(chunks(without, 4096), temp(), { onProgress })).rejects.toMatchObject({
      code: 'NO_BTF',
    })
    expect(read).toBeLessThan(2_000_000)
  })
})

describe('a package by hand, for what rpmbuild does not write today', () => {
  const styles = ['4.11', '4.14', '6'] as const

  it.each(styles)(
    'in the manner of rpm %s is one that rpm takes and that gives the same BTF',
    async (style) => {
      for (const compression of ['xz', 'zstd', 'gzip', 'none'] as const) {
        const rpm = writeRpm({ 'usr/a': image, [debugPath]: vmlinux }, { style, compression })
        const path = join(dir, `hand-${style}.rpm`)
        await writeFile(path, rpm)
        // RPM 4.18 reads the parts of version 6 that are here; it has no name for the lack of older digests.
        const checked = run('rpm', ['-K', '--nosignature', path]).toString()
        expect(checked).toMatch(/digests OK/)
        expectWhole(await extractBytes(rpm, temp()))
        expectWhole(await extractBytes(chunks(rpm, 4099), temp(), { readToEnd: false }))
      }
    },
  )

  it('with a stripped payload is unpacked as rpm2archive unpacks it, names of one file included', async () => {
    const files = { [debugPath]: vmlinux, 'usr/b': image, 'usr/zzz': vmlinux }
    const rpm = writeRpm(files, { style: '6', compression: 'zstd' })
    const path = join(dir, 'stripped.rpm')
    await writeFile(path, rpm)
    run('rpm2archive', [path])
    const unpacked = run('tar', ['-xzOf', `${path}.tgz`, `./${debugPath}`])
    expect(unpacked.equals(vmlinux)).toBe(true)
    expectWhole(await extractBytes(rpm, temp(), { release: kernel.release }))
  })

  it.each(styles)(
    'of rpm %s with one bit of its payload changed is refused, behind the kernel too',
    async (style) => {
      const noise = run('openssl', ['rand', '1000000'])
      const rpm = writeRpm({ [debugPath]: vmlinux, 'usr/zzz': noise }, { style, compression: 'gzip' })
      rpm[rpm.byteLength - 300_000]! ^= 1
      await expect(extractBytes(rpm, temp())).rejects.toMatchObject({
        code: 'MALFORMED',
        message: expect.stringContaining(`payload has ${style === '4.11' ? 'md5' : 'sha256'}`) as string,
      })
      expectWhole(await extractBytes(rpm, temp(), { readToEnd: false }))
    },
  )

  it.each(styles)('of rpm %s with one bit of its header changed is refused', async (style) => {
    const rpm = writeRpm({ [debugPath]: vmlinux }, { style })
    rpm[rpm.indexOf('kernel-sample', 120)]! ^= 1
    await expect(extractBytes(rpm, temp())).rejects.toMatchObject({
      code: 'MALFORMED',
      message: expect.stringMatching(/RPM header has sha(1|256)/) as string,
    })
  })
})

describe('a package that is not well', () => {
  const plain = (how = {}): Buffer => writeRpm({ [debugPath]: vmlinux }, how)

  it('is told wherever it is cut', async () => {
    const rpm = plain({ compression: 'none' })
    const headEnd = rpm.indexOf('07070')
    for (const cut of [
      4,
      95,
      96,
      111,
      112,
      130,
      200,
      headEnd - 1,
      headEnd,
      headEnd + 50,
      rpm.byteLength >> 1,
    ]) {
      await expect(extractBytes(rpm.subarray(0, cut), temp()), `cut at ${cut}`).rejects.toMatchObject({
        code: 'MALFORMED',
      })
    }
  })

  it.each([
    ['a source package', (rpm: Buffer) => rpm.writeUInt16BE(1, 6), 'UNSUPPORTED'],
    ['a lead of another version', (rpm: Buffer) => rpm.writeUInt8(2, 4), 'UNSUPPORTED'],
    ['another magic of its signature', (rpm: Buffer) => rpm.writeUInt8(0, 96), 'MALFORMED'],
    ['an index without end', (rpm: Buffer) => rpm.writeUInt32BE(0xffffffff, 104), 'LIMIT'],
    [
      'a store without end',
      (rpm: Buffer) => rpm.writeUInt32BE(limits.package.maxRpmHeaderBytes, 108),
      'LIMIT',
    ],
  ] as const)('%s is refused', async (_, change, code) => {
    const rpm = plain()
    change(rpm)
    await expect(extractBytes(rpm, temp())).rejects.toMatchObject({ code })
  })

  it('a delta package and an unknown compression are named', async () => {
    await expect(extractBytes(plain({ payloadFormat: 'drpm' }), temp())).rejects.toThrow(/format drpm/)
    const rpm = plain({ style: '4.11', compression: 'none' })
    rpm.write('LZIP', rpm.indexOf('070701'), 'latin1')
    await expect(extractBytes(rpm, temp())).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('a size that the header lies about is told where the bytes end, or before there are any', async () => {
    const rpm = plain({ style: '6', compression: 'none', sizes: { [debugPath]: vmlinux.byteLength + 4096 } })
    await expect(extractBytes(rpm, temp(), { forceDwarf: true })).rejects.toMatchObject({ code: 'MALFORMED' })
    const huge = plain({ style: '6', sizes: { [debugPath]: limits.vmlinux.maxBytes + 1 } })
    await expect(extractBytes(huge, temp())).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it('paths that lead out of the package are only names', async () => {
    const rpm = writeRpm({ [`../../boot/vmlinuz-${kernel.release}`]: image, [debugPath]: vmlinux })
    expectWhole(await extractBytes(rpm, temp()))
  })

  it('whatever is changed of it, the outcome is BTF or the extractor’s own error', async () => {
    const change = fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255))
    const packages = (['4.11', '4.14', '6'] as const).flatMap((style) =>
      (['none', 'gzip'] as const).map((compression) =>
        writeRpm({ 'usr/a': vmlinux, [debugPath]: vmlinux }, { style, compression }),
      ),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.nat(packages.length - 1),
        fc.array(change, { minLength: 1, maxLength: 8 }),
        fc.constantFrom(700, 2500, Infinity),
        fc.boolean(),
        async (which, changes, span, isSealed) => {
          const rpm = Buffer.from(packages[which] as Buffer)
          for (const [at, value] of changes) rpm[Math.floor(at * Math.min(span, rpm.byteLength))] = value
          if (isSealed) reseal(rpm)
          try {
            const found = await extractBytes(rpm, temp(), { release: kernel.release })
            expect(found.btf.byteLength).toBeGreaterThan(100_000)
          } catch (err) {
            if (!(err instanceof ExtractError)) throw err
          }
        },
      ),
      { numRuns: 250 },
    )
  })
})

/** Takes the signature's digests away, so that what the header says is looked at whatever was changed. */
function reseal(rpm: Buffer): void {
  for (const tag of [269, 273]) {
    const at = rpm.indexOf(Buffer.from([0, 0, tag >> 8, tag & 255, 0, 0, 0, 6]))
    if (at > 0 && at < 400) rpm.writeUInt32BE(1, at)
  }
}

it('digests in the tests are those of the bytes', () => {
  const rpm = writeRpm({ 'boot/x': Buffer.from('x') }, { compression: 'none' })
  const stored = rpm.subarray(rpm.indexOf('070701'))
  expect(rpm.includes(createHash('sha256').update(stored).digest('hex'))).toBe(true)
})
