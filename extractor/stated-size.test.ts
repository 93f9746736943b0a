import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CODECS, compress } from './image.fixture.ts'
import { run } from './run.fixture.ts'
import { statedSize } from './stated-size.ts'

const xz = (bytes: Uint8Array, ...args: string[]): Buffer => run('xz', ['-c', ...args], bytes)
const zstd = (bytes: Uint8Array, ...args: string[]): Buffer =>
  run('zstd', ['-qc', `--stream-size=${bytes.byteLength}`, ...args], bytes)
const SIZES = [0, 1, 255, 256, 65_791, 65_792, 3_000_000]
const sample = (size: number): Buffer => Buffer.from('a module '.repeat(size / 9 + 1)).subarray(0, size)

describe('statedSize', () => {
  it.each(SIZES)('is what real tools write, of %i bytes', (size) => {
    const bytes = sample(size)
    expect(statedSize('xz', xz(bytes))).toBe(size)
    expect(
      statedSize('xz', xz(bytes, '--check=crc32', '--lzma2=dict=1MiB', '-T2', '--block-size=100KiB')),
    ).toBe(size)
    expect(statedSize('zstd', zstd(bytes))).toBe(size)
    expect(statedSize('zstd', zstd(bytes, '--no-check', '-19', '--long=27'))).toBe(size)
  })

  it('is read where zstd has it in eight bytes', () => {
    const head = Buffer.from('28b52ffde00500000000000000290000', 'hex')
    const frame = Buffer.concat([head, Buffer.from('hello')])
    expect(run('zstd', ['-dqc'], frame).toString()).toBe('hello')
    expect(statedSize('zstd', frame)).toBe(5)
  })

  it('is not known where nobody stated it', () => {
    expect(statedSize('zstd', run('zstd', ['-qc'], sample(300)))).toBeNull()
    for (const codec of CODECS.filter((one) => one !== 'xz' && one !== 'zstd')) {
      expect(statedSize(codec, compress(codec, sample(300)))).toBeNull()
    }
  })

  it('is not known of files with anything in front or behind, or cut off', () => {
    for (const [codec, packed] of [
      ['xz', xz(sample(5000))],
      ['zstd', zstd(sample(5000))],
    ] as const) {
      expect(statedSize(codec, Buffer.concat([packed, packed]))).toBeNull()
      expect(statedSize(codec, Buffer.concat([packed, Buffer.alloc(4)]))).toBeNull()
      for (let length = 0; length < packed.byteLength; length++) {
        expect(statedSize(codec, packed.subarray(0, length))).toBeNull()
      }
    }
  })

  it('is a number or null, whatever the bytes', () => {
    const packed = [xz(sample(700)), zstd(sample(700))] as const
    fc.assert(
      fc.property(
        fc.constantFrom(...packed),
        fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (bytes, changes) => {
          const changed = Buffer.from(bytes)
          for (const [at, value] of changes) changed[at % changed.byteLength] = value
          const size = statedSize(bytes === packed[0] ? 'xz' : 'zstd', changed)
          expect(size === null || (Number.isFinite(size) && size >= 0)).toBe(true)
        },
      ),
    )
  })
})
