import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { layoutDigest, parseBtf, validateBtf } from '../btf/index.ts'
import { sha256Of } from '../core/digest.ts'
import { makeDeb, makeTar } from './deb.fixture.ts'
import { compress } from './image.fixture.ts'
import { makeKernel, type SampleKernel } from './kernel.fixture.ts'
import { modulePathOf } from './module-file.ts'
import { makeDistilled, makeModule, type SampleModule } from './modules.fixture.ts'
import { type ExtractedModules, extractModules, mergeModules, type ModulesOptions } from './modules.ts'
import { makeRpm } from './rpm.fixture.ts'
import { chunks, run } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'

const dir = await fileScratch()
let kernel: SampleKernel
let one: SampleModule
let two: SampleModule
let root: string

beforeAll(async () => {
  kernel = await makeKernel(join(dir, 'kernel'))
  one = await makeModule(join(dir, 'kernel'), kernel, 'one')
  two = await makeModule(join(dir, 'kernel'), kernel, 'two_b')
  root = `lib/modules/${kernel.release}`
  await mkdir(join(dir, 'temp'))
})

async function extracted(
  bytes: Uint8Array,
  options: Partial<ModulesOptions> = {},
): Promise<ExtractedModules> {
  const { signal } = new AbortController()
  const all = { base: kernel.btf, release: null, tempDir: join(dir, 'temp'), jobs: 2, signal, ...options }
  try {
    return await extractModules({ name: 'sample', bytes: chunks(bytes) }, all)
  } finally {
    expect(await readdir(join(dir, 'temp'))).toEqual([])
  }
}

const names = ({ modules }: ExtractedModules): string[] => modules.map(({ name }) => name)

/** What bpftool makes of split BTF on the sample's. */
async function dump(btf: Uint8Array): Promise<string> {
  const paths = ['base', 'split'].map((name) => join(dir, `${name}.btf`)) as [string, string]
  await writeFile(paths[0], kernel.btf)
  await writeFile(paths[1], btf)
  return run('bpftool', ['-B', paths[0], 'btf', 'dump', 'file', paths[1]]).toString()
}

describe('modules with BTF of their own', () => {
  it('come out of a Debian package as they are in it, by name, whatever their compression and order', async () => {
    const files = {
      [`${root}/kernel/drivers/two-b.ko.gz`]: compress('gzip', two.ko),
      [`${root}/kernel/net/one.ko.xz`]: compress('xz', one.ko),
      [`${root}/modules.dep`]: Buffer.from('nothing'),
    }
    const deb = await makeDeb(files)
    const found = await extracted(deb)
    expect(found).toMatchObject({ untyped: 0, refused: [], bytesRead: deb.byteLength, sha256: sha256Of(deb) })
    expect(names(found)).toEqual(['one', 'two_b'])
    expect(found.modules.map(({ origin }) => origin)).toEqual(['embedded', 'embedded'])
    expect(found.modules.map(({ btf }) => sha256Of(btf))).toEqual([sha256Of(one.btf), sha256Of(two.btf)])
    expect(await dump(found.modules[0]!.btf)).toContain("STRUCT 'one_state' size=32 vlen=3")
  })

  it('come out of an RPM and a tar too', async () => {
    const files = {
      [`${root}/kernel/one.ko.zst`]: compress('zstd', one.ko),
      [`${root}/kernel/two-b.ko`]: two.ko,
    }
    expect(names(await extracted(await makeRpm(files, 'zstd')))).toEqual(['one', 'two_b'])
    expect(names(await extracted(await makeTar(files)))).toEqual(['one', 'two_b'])
  })

  it('are those of the release that was asked for', async () => {
    const deb = await makeDeb({
      [`${root}/one.ko`]: one.ko,
      'lib/modules/6.1.0-9-other/two.ko': two.ko,
    })
    expect(names(await extracted(deb, { release: kernel.release }))).toEqual(['one'])
    await expect(extracted(deb)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(names(await extracted(deb, { release: 'none' }))).toEqual([])
  })

  it('are refused on the BTF of another build', async () => {
    const other = await makeKernel(join(dir, 'other'), '6.1.0-22-sample')
    const deb = await makeDeb({ [`${root}/one.ko`]: one.ko, [`${root}/two-b.ko`]: two.ko })
    await expect(extracted(deb, { base: other.btf })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/2 of 2 modules do not hold: one: .*another base/) as string,
    })
  })

  it('are refused where they say themselves that they are another release’s', async () => {
    const deb = await makeDeb({ 'lib/modules/5.5.5/one.ko': one.ko })
    await expect(extracted(deb)).rejects.toThrow(
      /1 of 1 modules do not hold: one: it is a module of 6\.1\.0-1-sample, expected 5\.5\.5/,
    )
  })

  it('are left out, and told of, one by one where a single one is damaged or two share a name', async () => {
    const flipped = Buffer.from(two.ko)
    flipped.fill(0xff, flipped.indexOf(two.btf) + 30, flipped.indexOf(two.btf) + 60)
    const third = await makeModule(join(dir, 'kernel'), kernel, 'three')
    const deb = await makeDeb({
      [`${root}/kernel/one.ko`]: one.ko,
      [`${root}/kernel/three.ko`]: third.ko,
      [`${root}/kernel/two-b.ko`]: flipped,
    })
    const found = await extracted(deb)
    expect(names(found)).toEqual(['one', 'three'])
    expect(found.refused).toEqual([expect.stringMatching(/^two-b: /)])
    const renamed = Buffer.from(
      third.ko.toString('latin1').replace('name=three\0', 'name=one\0\0\0'),
      'latin1',
    )
    const twins = await makeDeb({
      [`${root}/a/one.ko`]: one.ko,
      [`${root}/b/one.ko`]: renamed,
      [`${root}/c/three.ko`]: third.ko,
    })
    expect(names(await extracted(twins))).toEqual(['three'])
    const copies = await makeDeb({ [`${root}/a/one.ko`]: one.ko, [`${root}/b/one.ko`]: one.ko })
    expect(await extracted(copies)).toMatchObject({ refused: [] })
  })
})

