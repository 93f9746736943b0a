import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../core/digest.ts'
import { DEB_COMPRESSIONS, makeDeb, makeTar } from './deb.fixture.ts'
import { extractBytes } from './extract.fixture.ts'
import { arm64Image, bzImage, CODECS, compress, payload, zboot } from './image.fixture.ts'
import { makeKernel, type SampleKernel } from './kernel.fixture.ts'
import { chunks, run } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'

const dir = await fileScratch()
let kernel: SampleKernel
let other: SampleKernel
let image: Buffer
let vmlinux: Buffer
let withoutBtf: Buffer

beforeAll(async () => {
  kernel = await makeKernel(join(dir, 'kernel'))
  other = await makeKernel(join(dir, 'other'), '6.1.0-2-sample')
  image = bzImage(payload('lz4', kernel.stripped))
  vmlinux = await readFile(kernel.vmlinux)
  withoutBtf = await readFile(kernel.withoutBtf)
})

const temp = (): string => join(dir, 'temp')

function expectWhole(found: Awaited<ReturnType<typeof extractBytes>>, origin = 'embedded'): void {
  expect(Buffer.from(found.btf).equals(kernel.btf)).toBe(true)
  expect(found).toMatchObject({ origin, buildId: kernel.buildId, banner: kernel.banner, warnings: [] })
}

describe('a Debian image package', () => {
  it.each(DEB_COMPRESSIONS)('gives the BTF of its vmlinuz through data.tar as %s', async (compression) => {
    const deb = await makeDeb(
      { [`boot/vmlinuz-${kernel.release}`]: image, 'usr/share/doc/x': image },
      compression,
    )
    const found = await extractBytes(deb, temp(), { release: kernel.release })
    expectWhole(found)
    expect(found).toMatchObject({ paholeVersion: null, paholeFlags: null, bytesRead: deb.byteLength })
    expect(found.sha256).toBe(sha256Of(deb))
  })

  it.each([
    (release: string) => `boot/vmlinuz-${release}`,
    (release: string) => `lib/modules/${release}/vmlinuz`,
    (release: string) => `usr/lib/modules/${release}/vmlinuz`,
    (release: string) => `usr/lib/modules/${release}/vmlinuz.unsigned`,
  ])('finds the image at %s', async (path) => {
    expectWhole(await extractBytes(await makeDeb({ [path(kernel.release)]: image }), temp()))
  })

  it('stops reading when the BTF is whole where the digest is not wanted', async () => {
    const noise = run('openssl', ['rand', '4000000'])
    const files = { [`boot/vmlinuz-${kernel.release}`]: image, 'lib/noise': noise }
    const deb = await makeDeb(files, 'gzip')
    const found = await extractBytes(chunks(deb, 4096), temp(), { release: kernel.release, readToEnd: false })
    expectWhole(found)
    expect(found.sha256).toBeNull()
    expect(found.bytesRead).toBeLessThan(2_000_000)
  })

  it('does not unpack what comes behind the image, even where it is broken', async () => {
    const noise = run('openssl', ['rand', '1000000'])
    const deb = await makeDeb({ [`boot/vmlinuz-${kernel.release}`]: image, 'lib/noise': noise }, 'gzip')
    deb.fill(0, deb.byteLength - 500_000)
    expectWhole(await extractBytes(deb, temp(), { release: kernel.release }))
  })

  it('takes the only kernel where no release is named, and refuses to choose between two', async () => {
    const two = {
      [`boot/vmlinuz-${kernel.release}`]: image,
      [`boot/vmlinuz-${other.release}`]: bzImage(payload('gzip', other.stripped)),
    }
    await expect(extractBytes(await makeDeb(two), temp())).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(
        `${kernel.release} and ${other.release}|${other.release} and ${kernel.release}`,
      ) as string,
    })
    expectWhole(await extractBytes(await makeDeb(two), temp(), { release: kernel.release }))
    const found = await extractBytes(await makeDeb(two), temp(), { release: other.release })
    expect(found.buildId).toBe(other.buildId)
  })

  it('takes the kernel that the package is called after without looking for others', async () => {
    const noise = run('openssl', ['rand', '4000000'])
    const deb = await makeDeb(
      { [`boot/vmlinuz-${kernel.release}`]: image, 'lib/noise': noise },
      'gzip',
      `linux-image-${kernel.release}-unsigned`,
    )
    const found = await extractBytes(chunks(deb, 4096), temp(), { readToEnd: false })
    expectWhole(found)
    expect(found.bytesRead).toBeLessThan(2_000_000)
  })

  it.each([
    ['another release', (r: string) => ({ [`boot/vmlinuz-${r}x`]: 'image' }), /it has 6\.1\.0-1-samplex/],
    ['a link', (r: string) => ({ [`boot/vmlinuz-${r}`]: { linkTo: '/etc/passwd' } }), /it has none at all/],
    ['a longer path', (r: string) => ({ [`boot/old/vmlinuz-${r}`]: 'image' }), /it has none at all/],
    [
      'a decompressor',
      (r: string) => ({ [`lib/modules/${r}/kernel/vmlinux.ko`]: 'image' }),
      /it has none at all/,
    ],
    ['a tool that ships BTF', (r: string) => ({ [`usr/share/${r}.btf`]: 'image' }), /it has none at all/],
  ] as const)('does not take %s for the kernel', async (_, files, message) => {
    const made = Object.entries(files(kernel.release)).map(([path, content]) => [
      path,
      content === 'image' ? image : content,
    ])
    const deb = await makeDeb(Object.fromEntries(made) as Parameters<typeof makeDeb>[0])
    await expect(extractBytes(deb, temp(), { release: kernel.release })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(message) as string,
    })
  })

  it('refuses an image whose banner names another release than its path', async () => {
    const deb = await makeDeb({ [`boot/vmlinuz-${other.release}`]: image })
    await expect(extractBytes(deb, temp(), { release: other.release })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(kernel.banner) as string,
    })
  })

  it('says NO_BTF of a kernel that is whole and has none', async () => {
    const bare = bzImage(payload('xz', await readFile(kernel.bare)))
    const deb = await makeDeb({ [`boot/vmlinuz-${kernel.release}`]: bare })
    await expect(extractBytes(deb, temp())).rejects.toMatchObject({ code: 'NO_BTF' })
  })

  it('leaves images alone where DWARF is asked for', async () => {
    const deb = await makeDeb({ [`boot/vmlinuz-${kernel.release}`]: image })
    await expect(extractBytes(deb, temp(), { forceDwarf: true })).rejects.toMatchObject({ code: 'NO_BTF' })
  })
})

