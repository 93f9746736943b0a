import { describe, expect, it } from 'vitest'
import { run } from './run.fixture.ts'
import { type PackedFile, unpackTogether } from './unpack-together.ts'

const never = new AbortController().signal
const TOOLS = { xz: ['-c', '--check=crc32'], zstd: ['-qc'] } as const
type Tool = keyof typeof TOOLS

function file(of: string, codec: Tool, bytes: Uint8Array): PackedFile<string> {
  const size = codec === 'zstd' ? [`--stream-size=${bytes.byteLength}`] : []
  return { of, codec, packed: run(codec, [...TOOLS[codec], ...size], bytes) }
}
const content = (i: number): Buffer => Buffer.from(`${i} of many `.repeat(i * 400))

async function unpacked(files: readonly PackedFile<string>[]): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>()
  for await (const { of, bytes } of unpackTogether(files, never)) found.set(of, bytes)
  return found
}

describe('unpackTogether', () => {
  it('gives each file what is in it, of both compressions, the empty ones too', async () => {
    const files = Array.from({ length: 24 }, (_, i) =>
      file(`${i}`, i % 2 === 0 ? 'xz' : 'zstd', i % 7 === 3 ? new Uint8Array(0) : content(i)),
    )
    const found = await unpacked(files)
    expect(found.size).toBe(files.length)
    for (const [i, { of }] of files.entries()) {
      expect(Buffer.from(found.get(of)!).equals(i % 7 === 3 ? Buffer.alloc(0) : content(i)), of).toBe(true)
    }
    expect(await unpacked([])).toEqual(new Map())
  })

  it('leaves out what does not say its size', async () => {
    const quiet = { of: 'quiet', codec: 'zstd', packed: run('zstd', ['-qc'], content(3)) } as const
    const gzip = { of: 'gzip', codec: 'gzip', packed: run('gzip', ['-c'], content(3)) } as const
    expect([...(await unpacked([quiet, file('one', 'zstd', content(1)), gzip])).keys()]).toEqual(['one'])
  })

  it.each<Tool>(['xz', 'zstd'])(
    'gives nothing of a file of %s whose checksum is wrong, nor of those behind it',
    async (codec) => {
      for (const at of [0, 1, 3]) {
        const files = [1, 2, 3, 4].map((i) => file(`${i}`, codec, content(i)))
        const packed = Buffer.from(files[at]!.packed)
        // A checksum ends a block of xz, behind which are index and footer (12 bytes), and a frame of zstd.
        const indexBytes = (packed.readUInt32LE(packed.byteLength - 8) + 1) * 4
        packed[packed.byteLength - (codec === 'xz' ? indexBytes + 12 : 0) - 1]! ^= 0xff
        files[at] = { ...files[at]!, packed }
        const found = await unpacked(files)
        // What is in front of it may be lost with it.
        expect(['1', '2', '3', '4'].slice(0, at)).toEqual(expect.arrayContaining([...found.keys()]))
        for (const [of, bytes] of found) expect(Buffer.from(bytes).equals(content(Number(of)))).toBe(true)
      }
    },
  )

  it('gives nothing of a file that is longer or shorter than it says', async () => {
    for (const delta of [1, -1]) {
      const lying = file('lying', 'zstd', content(2))
      const packed = Buffer.from(lying.packed)
      const sizeAt = packed[4]! & 0x20 ? 5 : 6
      packed[sizeAt]! += delta
      const found = await unpacked([file('one', 'zstd', content(1)), { ...lying, packed }])
      expect(found.has('lying')).toBe(false)
    }
  })

  it('ends with its signal, and with its reader', async () => {
    const files = [1, 2, 3].map((i) => file(`${i}`, 'xz', content(i)))
    const controller = new AbortController()
    controller.abort(new Error('enough'))
    const all = unpackTogether(files, controller.signal)
    await expect(all.next()).rejects.toThrow('enough')
    for await (const { of } of unpackTogether(files, never)) {
      expect(of).toBe('1')
      break
    }
  })
})
