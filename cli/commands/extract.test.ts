import { spawnSync } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { parseBtf } from '../../btf/index.ts'
import { sha256Of } from '../../core/digest.ts'
import { packageRoot } from '../../core/version.ts'
import { makeDeb, makeTar } from '../../extractor/deb.fixture.ts'
import { arm64Image, bzImage, compress, payload, zboot } from '../../extractor/image.fixture.ts'
import { makeKernel, type SampleKernel } from '../../extractor/kernel.fixture.ts'
import { makeModule, type SampleModule } from '../../extractor/modules.fixture.ts'
import { makeRpm } from '../../extractor/rpm.fixture.ts'
import { run as shell } from '../../extractor/run.fixture.ts'
import { fileScratch } from '../../extractor/scratch.fixture.ts'
import { elfWithBtf } from '../../store/forms/elf.ts'
import { havePrograms } from '../../test/helpers/machine.ts'
import { readAsOld } from '../../test/helpers/old-reader.ts'
import { serveLoopback } from '../../test/loopback.ts'
import { run } from '../main.ts'

const able = havePrograms('gcc', 'ld', 'objcopy', 'pahole', 'dpkg-deb', 'rpmbuild', 'xz', 'bpftool')
const dir = await fileScratch()
let kernel: SampleKernel
let modules: readonly SampleModule[]
let image: Buffer
let vmlinux: Buffer
let withoutBtf: Buffer

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function btfhub(...args: readonly string[]): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []]
  const terminal = {
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    outLines: (lines: Iterable<string>) => Promise.resolve(void out.push(...lines)),
    isInteractive: false,
  }
  const { signal } = new AbortController()
  const code = await run(['node', 'btfhub', ...args], terminal, {}, signal)
  return { code, out: out.join('\n'), err: err.join('\n') }
}

async function file(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(dir, name)
  await writeFile(path, bytes)
  return path
}

beforeAll(async () => {
  if (!able) return
  kernel = await makeKernel(join(dir, 'kernel'))
  modules = [
    await makeModule(join(dir, 'kernel'), kernel, 'one'),
    await makeModule(join(dir, 'kernel'), kernel, 'two'),
  ]
  image = bzImage(payload('lz4', kernel.stripped))
  vmlinux = await readFile(kernel.vmlinux)
  withoutBtf = await readFile(kernel.withoutBtf)
})