describe('a Debian debug package', () => {
  const path = (release: string): string => `usr/lib/debug/boot/vmlinux-${release}`

  it('gives the BTF that its vmlinux carries', async () => {
    const deb = await makeDeb({
      [path(kernel.release)]: vmlinux,
      [`usr/lib/debug/lib/modules/${kernel.release}/vmlinux`]: {
        linkTo: `../../boot/vmlinux-${kernel.release}`,
      },
    })
    expectWhole(await extractBytes(deb, temp(), { release: kernel.release }))
  })

  it.each([
    ['the vmlinux has none', false],
    ['it is told to', true],
  ])('is encoded by pahole where %s', async (_, forceDwarf) => {
    const deb = await makeDeb({ [path(kernel.release)]: forceDwarf ? vmlinux : withoutBtf })
    const phases: string[] = []
    const found = await extractBytes(deb, temp(), {
      forceDwarf,
      onProgress: (phase) => phases.at(-1) === phase || phases.push(phase),
    })
    // The sample's own BTF was made by the same pahole without looking at languages, of which it has one.
    expect(found.origin).toBe('dwarf')
    expect(Buffer.from(found.btf).equals(kernel.btf)).toBe(true)
    expect(found).toMatchObject({ banner: kernel.banner, warnings: [], sha256: sha256Of(deb) })
    expect(found.paholeVersion).toMatch(/^1\.\d+/)
    expect(found.paholeFlags).toContain('-j1')
    expect(phases).toEqual(['reading', 'unwrapping', 'encoding'])
  })

  it('says NO_BTF of a vmlinux with neither BTF nor DWARF', async () => {
    const deb = await makeDeb({ [path(kernel.release)]: await readFile(kernel.bare) })
    await expect(extractBytes(deb, temp())).rejects.toMatchObject({ code: 'NO_BTF' })
  })

  it('publishes nothing of DWARF that is no kernel, and says what pahole said', async () => {
    await writeFile(join(dir, 'small.c'), 'struct task_struct { int pid; } t; void _start(void) {}')
    run('gcc', ['-g', '-nostdlib', '-static', '-o', 'small', 'small.c'], undefined, dir)
    const small = await readFile(join(dir, 'small'))
    await expect(extractBytes(small, temp(), { forceDwarf: true })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('what pahole') as string,
    })
  })

  it('takes pahole at its exit code: damaged DWARF is a failure with its words', async () => {
    const damaged = Buffer.from(withoutBtf)
    const sections = run('readelf', ['-SW', kernel.withoutBtf]).toString()
    const [, offset, size] = /\.debug_abbrev +PROGBITS +\w+ (\w+) (\w+)/.exec(sections) as RegExpExecArray
    damaged.fill(
      0xff,
      parseInt(offset as string, 16),
      parseInt(offset as string, 16) + parseInt(size as string, 16),
    )
    await expect(extractBytes(damaged, temp(), { forceDwarf: true })).rejects.toMatchObject({
      code: expect.stringMatching(/^(TOOL|INVALID)$/) as string,
      message: expect.stringContaining('pahole') as string,
    })
  })

  it('refuses a vmlinux that ends before its sections do', async () => {
    const cut = withoutBtf.subarray(0, withoutBtf.byteLength - 1000)
    await expect(extractBytes(cut, temp(), { forceDwarf: true })).rejects.toMatchObject({ code: 'MALFORMED' })
  })
})

