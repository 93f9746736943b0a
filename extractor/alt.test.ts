import { execFileSync } from 'node:child_process'
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Btf, findSection, layoutDigest, parseBtf, parseElf } from '../btf/index.ts'
import { altIdsOf } from './alt-link.ts'
import { makeDeb, makeTar } from './deb.fixture.ts'
import { extractBytes } from './extract.fixture.ts'
import { makeKernel } from './kernel.fixture.ts'
import { localForms } from './local-forms.fixture.ts'
import { makeRpm, type RpmFiles } from './rpm.fixture.ts'
import { run } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'
import type { Extracted, ExtractOptions } from './types.ts'
import { ExtractError } from './types.ts'
import { makeRelative, makeUnits, shareDwarf } from './units.fixture.ts'

const dir = await fileScratch()
const sources = join(dir, 'kernel')
const temp = join(dir, 'temp')
const RELEASE = '6.1.0-1-sample'
const VMLINUX = `usr/lib/debug/lib/modules/${RELEASE}/vmlinux`
const ALT = 'usr/lib/debug/.dwz/common'

/** A vmlinux before dwz, after it, and what dwz took out of it. */
interface Shared {
  readonly plain: Btf
  readonly vmlinux: Buffer
  readonly alt: Buffer
  readonly id: string
}
const FORMS = [
  ['DWARF 4', '-gdwarf-4', []],
  ['DWARF 5', '-gdwarf-5', []],
  ['DWARF 5, in its own forms', '-gdwarf-5', ['-5']],
] as const
const made = new Map<string, Shared>()
const shared = (how: string = FORMS[1][0]): Shared => made.get(how) as Shared

async function share(name: string, flag: string, args: readonly string[]): Promise<Shared> {
  const flags = [flag]
  const units = await makeUnits(sources, name, flags)
  const relative = await makeRelative(sources, name, flags)
  const vmlinux = join(sources, `${name}-shared`)
  await copyFile(units, vmlinux)
  const alt = join(sources, `${name}-common`)
  shareDwarf([vmlinux, relative], alt, '../../../.dwz/common', args)
  const { btf } = await encodes(await readFile(units))
  const [id] = await altIdsOf(alt, alt)
  return {
    plain: parseBtf(btf),
    vmlinux: await readFile(vmlinux),
    alt: await readFile(alt),
    id: id as string,
  }
}

async function encodes(bytes: Uint8Array, options: Partial<ExtractOptions> = {}): Promise<Extracted> {
  return await extractBytes(bytes, temp, { forceDwarf: true, ...options })
}

/** The same types in all that C says of them, and as many. */
function expectSame(found: Extracted, { plain }: Shared): void {
  const btf = parseBtf(found.btf)
  expect(layoutDigest(btf)).toBe(layoutDigest(plain))
  expect(btf.idCount).toBe(plain.idCount)
  expect(localForms(btf)).toEqual(localForms(plain))
}

/** Files in a folder of their own, as an unpacked package has them; the path of the vmlinux. */
async function unpacked(name: string, files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(join(dir, name, path, '..'), { recursive: true })
    await writeFile(join(dir, name, path), bytes)
  }
  return join(dir, name, VMLINUX)
}

const local = async (path: string): Promise<Extracted> => encodes(await readFile(path), { localPath: path })

beforeAll(async () => {
  await makeKernel(sources)
  for (const [index, [how, flag, args]] of FORMS.entries()) {
    made.set(how, await share(`shared${index}`, flag, args))
  }
}, 60_000)

