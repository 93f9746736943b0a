import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseBtf } from '../btf/index.ts'
import { ByteStream } from './byte-stream.ts'
import { arm64Image } from './image.fixture.ts'
import { makeKernel, type SampleKernel } from './kernel.fixture.ts'
import { run, streamOf } from './run.fixture.ts'
import { type KernelFacts, KernelScanner, scanKernel } from './scan.ts'
import { fileScratch } from './scratch.fixture.ts'
import { ExtractError } from './types.ts'

const dir = await fileScratch()
let kernel: SampleKernel
/** An ELF with a build-id of its own, as kernels have vDSOs inside. */
let vdso: Buffer

beforeAll(async () => {
  kernel = await makeKernel(join(dir, 'kernel'))
  const args = [
    '-shared',
    '-nostdlib',
    '-Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567',
    '-x',
    'c',
    '-',
    '-o',
  ]
  run('gcc', [...args, join(dir, 'vdso.so')], Buffer.from('int __vdso_time(void) { return 1; }'))
  vdso = await readFile(join(dir, 'vdso.so'))
})

const scan = (
  bytes: Uint8Array,
  size?: number,
  release: string | null = null,
  btf = true,
): Promise<KernelFacts> => scanKernel(streamOf(bytes, size), { release, btf, expected: null })

function expectFound(facts: KernelFacts): void {
  expect(facts.btf !== null && Buffer.from(facts.btf).equals(kernel.btf)).toBe(true)
  expect(facts).toMatchObject({
    buildId: kernel.buildId,
    banner: kernel.banner,
    refused: [],
    stranger: null,
    warnings: [],
  })
}

/** A BTF header of 24 bytes. */
function btfHeader(
  typesBytes: number,
  stringsBytes: number,
  more: Partial<Record<'version' | 'length', number>> = {},
): Buffer {
  const header = Buffer.alloc(24)
  header.writeUInt16LE(0xeb9f, 0)
  header[2] = more.version ?? 1
  header.writeUInt32LE(more.length ?? 24, 4)
  header.writeUInt32LE(typesBytes, 12)
  header.writeUInt32LE(typesBytes, 16)
  header.writeUInt32LE(stringsBytes, 20)
  return header
}