describe('a kernel image', () => {
  it.each(CODECS)('of x86 is unwrapped from %s', async (codec) => {
    expectWhole(await extractBytes(bzImage(payload(codec, kernel.stripped)), temp()))
  })

  it.each(CODECS)('of EFI zboot is unwrapped from %s, and the arm64 Image in it read', async (codec) => {
    expectWhole(await extractBytes(zboot(codec, arm64Image(kernel.flat)), temp()))
  })

  it('of arm64 is read plain and gzipped', async () => {
    expectWhole(await extractBytes(arm64Image(kernel.flat), temp()))
    expectWhole(await extractBytes(compress('gzip', arm64Image(kernel.flat)), temp()))
  })

  it('with LZO is named as unsupported', async () => {
    const lzo = bzImage(Buffer.concat([Buffer.from('\x89LZO\0\r\n\x1a\n', 'latin1'), Buffer.alloc(1000)]))
    await expect(extractBytes(lzo, temp())).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('LZO') as string,
    })
  })

  it('whose BTF is cut off is invalid, not without BTF', async () => {
    const end = kernel.stripped.indexOf(kernel.btf) + kernel.btf.byteLength - 100
    const cut = bzImage(payload('zstd', kernel.stripped.subarray(0, end)))
    await expect(extractBytes(cut, temp())).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('only') as string,
    })
  })

  it('is not believed where its payload is not as long as it says', async () => {
    const packed = payload('lz4', await readFile(kernel.bare))
    packed.writeUInt32LE(1, packed.byteLength - 4)
    await expect(extractBytes(bzImage(packed), temp())).rejects.toMatchObject({ code: 'MALFORMED' })
  })
})

describe('other files', () => {
  it('ELF: with both, it gives its BTF; forced, what pahole makes; with BTF alone, that', async () => {
    expectWhole(await extractBytes(vmlinux, temp()))
    expectWhole(await extractBytes(vmlinux, temp(), { forceDwarf: true }), 'dwarf')
    const only = join(dir, 'only-btf')
    run('objcopy', ['--only-section=.BTF', '-S', kernel.vmlinux, only])
    const found = await extractBytes(await readFile(only), temp())
    expect(Buffer.from(found.btf).equals(kernel.btf)).toBe(true)
    expect(found).toMatchObject({ buildId: null, banner: null })
  })

  it.each(['gzip', 'xz', 'zstd', 'bzip2'] as const)('raw BTF, plain and in %s', async (codec) => {
    const plain = await extractBytes(kernel.btf, temp())
    const packed = await extractBytes(compress(codec, kernel.btf), temp())
    for (const found of [plain, packed]) expect(Buffer.from(found.btf).equals(kernel.btf)).toBe(true)
  })

  it('raw BTF loses what is behind its last section', async () => {
    const found = await extractBytes(Buffer.concat([kernel.btf, Buffer.alloc(7, 1)]), temp())
    expect(found.btf.byteLength).toBe(kernel.btf.byteLength)
  })

  it.each(['gzip', 'xz', 'zstd'] as const)(
    'a tar with one .btf in %s, AppleDouble files in front',
    async (codec) => {
      const tar = await makeTar({
        [`./._${kernel.release}.btf`]: Buffer.from('Mac OS X'),
        [`${kernel.release}.btf`]: kernel.btf,
      })
      for (const release of [null, kernel.release]) {
        const found = await extractBytes(compress(codec, tar), temp(), { release })
        expect(Buffer.from(found.btf).equals(kernel.btf)).toBe(true)
      }
      await expect(extractBytes(tar, temp(), { release: 'another' })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      })
    },
  )

  it('the BTF of the running kernel', async () => {
    const own = await readFile('/sys/kernel/btf/vmlinux').catch(() => null)
    if (own === null) return
    expect(Buffer.from((await extractBytes(own, temp())).btf).equals(own)).toBe(true)
  })

  it.each([
    ['an empty file', Buffer.alloc(0), /it is empty/],
    ['text', Buffer.from('#!/bin/sh\n'), /it starts with 23212f62696e2f73680a/],
    ['a zip file', Buffer.from('PK\x03\x04'), /it starts with 504b0304/],
    [
      'a static library',
      Buffer.from('!<arch>\nlib.o/          0           0     0     644     0         `\n'),
      /no Debian package/,
    ],
  ])('%s is refused with what it is', async (_, bytes, message) => {
    await expect(extractBytes(bytes, temp())).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(message) as string,
    })
  })

  it('is refused where it is wrapped again and again', async () => {
    let wrapped: Buffer = kernel.btf
    for (let i = 0; i < 12; i++) wrapped = compress('gzip', wrapped)
    await expect(extractBytes(wrapped, temp())).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it('gives the same whatever the chunks are', async () => {
    const deb = await makeDeb({ [`boot/vmlinuz-${kernel.release}`]: image }, 'zstd')
    for (const size of [1, 17, 4099, deb.byteLength]) {
      expectWhole(await extractBytes(chunks(deb, size), temp(), { release: kernel.release }))
    }
  })
})