describe('a vmlinux that shares its DWARF with other files (dwz -m)', () => {
  it.each(FORMS)('in %s gives the types that it gave before', async (how) => {
    const { vmlinux, alt, id } = shared(how)
    const found = await encodes(await makeDeb({ [VMLINUX]: vmlinux, [ALT]: alt }, 'none'))
    expectSame(found, shared(how))
    expect(found.warnings).toEqual([
      `with the DWARF that dwz had moved to ../../../.dwz/common, build-id ${id}`,
    ])
  })

  const files = (): RpmFiles => ({ [VMLINUX]: shared().vmlinux, [ALT]: shared().alt })
  it.each<[string, () => Promise<Buffer>]>([
    ['an rpm, which has it first', () => makeRpm(files(), 'zstd')],
    [
      'a deb that has it last',
      () => makeDeb({ [VMLINUX]: shared().vmlinux, 'usr/lib/debug/z/.dwz/c': shared().alt }, 'xz'),
    ],
    ['a tar that has it last', () => makeTar({ [VMLINUX]: shared().vmlinux, [ALT]: shared().alt })],
  ])('is whole in %s', async (_, make) => {
    expectSame(await encodes(await make()), shared())
    expectSame(await encodes(await make(), { release: RELEASE, readToEnd: false }), shared())
  })

  it.each(['zlib', 'zstd'])('is whole where sections of both files are compressed with %s', async (how) => {
    const packed: Record<string, Buffer> = {}
    for (const [path, bytes] of Object.entries({ [VMLINUX]: shared().vmlinux, [ALT]: shared().alt })) {
      const at = join(dir, 'packed')
      await writeFile(at, bytes)
      run('objcopy', [`--compress-debug-sections=${how}`, at])
      packed[path] = await readFile(at)
      expect(findSection(parseElf(packed[path]), '.debug_info')?.flags).toBe(0x800)
    }
    expectSame(await encodes(await makeDeb(packed, 'none')), shared())
  })

  it('is whole where it shares all its strings, and has no section for them any more', async () => {
    const flags = ['-gdwarf-4']
    const units = await makeUnits(sources, 'twins', flags)
    const twins = ['twin1', 'twin2'].map((name) => join(sources, name))
    for (const twin of twins) await copyFile(units, twin)
    const alt = join(sources, 'twins-common')
    const before = await encodes(await readFile(units))
    shareDwarf(twins, alt)
    const vmlinux = await readFile(twins[0] as string)
    expect(findSection(parseElf(vmlinux), '.debug_str')).toBeNull()
    const found = await encodes(await makeDeb({ [VMLINUX]: vmlinux, [ALT]: await readFile(alt) }, 'none'))
    expectSame(found, { ...shared(), plain: parseBtf(before.btf) })
  })

  it('is whole where the other file is found on this machine: by its path, or by its build-id', async () => {
    const { vmlinux, alt, id } = shared()
    const byId = `usr/lib/debug/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`
    for (const [name, at] of [
      ['by-path', ALT],
      ['by-id', byId],
    ] as const) {
      const path = await unpacked(name, { [VMLINUX]: vmlinux, [at]: alt })
      expectSame(await local(path), shared())
      expect((await readFile(join(dir, name, at))).equals(alt), 'is not ours to change').toBe(true)
    }
  })

  it('is whole where an absolute path is meant for the folder that a package was unpacked into', async () => {
    const { plain } = shared()
    const [vmlinux, alt] = [join(sources, 'absolute'), join(sources, 'absolute-common')]
    await copyFile(join(sources, 'shared1'), vmlinux)
    await copyFile(join(sources, 'shared1'), `${vmlinux}-2`)
    shareDwarf([vmlinux, `${vmlinux}-2`], alt, '/usr/lib/debug/.dwz/common')
    const files = { [VMLINUX]: await readFile(vmlinux), [ALT]: await readFile(alt) }
    expectSame(await local(await unpacked('absolute', files)), { ...shared(), plain })
  })
})