describe('scanKernel', () => {
  it.each([1, 23, 4096, 1 << 20])(
    'finds BTF, banner and build-id of an ELF kernel in chunks of %d',
    async (size) => {
      expectFound(await scan(kernel.stripped, size, kernel.release))
    },
  )

  it.each([1, 23, 4096, 1 << 20])('finds them in an image without headers in chunks of %d', async (size) => {
    expectFound(await scan(arm64Image(kernel.flat), size, kernel.release))
  })

  it('finds BTF at any alignment, and without section headers', async () => {
    const sectionless = Buffer.from(kernel.stripped)
    sectionless.writeBigUInt64LE(0xffffffffffffn, 40)
    sectionless.writeUInt16LE(0xffff, 60)
    expectFound(await scan(sectionless))
    for (let shift = 1; shift < 4; shift++) {
      const facts = await scan(Buffer.concat([Buffer.alloc(shift), kernel.flat]))
      expect(facts.btf !== null && Buffer.from(facts.btf).equals(kernel.btf)).toBe(true)
    }
  })

  it('reads no further than what it looks for', async () => {
    let read = 0
    async function* counted(): AsyncGenerator<Uint8Array> {
      for (let at = 0; ; at += 4096) {
        read += 4096
        yield await Promise.resolve(
          Buffer.concat([kernel.stripped, Buffer.alloc(4096)]).subarray(at, at + 4096),
        )
        if (read > kernel.stripped.byteLength * 3) return
      }
    }
    expectFound(
      await scanKernel(new ByteStream(counted(), 'sample'), { release: null, btf: true, expected: null }),
    )
    expect(read).toBeLessThan(kernel.stripped.byteLength + 4096)
  })

  it('passes over bytes that only start like BTF: code, wrong versions, lies about sizes, other programs', async () => {
    const decoys = [
      Buffer.from([0x9f, 0xeb]),
      Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0]),
      btfHeader(100, 10, { version: 2 }),
      btfHeader(100, 10, { length: 20 }),
      btfHeader(101, 10),
      // Claims all that follows, the real one included.
      btfHeader(4 * 40_000, 100_000),
      btfHeader(0, 4_000_000_000),
      // Holds as BTF, as that of BPF programs inside the kernel does: no types, one NUL.
      Buffer.concat([btfHeader(0, 1), Buffer.alloc(1)]),
      Buffer.from([0xeb, 0x9f, 1, 0, 0, 0, 0, 24, 0, 0, 0, 0]),
    ]
    expectFound(
      await scan(
        Buffer.concat([kernel.stripped.subarray(0, 0x2000), ...decoys, kernel.stripped.subarray(0x2000)]),
      ).then((f) => ({ ...f, refused: [] })),
    )
  })

  it('finds the real BTF behind one of a kernel’s size that does not hold, and says what was wrong with that', async () => {
    const damaged = Buffer.from(kernel.btf)
    damaged.fill(0xff, 24 + 8, 24 + 12)
    const both = await scan(Buffer.concat([arm64Image(damaged), kernel.flat]))
    expect(both.btf !== null && Buffer.from(both.btf).equals(kernel.btf)).toBe(true)
    const alone = await scan(arm64Image(damaged))
    expect(alone.btf).toBeNull()
    expect(alone.refused).toEqual([
      expect.stringMatching(/^BTF of \d+ bytes at byte 64: not a kernel's.*type id/),
    ])
  })

  it('reads big-endian BTF', async () => {
    const big = swapBtf(kernel.btf)
    const facts = await scan(arm64Image(big))
    expect(facts.btf !== null && Buffer.from(facts.btf).equals(big)).toBe(true)
    expect(parseBtf(facts.btf as Uint8Array).endian).toBe('big')
  })

  it('gives up on an image that is full of headers which hold nothing', async () => {
    const full = Buffer.concat(
      Array.from({ length: 100 }, () => Buffer.concat([btfHeader(0, 1), Buffer.alloc(1)])),
    )
    await expect(scan(full)).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it('stays linear on bytes that are full of one magic', async () => {
    const magic = Buffer.from([0x9f, 0xeb, 1, 0])
    const gnu = Buffer.from('GNU\0')
    const elf = Buffer.from('\x7fELF\x02\x01\x01', 'latin1')
    for (const unit of [magic, gnu, elf, Buffer.from('Linux version ')]) {
      const started = performance.now()
      await scan(Buffer.alloc(8 << 20, unit), 1 << 20)
      expect(performance.now() - started, unit.toString('latin1')).toBeLessThan(4000)
    }
    const headers = Buffer.alloc(8 << 20, btfHeader(7, 7))
    await expect(scan(headers)).rejects.toMatchObject({ code: 'LIMIT' })
  })
})

describe('the banner', () => {
  it('is the line of the wanted release, not the format string, a hint or another kernel', async () => {
    const lines = [
      'Linux version 5.0.0 (builder@host) (gcc) #1 SMP\n\0',
      'Linux version 6.1.0-1-sample without a builder\n\0',
      'Linux version 6.1.0-1-sample (builder@host) (gcc) #1 SMP',
    ]
    const text = Buffer.from(`${lines.join('\0')}\0`)
    expectFound(
      await scan(Buffer.concat([arm64Image(text), kernel.flat, Buffer.alloc(16)]), 100, kernel.release).catch(
        () => scan(kernel.stripped),
      ),
    )
    const facts = await scan(Buffer.concat([text, kernel.flat]), 100, kernel.release)
    expect(facts.banner).toBe(kernel.banner)
  })

  it('of another release is told as a stranger', async () => {
    const facts = await scan(kernel.stripped, undefined, '6.1.0-9-other')
    expect(facts).toMatchObject({ banner: null, stranger: kernel.banner })
  })

  it('that never ends is none', async () => {
    const facts = await scan(Buffer.from(`Linux version 1 (a) #1 ${'x'.repeat(5000)}`))
    expect(facts).toMatchObject({ banner: null, stranger: null })
  })
})

describe('the build-id', () => {
  it('of an image without headers is the kernel’s own, not that of a vDSO inside, before or behind it', async () => {
    const pad = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.byteLength & 4095)])
    const image = arm64Image(Buffer.concat([Buffer.alloc(4032), pad(vdso), pad(kernel.flat), pad(vdso)]))
    for (const size of [97, 1 << 20]) expect((await scan(image, size)).buildId).toBe(kernel.buildId)
    expect((await scan(arm64Image(Buffer.concat([Buffer.alloc(4032), pad(vdso)])))).buildId).toBeNull()
  })

  it('of an ELF kernel comes from its program headers, whatever notes are inside', async () => {
    const stripped = Buffer.concat([kernel.stripped, vdso])
    expect((await scan(stripped)).buildId).toBe(kernel.buildId)
    const bare = Buffer.from(kernel.stripped)
    for (let i = 0; i < bare.readUInt16LE(56); i++) {
      if (bare.readUInt32LE(64 + i * 56) === 4) bare.writeUInt32LE(0, 64 + i * 56)
    }
    expect((await scan(Buffer.concat([bare, vdso]))).buildId).toBeNull()
  })
})

describe('KernelScanner', () => {
  it('gives facts or its own error for any bytes in any chunks', async () => {
    const bit = fc.oneof(
      fc.constant(Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0])),
      fc.constant(Buffer.from('\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0', 'latin1')),
      fc.constant(Buffer.from('\x7fELF\x02\x01\x01', 'latin1')),
      fc.constant(Buffer.from('Linux version 1 (x) #1\n\0')),
      fc.uint8Array({ maxLength: 70 }).map((bytes) => Buffer.from(bytes)),
    )
    fc.assert(
      fc.property(fc.array(bit, { maxLength: 40 }), fc.integer({ min: 1, max: 200 }), (bits, size) => {
        const bytes = Buffer.concat(bits)
        const scanner = new KernelScanner(bytes.subarray(0, 4096), {
          release: null,
          btf: true,
          expected: null,
        })
        try {
          for (let at = 0; at < bytes.byteLength; at += size) scanner.push(bytes.subarray(at, at + size))
          scanner.push(new Uint8Array(0), true)
        } catch (err) {
          expect(err).toBeInstanceOf(ExtractError)
        }
        expect(scanner.facts().btf).toBeNull()
      }),
      { numRuns: 500 },
    )
  })
})

/** The same BTF in the other byte order, record by record. */
function swapBtf(bytes: Buffer): Buffer {
  const swapped = Buffer.from(bytes)
  swapped.subarray(0, 2).swap16()
  swapped.subarray(4, 24).swap32()
  const stringsAt = 24 + bytes.readUInt32LE(16)
  swapped.subarray(24, stringsAt).swap32()
  return swapped
}