describe('modules that bring a distilled base along', () => {
  it('are put onto the kernel’s own, of whatever build, and refused where it has not what they need', async () => {
    const deb = await makeDeb({ [`${root}/one.ko`]: await makeDistilled(join(dir, 'kernel'), one) })
    const other = await makeKernel(join(dir, 'rebuilt'), '6.1.0-22-sample')
    for (const { btf } of [kernel, other]) {
      const base = parseBtf(btf)
      const found = await extracted(deb, { base: btf })
      expect(found.modules).toMatchObject([{ name: 'one', origin: 'embedded' }])
      const split = parseBtf(found.modules[0]!.btf, { base })
      const members = split.type(base.idCount) as {
        readonly members?: readonly { readonly typeId: number }[]
      }
      expect(members.members?.map(({ typeId }) => typeId)).toEqual(
        ['int', 'list_head'].map((name) => base.idsByName(name)[0]),
      )
    }
    expect(await dump((await extracted(deb)).modules[0]!.btf)).toContain("STRUCT 'one_state' size=24 vlen=2")
    const foreign = await makeDistilled(join(dir, 'kernel'), one, 'of_no_kernel')
    await expect(extracted(await makeDeb({ [`${root}/one.ko`]: foreign }))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/one: .*the base has no struct of_no_kernel, 16 bytes/) as string,
    })
  })
})

describe('modules that are compressed', () => {
  it('are told of one by one where one does not unpack', async () => {
    const third = await makeModule(join(dir, 'kernel'), kernel, 'three')
    for (const codec of ['xz', 'zstd'] as const) {
      const [a, b, c] = [one.ko, two.ko, third.ko].map((ko) => compress(codec, ko)) as [
        Buffer,
        Buffer,
        Buffer,
      ]
      const broken = Buffer.from(b)
      broken.fill(0xff, broken.byteLength >> 1, (broken.byteLength >> 1) + 40)
      const ending = codec === 'xz' ? 'xz' : 'zst'
      const files = { one: a, 'two-b': broken, three: c }
      const deb = await makeDeb(
        Object.fromEntries(Object.entries(files).map(([n, bytes]) => [`${root}/${n}.ko.${ending}`, bytes])),
      )
      const found = await extracted(deb)
      expect(names(found)).toEqual(['one', 'three'])
      expect(found.refused).toEqual([expect.stringMatching(/^two-b: /)])
    }
  })

  it('are all there, however many wait when the package ends', async () => {
    // Each is a batch of its own.
    const large = Buffer.concat([one.ko, Buffer.alloc(8 << 20)])
    const named = (name: string): Buffer =>
      Buffer.from(large.toString('latin1').replace('name=one\0', `name=${name}\0`), 'latin1')
    const files = Object.fromEntries(['aaa', 'bbb', 'ccc', 'ddd'].map((n) => [`${root}/${n}.ko`, named(n)]))
    const tar = await makeTar(files)
    for (const jobs of [1, 2]) {
      expect(names(await extracted(tar, { jobs }))).toEqual(['aaa', 'bbb', 'ccc', 'ddd'])
    }
  })
})