describe('is refused', () => {
  const refusal = async (act: Promise<unknown>): Promise<ExtractError> => {
    const err = await act.then(
      () => null,
      (reason: unknown) => reason,
    )
    expect(err).toBeInstanceOf(ExtractError)
    return err as ExtractError
  }
  const inPackage = async (vmlinux: Uint8Array, alt: Uint8Array | null): Promise<ExtractError> =>
    refusal(encodes(await makeTar({ [VMLINUX]: vmlinux, ...(alt === null ? {} : { [ALT]: alt }) })))

  it('what lacks the other file, which the message names', async () => {
    const { vmlinux, id } = shared()
    const err = await inPackage(vmlinux, null)
    expect(err.code).toBe('UNSUPPORTED')
    expect(err.message).toContain(`../../../.dwz/common with build-id ${id}`)
    expect(err.message).toContain('the package has no .dwz folder')
    expect((await refusal(encodes(vmlinux))).code).toBe('UNSUPPORTED')
    const path = await unpacked('alone', { [VMLINUX]: vmlinux })
    expect((await refusal(local(path))).message).toContain('nor is it beside the file')
  })

  it('another file of that name, whose build-id the message has too', async () => {
    const { vmlinux, id } = shared()
    const other = shared(FORMS[0][0])
    const path = await unpacked('other', { [VMLINUX]: vmlinux, [ALT]: other.alt })
    for (const err of [await inPackage(vmlinux, other.alt), await refusal(local(path))]) {
      expect(err.code).toBe('UNSUPPORTED')
      expect(err.message).toMatch(new RegExp(`build-id ${id}.*common has ${other.id}`))
    }
  })

  it('the other file cut anywhere', async () => {
    const { vmlinux, alt } = shared()
    for (const part of [0, 0.01, 0.3, 0.6, 0.9, 0.999]) {
      const err = await inPackage(vmlinux, alt.subarray(0, 100 + Math.floor(part * (alt.byteLength - 101))))
      expect(err.code, `cut at ${part}`).toMatch(/UNSUPPORTED|MALFORMED/)
    }
  })

  it('a pipe, a folder and a link to nothing where the other file should be', async () => {
    const { vmlinux } = shared()
    for (const [name, put] of [
      ['pipe', (at: string) => execFileSync('mkfifo', [at])],
      ['folder', (at: string) => mkdir(at)],
      ['nothing', (at: string) => symlink('/nonexistent', at)],
      ['device', (at: string) => symlink('/dev/zero', at)],
    ] as const) {
      const path = await unpacked(name, { [VMLINUX]: vmlinux, 'usr/lib/debug/.dwz/x': Buffer.from('x') })
      await put(join(dir, name, ALT))
      expect((await refusal(local(path))).code, name).toBe('UNSUPPORTED')
    }
  })

  it('a file that goes on in a third one', async () => {
    const { vmlinux, alt } = shared()
    // Section .debug_line has no use: its name becomes that of a link, and its bytes say where to.
    const bytes = Buffer.from(alt)
    const section = findSection(parseElf(bytes), '.debug_line')
    Buffer.from('third\0aaaaaaaaaa').copy(bytes, section?.offset)
    Buffer.from('.debug_sup\0').copy(bytes, bytes.lastIndexOf('.debug_line\0'))
    bytes.set([5, 0, 0], section?.offset)
    bytes.set(Buffer.from('third\0\x08aaaaaaaa'), (section?.offset ?? 0) + 3)
    const err = await inPackage(vmlinux, bytes)
    expect(err).toMatchObject({ code: 'MALFORMED', message: expect.stringContaining('third one') as string })
  })

  it('references behind the end of the other file', async () => {
    const { vmlinux, alt } = shared()
    const elf = parseElf(alt)
    const table = Number(alt.readBigUInt64LE(40))
    for (const name of ['.debug_str', '.debug_info']) {
      const bytes = Buffer.from(alt)
      const index = elf.sections.findIndex((section) => section.name === name)
      bytes.writeBigUInt64LE(16n, table + 64 * index + 32)
      const err = await inPackage(vmlinux, bytes)
      expect(err.code, name).toBe('MALFORMED')
    }
  })

  it('a link that says nothing, whatever its bytes', async () => {
    const { vmlinux, alt } = shared()
    const link = findSection(parseElf(vmlinux), '.gnu_debugaltlink')
    const [offset, sizeBytes] = [link?.offset ?? 0, link?.sizeBytes ?? 0]
    for (const text of [
      '',
      '\0',
      'no end',
      '../../x',
      'bell\x07\0aaaaaaaaaaaaaaaaaaaa',
      `${'../'.repeat(8)}etc/passwd\0`,
    ]) {
      const bytes = Buffer.from(vmlinux)
      bytes.fill(text === 'no end' ? 1 : 0, offset, offset + sizeBytes)
      bytes.write(text.slice(0, sizeBytes), offset, 'latin1')
      const path = await unpacked('says-nothing', { [VMLINUX]: bytes, [ALT]: alt })
      expect((await refusal(local(path))).code, JSON.stringify(text)).toMatch(/UNSUPPORTED|MALFORMED/)
    }
  })

  it('more files to share with than any package has, or larger ones', async () => {
    const many = Array.from({ length: 65 }, (_, i) => [`usr/lib/debug/.dwz/${i}`, Buffer.from('x')] as const)
    const err = await refusal(encodes(await makeTar(Object.fromEntries(many))))
    expect(err.code).toBe('LIMIT')
    const tar = Buffer.from(await makeTar({ [ALT]: shared().alt }))
    // The size of its first entry, and the sum of its header (pax(1), "ustar Interchange Format").
    tar.write('20000000001\0', 124, 'latin1')
    tar.fill(0x20, 148, 156)
    const sum = tar.subarray(0, 512).reduce((a, b) => a + b, 0)
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    expect((await refusal(encodes(tar))).code).toBe('LIMIT')
  })

  it('any damage to either file, or it gives BTF that holds', async () => {
    const { vmlinux, alt } = shared()
    const spots = [vmlinux, alt].map((bytes) =>
      parseElf(bytes).sections.filter(({ name }) => /^\.(debug|gnu_debugalt|note)/.test(name)),
    )
    const edit = fc.tuple(
      fc.nat(1),
      fc.nat(100),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.nat(255),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        const files = [Buffer.from(vmlinux), Buffer.from(alt)] as const
        for (const [which, index, at, value] of edits) {
          const sections = spots[which] ?? []
          const section = sections[index % sections.length]
          if (section === undefined || section.sizeBytes === 0) continue
          ;(files[which] as Buffer)[section.offset + Math.floor(at * section.sizeBytes)] = value
        }
        try {
          await encodes(await makeTar({ [VMLINUX]: files[0], [ALT]: files[1] }))
        } catch (err) {
          if (!(err instanceof ExtractError)) throw err
        }
      }),
      { numRuns: 25 },
    )
  }, 60_000)
})
