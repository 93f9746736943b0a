import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bzImagePayload, isBzImage } from './bzimage.ts'
import { bzImage, CODECS, payload, zboot } from './image.fixture.ts'
import { gather, run, streamOf } from './run.fixture.ts'
import { ExtractError } from './types.ts'
import { unwrapImage } from './unwrap.ts'
import { isZboot } from './zboot.ts'

const never = new AbortController().signal
const KERNEL = Buffer.concat([
  Buffer.from('\x7fELF and what follows '.repeat(100), 'latin1'),
  run('openssl', ['rand', '5000']),
])
const unwrap = (image: Uint8Array, kind: 'bzimage' | 'zboot' = 'bzimage', size?: number): Promise<Buffer> =>
  gather(unwrapImage(streamOf(image, size), kind, never))

const IMAGE = bzImage(payload('gzip', KERNEL))
const changed = (change: (image: Buffer) => void, image = IMAGE): Buffer => {
  const copy = Buffer.from(image)
  change(copy)
  return copy
}

describe('unwrapImage', () => {
  it.each(CODECS)('unpacks a bzImage and a zboot image with %s', async (codec) => {
    for (const size of [61, 65536]) {
      expect((await unwrap(bzImage(payload(codec, KERNEL)), 'bzimage', size)).equals(KERNEL)).toBe(true)
      expect((await unwrap(zboot(codec, KERNEL), 'zboot', size)).equals(KERNEL)).toBe(true)
    }
  })

  it('takes four setup sectors where the header says none, as boot loaders do', async () => {
    const image = bzImage(payload('gzip', KERNEL))
    const moved = Buffer.concat([image.subarray(0, 2048), Buffer.alloc(512), image.subarray(2048)])
    moved[0x1f1] = 0
    expect((await unwrap(moved)).equals(KERNEL)).toBe(true)
  })

  it('holds the unpacked size against the one behind the payload', async () => {
    const packed = payload('xz', KERNEL)
    packed.writeUInt32LE(KERNEL.byteLength + 1, packed.byteLength - 4)
    await expect(unwrap(bzImage(packed))).rejects.toMatchObject({
      code: 'MALFORMED',
      message: `sample: xz payload unpacks to ${KERNEL.byteLength} bytes, ${KERNEL.byteLength + 1} are stated`,
    })
  })

  it.each([
    ['an end in the setup header', IMAGE.subarray(0, 0x240), 'MALFORMED', /setup header/],
    [
      'an old boot protocol',
      changed((i) => i.writeUInt16LE(0x0207, 0x206)),
      'UNSUPPORTED',
      /boot protocol 0x207/,
    ],
    ['an empty payload', changed((i) => i.writeUInt32LE(0, 0x24c)), 'MALFORMED', /payload of 0 bytes/],
    [
      'a payload behind the code',
      changed((i) => i.writeUInt32LE(0xffffffff, 0x248)),
      'MALFORMED',
      /at byte 4294967295/,
    ],
    [
      'a payload longer than the code',
      changed((i) => i.writeUInt32LE(0x7fffffff, 0x24c)),
      'MALFORMED',
      /payload of/,
    ],
    [
      'code and payload longer than any image',
      changed((i) => {
        i.writeUInt32LE(0xfffffff, 0x1f4)
        i.writeUInt32LE(0x7fffffff, 0x24c)
      }),
      'LIMIT',
      /images have up to/,
    ],
    [
      'a payload that is no compression',
      changed((i) => i.fill(0xcc, 2048 + 300, 2048 + 320)),
      'UNSUPPORTED',
      /cccccccc/,
    ],
    [
      'an end in the payload',
      IMAGE.subarray(0, 2500),
      'MALFORMED',
      /ends at byte 2500, in the middle of the gzip payload/,
    ],
    ['an end before the payload', IMAGE.subarray(0, 2100), 'MALFORMED', /the code before the payload/],
  ] as const)('refuses %s', async (_, image, code, message) => {
    await expect(unwrap(image)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    })
  })

  it.each([
    ['an end in the zboot header', (i: Buffer) => i.subarray(0, 40), /zboot image ends at byte 40/],
    ['a payload inside the header', (i: Buffer) => changed((c) => c.writeUInt32LE(8, 8), i), /at byte 8/],
    ['no payload', (i: Buffer) => changed((c) => c.writeUInt32LE(0, 12), i), /payload of 0 bytes/],
    ['a payload that is not there', (i: Buffer) => changed((c) => c.writeUInt32LE(1 << 20, 12), i), /zstd/],
  ])('refuses a zboot image with %s', async (_, change, message) => {
    await expect(unwrap(change(zboot('zstd', KERNEL)), 'zboot')).rejects.toMatchObject({
      code: 'MALFORMED',
      message: expect.stringMatching(message) as string,
    })
  })

  it('gives a kernel or its own error for any header', async () => {
    const change = fc.tuple(fc.integer({ min: 0x1f0, max: 0x24f }), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 5 }), fc.nat(IMAGE.byteLength), async (changes, end) => {
        const image = changed((i) => changes.forEach(([at, value]) => (i[at] = value))).subarray(0, end)
        await unwrap(image).catch((err: unknown) => expect(err).toBeInstanceOf(ExtractError))
      }),
    )
  })
})

describe('headers', () => {
  it('are told by their magic alone', () => {
    expect(isBzImage(IMAGE)).toBe(true)
    expect(isZboot(IMAGE)).toBe(false)
    expect(isZboot(zboot('gzip', KERNEL))).toBe(true)
    for (const bytes of [Buffer.alloc(0), Buffer.from('MZ'), Buffer.alloc(2000)]) {
      expect(isBzImage(bytes)).toBe(false)
      expect(isZboot(bytes)).toBe(false)
    }
  })

  it('say where the payload is', () => {
    expect(bzImagePayload(IMAGE, 'sample').offset).toBe(4 * 512 + 300)
  })
})