describe.skipIf(!able)('btfhub extract (skipped without gcc, binutils, pahole, rpmbuild, bpftool)', () => {
  const release = '6.1.0-1-sample'
  type Origin = 'embedded' | 'dwarf'
  const noIds = { buildId: null, banner: null }

  it.each<[string, string, () => Promise<Uint8Array>, Origin, boolean]>([
    [
      'an RPM with an image',
      'core.rpm',
      () => makeRpm({ [`lib/modules/${release}/vmlinuz`]: image }),
      'embedded',
      true,
    ],
    [
      'an RPM with DWARF',
      'debuginfo.rpm',
      () => makeRpm({ [`usr/lib/debug/lib/modules/${release}/vmlinux`]: withoutBtf }),
      'dwarf',
      true,
    ],
    [
      'a Debian package',
      'image.deb',
      () => makeDeb({ [`boot/vmlinuz-${release}`]: image }),
      'embedded',
      true,
    ],
    [
      'a debug package of Ubuntu',
      'dbgsym.ddeb',
      () => makeDeb({ [`usr/lib/debug/boot/vmlinux-${release}`]: withoutBtf }),
      'dwarf',
      true,
    ],
    ['a vmlinux with both', 'vmlinux', () => Promise.resolve(vmlinux), 'embedded', true],
    ['a vmlinux with DWARF', 'vmlinux-dwarf', () => Promise.resolve(withoutBtf), 'dwarf', true],
    ['a vmlinux with BTF alone', 'stripped', () => Promise.resolve(kernel.stripped), 'embedded', true],
    ['a vmlinux.xz', 'vmlinux.xz', () => Promise.resolve(compress('xz', vmlinux)), 'embedded', true],
    ['a bzImage', 'bzImage', () => Promise.resolve(image), 'embedded', true],
    ['an arm64 Image', 'Image', () => Promise.resolve(arm64Image(kernel.flat)), 'embedded', true],
    [
      'an Image.gz',
      'Image.gz',
      () => Promise.resolve(compress('gzip', arm64Image(kernel.flat))),
      'embedded',
      true,
    ],
    [
      'an EFI zboot image',
      'zboot.efi',
      () => Promise.resolve(zboot('gzip', arm64Image(kernel.flat))),
      'embedded',
      true,
    ],
    [
      'an ELF with nothing but BTF',
      'coolbpf',
      () => Promise.resolve(elfWithBtf(kernel.btf, 'x86_64')),
      'embedded',
      false,
    ],
    ['raw BTF', 'raw.btf', () => Promise.resolve(kernel.btf), 'embedded', false],
    [
      'raw BTF that is compressed',
      'raw.btf.zst',
      () => Promise.resolve(compress('zstd', kernel.btf)),
      'embedded',
      false,
    ],
    [
      'an archive of btfhub with AppleDouble members in front',
      'apple.btf.tar.xz',
      async () =>
        compress(
          'xz',
          await makeTar({ [`._${release}.btf`]: Buffer.alloc(163), [`${release}.btf`]: kernel.btf }),
        ),
      'embedded',
      false,
    ],
  ])('takes the BTF out of %s', async (_, name, make, origin, hasIds) => {
    const bytes = await make()
    const path = await file(name, bytes)
    const output = join(dir, `${name}.out`)
    const told = await btfhub('extract', path, '-o', output, '--json')
    expect([told.code, told.err]).toEqual([0, ''])
    expect(sha256Of(await readFile(output))).toBe(sha256Of(kernel.btf))
    expect(JSON.parse(told.out)).toMatchObject({
      file: path,
      sha256: sha256Of(bytes),
      bytesRead: bytes.byteLength,
      origin,
      btfSha256: sha256Of(kernel.btf),
      warnings: [],
      ...(hasIds ? { banner: kernel.banner } : noIds),
    })
  })

  it('tells where it comes from on stderr, and nothing on stdout', async () => {
    const path = await file('told', vmlinux)
    const { code, out, err } = await btfhub('extract', path)
    expect([code, out]).toEqual([0, ''])
    expect(err).toContain(`build-id    ${kernel.buildId}`)
    expect(err).toContain('(nowhere: -o FILE writes it)')
  })

  it('encodes DWARF beside BTF where that is asked for', async () => {
    const { out } = await btfhub('extract', await file('both', vmlinux), '--force-dwarf', '--json')
    expect(JSON.parse(out)).toMatchObject({
      origin: 'dwarf',
      paholeFlags: expect.arrayContaining(['-j1']) as string[],
    })
  })

  it('reads a URL, and standard input', async () => {
    const server = await serveLoopback((req, res) =>
      req.url === '/k' ? res.end(image) : res.writeHead(404).end(),
    )
    onTestFinished(() => server.close())
    const { code, out } = await btfhub('extract', `${server.url}/k`, '--json')
    expect([code, (JSON.parse(out) as { origin: string }).origin]).toEqual([0, 'embedded'])
    expect(await btfhub('extract', `${server.url}/nope`)).toMatchObject({
      code: 3,
      err: `btfhub: ${server.url}/nope: not there (404)`,
    })
    const cli = [join(packageRoot, 'bin/btfhub'), 'extract', '-', '--json']
    const piped = spawnSync(process.execPath, cli, { input: image, encoding: 'utf8' })
    expect([piped.status, (JSON.parse(piped.stdout) as { origin: string }).origin]).toEqual([0, 'embedded'])
  })

  it.each<[string, () => Promise<string>, number, RegExp]>([
    ['an empty file', () => file('empty', new Uint8Array(0)), 1, /empty: no package.*: it is empty/],
    ['a text', () => file('text', Buffer.from('hello\n')), 1, /text: no package.*starts with 68656c6c6f0a/],
    ['a folder', () => Promise.resolve(dir), 2, /a folder, expected a file/],
    ['a path of nothing', () => Promise.resolve(join(dir, 'nope')), 2, /nope/],
    [
      'a package that is cut off',
      async () => file('cut.deb', (await makeDeb({ [`boot/vmlinuz-${release}`]: image })).subarray(0, 2000)),
      1,
      /cut\.deb: .*ends at byte 2000/,
    ],
    [
      'a package without a kernel',
      async () => file('other.deb', await makeDeb({ 'usr/bin/ls': Buffer.from('ls') })),
      3,
      /other\.deb.*has no kernel/,
    ],
    ['a kernel without BTF', () => Promise.resolve(kernel.bare), 1, /has no BTF, and no DWARF/],
    ['a host that does not answer', () => Promise.resolve('http://127.0.0.1:1/x'), 75, /ECONNREFUSED/],
  ])(
    'says what is wrong with %s, and writes nothing',
    async (_, path, code, message) => {
      const output = join(dir, 'never.btf')
      const told = await btfhub('extract', await path(), '-o', output)
      expect([told.code, told.err]).toEqual([code, expect.stringMatching(message)])
      expect(await readdir(dir)).not.toContain('never.btf')
    },
    120_000,
  )

  it('lowers it for readers of old', async () => {
    const output = join(dir, 'old.btf')
    const path = await file('lowered', vmlinux)
    expect((await btfhub('extract', path, '-o', output, '--compat', '0.3')).code).toBe(0)
    expect(readAsOld(await readFile(output), 15)).toHaveLength(parseBtf(kernel.btf).idCount - 1)
  })

  describe('with modules', () => {
    const root = `lib/modules/${release}/kernel`

    async function expectModules(folder: string): Promise<void> {
      expect((await readdir(folder)).sort()).toEqual(['one', 'two', 'vmlinux'])
      expect(sha256Of(await readFile(join(folder, 'vmlinux')))).toBe(sha256Of(kernel.btf))
      const dump = shell('bpftool', [
        '-B',
        join(folder, 'vmlinux'),
        'btf',
        'dump',
        'file',
        join(folder, 'two'),
      ])
      expect(dump.toString()).toContain("STRUCT 'two_state' size=32")
    }

    it('writes them as /sys/kernel/btf has them, and all in one id space', async () => {
      const files = Object.fromEntries(modules.map(({ name, ko }) => [`${root}/${name}.ko`, ko]))
      const path = await file('full.deb', await makeDeb({ [`boot/vmlinuz-${release}`]: image, ...files }))
      const [folder, merged] = [join(dir, 'split'), join(dir, 'merged.btf')]
      const told = await btfhub('extract', path, '--modules', folder, '--merged', merged, '--json')
      expect([told.code, told.err]).toEqual([0, ''])
      expect(JSON.parse(told.out)).toMatchObject({
        banner: kernel.banner,
        modules: [{ name: 'one', btfSha256: sha256Of(modules[0]!.btf) }, { name: 'two' }],
        modulesWithoutTypes: 0,
        modulesRefused: [],
      })
      await expectModules(folder)
      const all = parseBtf(await readFile(merged))
      for (const name of ['task_struct', 'one_state', 'two_state'])
        expect(all.idsByName(name)).toHaveLength(1)
      expect(await btfhub('extract', path, '--modules', folder)).toMatchObject({ code: 2 })
      expect((await readdir(dir)).filter((name) => name.startsWith('.'))).toEqual([])
    })

    it('takes the kernel from elsewhere where the package has none', async () => {
      const files = Object.fromEntries(modules.map(({ name, ko }) => [`${root}/${name}.ko`, ko]))
      const path = await file('modules.rpm', await makeRpm(files))
      const base = await file('base.btf', kernel.btf)
      const folder = join(dir, 'of-rpm')
      await mkdir(folder)
      expect((await btfhub('extract', path, '--base', base, '--modules', folder)).code).toBe(0)
      await expectModules(folder)
      const old = join(dir, 'merged-old.btf')
      expect((await btfhub('extract', path, '--base', base, '--merged', old, '--compat', '0.4')).code).toBe(0)
      expect(readAsOld(await readFile(old), 16).length).toBeGreaterThan(parseBtf(kernel.btf).idCount)
      const other = await makeKernel(join(dir, 'other'), '6.1.0-22-sample')
      const wrong = await btfhub(
        'extract',
        path,
        '--base',
        await file('other.btf', other.btf),
        '--merged',
        old,
      )
      expect([wrong.code, wrong.err]).toEqual([1, expect.stringMatching(/do not hold.*another base/)])
    })

    it.each([
      [['--base', 'x'], /expected --modules or --merged/],
      [['--modules', 'm', '--compat', '0.3'], /know no split BTF/],
      [['--base', 'x', '--merged', 'm', '-o', 'y'], /nothing to do/],
      [['--compat', '2.0'], /native/],
    ])('refuses %j', async (args, message) => {
      const told = await btfhub('extract', kernel.vmlinux, ...args)
      expect([told.code, told.err]).toEqual([2, expect.stringMatching(message)])
    })
  })
})
