import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { dedupBtf, layoutDigest, parseBtf, parseElf } from '../btf/index.ts'
import { abbreviationPatches, notePatches } from './dwz.ts'
import { extractBytes } from './extract.fixture.ts'
import { makeKernel, type SampleKernel } from './kernel.fixture.ts'
import { encodeDwarf, type Encoding } from './pahole.ts'
import { run } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'
import { makeUnits as makeUnitsIn } from './units.fixture.ts'

const dir = await fileScratch()
let kernel: SampleKernel
const at = (name: string): string => join(dir, 'kernel', name)
const temp = (): string => join(dir, 'temp')

const makeUnits = (name: string, flags: readonly string[], kabi = false): Promise<string> =>
  makeUnitsIn(join(dir, 'kernel'), name, flags, kabi)

async function encodes(path: string): Promise<Awaited<ReturnType<typeof extractBytes>>> {
  return await extractBytes(await readFile(path), temp(), { forceDwarf: true })
}

const path = process.env['PATH'] ?? ''
afterEach(() => {
  process.env['PATH'] = path
})

beforeAll(async () => {
  kernel = await makeKernel(join(dir, 'kernel'))
})

describe('DWARF', () => {
  it.each(['-gdwarf-4', '-gdwarf-5'])('of %s gives the same types', async (flag) => {
    const found = await encodes(await makeUnits(`version${flag}`, [flag]))
    expect(found.warnings).toEqual([])
    expect(layoutDigest(parseBtf(found.btf))).toBe(layoutDigest(parseBtf(kernel.btf)))
  })

  it('of clang gives the types that are used', async () => {
    const flags = ['-g', '-gdwarf-5', '-O1', '-fno-pie', '-ffreestanding']
    run('clang', [...flags, '-c', at('kernel.c'), '-o', at('clang.o')])
    run('ld', ['-static', '--build-id=sha1', '-e', '_start', '-o', at('clang'), at('clang.o')])
    expect((await encodes(at('clang'))).origin).toBe('dwarf')
  })

  it.each(['zlib', 'zlib-gnu', 'zstd'])(
    'in sections compressed with %s is read as any other',
    async (how) => {
      run('objcopy', [`--compress-debug-sections=${how}`, kernel.withoutBtf, at(how)])
      const found = await encodes(at(how))
      expect(Buffer.from(found.btf).equals(kernel.btf)).toBe(true)
    },
  )

  it('with relocations left in (--emit-relocs, CONFIG_RELOCATABLE) is read as any other', async () => {
    run('ld', ['-q', '-static', '--build-id=sha1', '-e', '_start', '-o', at('relocs'), at('kernel.o')])
    expect(run('readelf', ['-SW', at('relocs')]).toString()).toContain('.rela.debug_info')
    const found = await encodes(at('relocs'))
    expect(layoutDigest(parseBtf(found.btf))).toBe(layoutDigest(parseBtf(kernel.btf)))
  })

  it.each(['-gdwarf-4', '-gdwarf-5'])(
    'of %s that dwz went over gives the same types, and tells of the second attempt',
    async (flag) => {
      const plain = await makeUnits(`plain${flag}`, [flag])
      const packed = at(`dwz${flag}`)
      await copyFile(plain, packed)
      run('dwz', [packed])
      const [before, after] = [await encodes(plain), await encodes(packed)]
      expect(layoutDigest(parseBtf(after.btf))).toBe(layoutDigest(parseBtf(before.btf)))
      expect(parseBtf(after.btf).idCount).toBe(parseBtf(before.btf).idCount)
      expect(after.warnings).toEqual([
        expect.stringMatching(
          /^tried again without the imported units that dwz made: .*(does not hold|failed)/,
        ),
      ])
    },
  )

  it('that dwz went over before its sections were compressed gives the same types', async () => {
    const plain = await makeUnits('unpacked', ['-gdwarf-5'])
    const expected = await encodes(plain)
    run('dwz', [plain])
    for (const how of ['zlib', 'zstd']) {
      run('objcopy', [`--compress-debug-sections=${how}`, plain, at(`packed-${how}`)])
      const found = await encodes(at(`packed-${how}`))
      expect(layoutDigest(parseBtf(found.btf))).toBe(layoutDigest(parseBtf(expected.btf)))
    }
  })

  it('whose compressed sections do not unpack to what they say is malformed, or too much', async () => {
    run('objcopy', ['--compress-debug-sections=zstd', kernel.withoutBtf, at('lies')])
    const bytes = await readFile(at('lies'))
    const info = parseElf(bytes).sections.find((section) => section.name === '.debug_info')
    const sizeAt = (info?.offset as number) + 8
    bytes.writeUInt32LE(bytes.readUInt32LE(sizeAt) + 1, sizeAt)
    await expect(extractBytes(bytes, temp(), { forceDwarf: true })).rejects.toMatchObject({
      code: 'MALFORMED',
    })
    bytes.writeUInt32LE(1000, sizeAt)
    await expect(extractBytes(bytes, temp(), { forceDwarf: true })).rejects.toMatchObject({ code: 'LIMIT' })
    bytes.writeUInt32LE(0x7fffffff, sizeAt + 4)
    await expect(extractBytes(bytes, temp(), { forceDwarf: true })).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it('of a kernel with kABI macros has each struct once, where pahole alone makes one for each unit', async () => {
    const vmlinux = await makeUnits('kabi', ['-gdwarf-4'], true)
    run('pahole', ['-j1', '--btf_gen_floats', `--btf_encode_detached=${at('kabi.btf')}`, vmlinux])
    const copies = (bytes: Uint8Array): number => {
      const btf = parseBtf(bytes)
      return btf.idsByName('task_struct').length
    }
    expect(copies(await readFile(at('kabi.btf')))).toBe(2)
    expect(copies((await encodes(vmlinux)).btf)).toBe(1)
  })
})

describe('struct ring_buffer of two files', () => {
  it('is why task_struct is there twice, in CentOS 7 too, and is no reason to keep it so', async () => {
    const unit = (own: string): string => `
      struct ring_buffer { ${own} };
      struct perf_event { struct ring_buffer *rb; };
      struct task_struct { int pid; struct perf_event *events; };
      struct task_struct *task_${own.length}; struct ring_buffer *rb_${own.length};`
    const flags = ['-g', '-O1', '-fno-pie', '-ffreestanding', '-c', '-x', 'c', '-']
    run('gcc', [...flags, '-o', at('perf.o')], Buffer.from(unit('int nr_pages; int poll;')))
    run('gcc', [...flags, '-o', at('trace.o')], Buffer.from(unit('unsigned long flags;')))
    run('ld', ['-r', '-o', at('both.o'), at('perf.o'), at('trace.o')])
    run('pahole', ['-j1', `--btf_encode_detached=${at('both.btf')}`, at('both.o')])
    const twice = parseBtf(new Uint8Array(await readFile(at('both.btf'))))
    const merged = parseBtf(dedupBtf(twice, { mergeEqual: true }))
    const copies = (btf: typeof twice, name: string): number => btf.idsByName(name).length
    expect([copies(twice, 'task_struct'), copies(twice, 'ring_buffer')]).toEqual([2, 2])
    expect([copies(merged, 'task_struct'), copies(merged, 'ring_buffer')]).toEqual([1, 2])
  })
})

describe('abbreviationPatches', () => {
  const imported = [0x80, 1, 0x3d, 0, 0x18, 0x10, 0, 0, 0]
  const assembler = [1, 0x2e, 0, 0x49, 0x15, 0, 0, 2, 0x3b, 0, 0, 0, 3, 0x11, 1, 0x10, 0x17, 0, 0, 0]
  const patched = (section: readonly number[]): number[] => {
    const bytes = [...section]
    for (const { at, byte } of abbreviationPatches(Uint8Array.from(section))) bytes[at] = byte
    return bytes
  }

  it('are none for what are no abbreviations, whatever the bytes', () => {
    for (const bytes of [[], [0], [1], [1, 0x3c], [0xff, 0xff, 0xff], [1, 0x11, 1, 3, 0x21]]) {
      expect(abbreviationPatches(Uint8Array.from(bytes))).toEqual([])
    }
  })

  it('are at tags behind constants that are written into the abbreviation', () => {
    const section = [1, 0x11, 1, 3, 0x21, 0x7f, 3, 8, 0, 0, ...imported]
    expect(abbreviationPatches(Uint8Array.from(section))).toEqual([{ at: 12, byte: 0x36 }])
  })

  it('take from functions of assembler what they return, which nobody knows', () => {
    const without = [1, 0x2e, 0, 0x07, 0x15, 0, 0, 2, 0x36, 0, 0, 0, ...assembler.slice(12)]
    const procedure = [0x80, 1, 0x36, ...imported.slice(3)]
    expect(patched([...imported, ...assembler])).toEqual([...procedure, ...without])
  })

  it('are none where dwz was not', () => {
    expect(abbreviationPatches(Uint8Array.from(assembler))).toEqual([])
  })

  it('leave functions alone that share their table with other types', () => {
    const shared = [...assembler.slice(0, -1), 4, 0x24, 0, 0, 0, 0]
    expect(patched([...shared, ...imported]).slice(0, shared.length)).toEqual(shared)
  })
})

describe('notePatches', () => {
  const note = (endian: 'LE' | 'BE', value: number): Buffer => {
    const bytes = Buffer.alloc(24)
    for (const [i, word] of [6, 4, 0x101, 0, 0, value].entries()) {
      if (endian === 'LE') bytes.writeUInt32LE(word, 4 * i)
      else bytes.writeUInt32BE(word, 4 * i)
    }
    bytes.write('Linux', 12)
    return Buffer.concat([Buffer.alloc(16, 1), bytes])
  }

  it.each([
    ['little', 'LE'],
    ['big', 'BE'],
  ] as const)('make a kernel of %s endian one whose units refer to each other', (endian, name) => {
    const bytes = note(name, 0)
    for (const { at, byte } of notePatches(bytes, endian)) bytes[at] = byte
    expect(bytes).toEqual(note(name, 1))
  })

  it('are none where the note is not there, or cut', () => {
    expect(notePatches(Buffer.alloc(64), 'little')).toEqual([])
    expect(notePatches(note('LE', 0).subarray(0, 38), 'little')).toEqual([])
  })
})

describe('pahole', () => {
  const encode = async (bounds: Partial<Encoding> = {}): ReturnType<typeof encodeDwarf> => {
    await mkdir(temp(), { recursive: true })
    const copy = join(temp(), `vmlinux-${Math.random()}`)
    await copyFile(kernel.withoutBtf, copy)
    const signal = new AbortController().signal
    return await encodeDwarf(copy, {
      name: 'sample',
      tempDir: temp(),
      jobs: 2,
      signal,
      expected: null,
      ...bounds,
    })
  }

  /** A pahole that says it can use all cores, and does what `script` says when it is to encode. */
  async function fakePahole(script: string): Promise<void> {
    const bin = join(dir, 'fake')
    await mkdir(bin, { recursive: true })
    const real = `exec env PATH=${path} pahole`
    const text = `#!/bin/sh
case "$*" in
  *supported_btf_features*) echo reproducible_build,float; exit 0;;
  *detached=*) out=$(echo "$*" | sed 's/.*detached=\\([^ ]*\\).*/\\1/'); for last; do :; done
    plain() { ${real} -j1 --btf_gen_floats "--btf_encode_detached=$out" "$last"; }
    ${script};;
esac
${real} "$@"
`
    await writeFile(join(bin, 'pahole'), text)
    await chmod(join(bin, 'pahole'), 0o755)
    process.env['PATH'] = `${bin}${delimiter}${path}`
  }

  it('that fails with all cores is tried with one, which the warnings tell', async () => {
    await fakePahole('case "$*" in *-j2*) echo out of memory >&2; kill -9 $$;; *) plain;; esac')
    const made = await encode()
    expect(Buffer.from(made.btf).equals(kernel.btf)).toBe(true)
    expect(made.flags).toContain('-j1')
    expect(made.warnings).toEqual([
      expect.stringMatching(/^tried again in one thread: .*killed by SIGKILL.*out of memory/),
    ])
  })

  it('that fails every way is told with all its reasons', async () => {
    await fakePahole('case "$*" in *-j2*) echo first >&2; exit 3;; *) echo second >&2; exit 4;; esac')
    await expect(encode()).rejects.toMatchObject({
      code: 'TOOL',
      message: expect.stringMatching(
        /exit code 4\): second; tried again in one thread: .*exit code 3\): first/,
      ) as string,
    })
  })

  it('gets no more memory than its limit', async () => {
    await expect(encode({ memoryBytes: 2 << 20 })).rejects.toMatchObject({ code: 'TOOL' })
    await fakePahole('ulimit -v >&2; exit 1')
    await expect(encode({ memoryBytes: 1 << 30 })).rejects.toThrow(/: 1048576/)
  })

  it('gets no more time than its limit, all attempts together', async () => {
    await fakePahole('case "$*" in *-j2*) exit 1;; *) exec sleep 100;; esac')
    const started = performance.now()
    await expect(encode({ timeoutMs: 300 })).rejects.toMatchObject({
      code: 'TOOL',
      message: 'sample: pahole took longer than 300 ms',
    })
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it('that leaves something out and says so has failed, whatever its exit code', async () => {
    await fakePahole(
      'echo "WARNING: DW_TAG_partial_unit used, some types will not be considered!" >&2; plain',
    )
    await expect(encode()).rejects.toMatchObject({ code: 'INVALID' })
  })
})