describe('modules with DWARF', () => {
  it('are encoded on the kernel’s BTF, as pahole does it', async () => {
    const path = `usr/lib/debug/${root}/kernel/one.ko.debug`
    const found = await extracted(await makeDeb({ [path]: one.dwarf }))
    expect(found.modules).toMatchObject([{ name: 'one', origin: 'dwarf' }])
    const base = parseBtf(kernel.btf)
    const [made, own] = [found.modules[0]!.btf, one.btf].map((btf) => parseBtf(btf, { base }))
    expect(layoutDigest(made!)).toBe(layoutDigest(own!))
    expect(await dump(found.modules[0]!.btf)).toContain("STRUCT 'one_state' size=32 vlen=3")
    expect(await extracted(await makeDeb({ [path]: one.dwarf }))).toEqual({
      ...found,
      sha256: expect.anything() as string,
      // The package has the time in it, compressed.
      bytesRead: expect.any(Number) as number,
    })
  })

  it('and without types are counted', async () => {
    run('objcopy', ['-g', '-R', '.BTF', join(dir, 'kernel/one.ko'), join(dir, 'bare.ko')])
    const deb = await makeDeb({ [`${root}/one.ko`]: await readFile(join(dir, 'bare.ko')) })
    expect(await extracted(deb)).toMatchObject({ modules: [], untyped: 1, refused: [] })
  })
})

describe('extractModules', () => {
  it('finds nothing in a package without modules', async () => {
    const deb = await makeDeb({ 'boot/vmlinuz-1': Buffer.from('image') })
    expect(await extracted(deb)).toMatchObject({ modules: [], untyped: 0, refused: [] })
  })

  it('refuses what is no package', async () => {
    await expect(extracted(one.ko)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(extracted(new Uint8Array(0))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('refuses a package that is cut off', async () => {
    const deb = await makeDeb({ [`${root}/one.ko`]: one.ko }, 'none')
    await expect(extracted(deb.subarray(0, deb.byteLength >> 1))).rejects.toMatchObject({
      code: 'MALFORMED',
    })
  })

  it('leaves nothing behind when it is aborted', async () => {
    const controller = new AbortController()
    const deb = await makeDeb({ [`${root}/one.ko.xz`]: compress('xz', one.ko) })
    controller.abort()
    await expect(extracted(deb, { signal: controller.signal })).rejects.toThrow(/abort/)
  })
})

describe('mergeModules', () => {
  it('has the kernel and its modules in one id space, each type once', async () => {
    const merged = parseBtf(mergeModules(kernel.btf, [one, two]))
    validateBtf(merged)
    for (const name of ['task_struct', 'list_head', 'one_state', 'two_b_state', 'shared_by_modules']) {
      expect([name, merged.idsByName(name).length]).toEqual([name, 1])
    }
    await writeFile(join(dir, 'merged.btf'), merged.bytes)
    const text = run('bpftool', ['btf', 'dump', 'file', join(dir, 'merged.btf')]).toString()
    expect(text).toContain("STRUCT 'two_b_state' size=32 vlen=3")
    expect(mergeModules(kernel.btf, [one, two])).toEqual(merged.bytes)
  })

  it('of no modules is the kernel', () => {
    expect(layoutDigest(parseBtf(mergeModules(kernel.btf, [])))).toBe(layoutDigest(parseBtf(kernel.btf)))
  })
})

describe('modulePathOf', () => {
  it.each([
    ['./lib/modules/6.1.0-50-amd64/kernel/net/nf.ko', '6.1.0-50-amd64', 'nf'],
    [
      '/usr/lib/modules/6.12.1+deb13-amd64/kernel/arch/x86/crypto/aes-ni.ko.xz',
      '6.12.1+deb13-amd64',
      'aes-ni',
    ],
    ['lib/modules/5.14.0-1.el9.x86_64/extra/x.ko.zst', '5.14.0-1.el9.x86_64', 'x'],
    ['usr/lib/debug/lib/modules/4.18.0-1.el8.x86_64/kernel/x.ko.debug', '4.18.0-1.el8.x86_64', 'x'],
    ['usr/lib/debug/usr/lib/modules/6.4.0-1-default/kernel/x.ko.debug', '6.4.0-1-default', 'x'],
  ])('knows %s', (path, release, stem) => {
    expect(modulePathOf(path)).toEqual({ release, stem })
  })

  it.each([
    'lib/modules/6.1/modules.dep',
    'usr/src/lib/modules/6.1/x.ko',
    'lib/modules/x.ko',
    'lib/modules/6.1/x.ko.sig',
  ])('passes %s over', (path) => {
    expect(modulePathOf(path)).toBeNull()
  })
})
