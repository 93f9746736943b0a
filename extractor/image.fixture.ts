import type { Codec } from './codec.ts'
import { run } from './run.fixture.ts'

/** How the kernel's build calls each compressor (scripts/Makefile.lib, cmd_gzip to cmd_zstd22). */
const COMPRESS: Readonly<Record<Codec, readonly [string, ...string[]]>> = {
  gzip: ['gzip', '-n', '-9'],
  bzip2: ['bzip2', '-9'],
  lzma: ['xz', '--format=lzma', '-9'],
  xz: ['xz', '--check=crc32', '--x86', '--lzma2=dict=32MiB'],
  lz4: ['lz4', '-l', '-9', '-'],
  // The kernel's -22 --ultra takes seconds; what matters of it is the window of 128 MiB.
  zstd: ['zstd', '-3', '--long=27'],
}
export const CODECS = Object.keys(COMPRESS) as Codec[]

export function compress(codec: Codec, bytes: Uint8Array): Buffer {
  const [program, ...args] = COMPRESS[codec]
  return run(program, codec === 'lz4' ? args : [...args, '-c'], bytes)
}

/** The payload as the kernel's build makes it: all but gzip with the unpacked size behind it. */
export function payload(codec: Codec, kernel: Uint8Array): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32LE(kernel.byteLength)
  return Buffer.concat([compress(codec, kernel), ...(codec === 'gzip' ? [] : [size])])
}

/** A bzImage: boot sector, setup, code that is not there, the payload, and what a signature would be. */
export function bzImage(packed: Uint8Array): Buffer {
  const setupSectors = 3
  const codeBytes = 300
  const setup = Buffer.alloc((setupSectors + 1) * 512, 0x90)
  const code = Buffer.alloc(codeBytes, 0x90)
  const tail = Buffer.alloc(40 - ((codeBytes + packed.byteLength) % 16), 0x90)
  setup.write('MZ', 0, 'latin1')
  setup.writeUInt8(setupSectors, 0x1f1)
  setup.writeUInt32LE((codeBytes + packed.byteLength + tail.byteLength) >> 4, 0x1f4)
  setup.writeUInt16LE(0xaa55, 0x1fe)
  setup.write('HdrS', 0x202, 'latin1')
  setup.writeUInt16LE(0x020f, 0x206)
  setup.writeUInt32LE(codeBytes, 0x248)
  setup.writeUInt32LE(packed.byteLength, 0x24c)
  return Buffer.concat([setup, code, packed, tail, Buffer.from('a certificate')])
}

/** An arm64 Image: a header, and the kernel as it lies in memory. */
export function arm64Image(flat: Uint8Array): Buffer {
  const header = Buffer.alloc(64)
  header.write('MZ', 0, 'latin1')
  header.write('ARM\x64', 56, 'latin1')
  return Buffer.concat([header, flat])
}

/** An EFI zboot image; its size field leaves the appended size out. */
export function zboot(codec: Codec, image: Uint8Array): Buffer {
  const packed = payload(codec, image)
  const header = Buffer.alloc(256)
  header.write('MZ', 0, 'latin1')
  header.write('zimg', 4, 'latin1')
  header.writeUInt32LE(header.byteLength, 8)
  header.writeUInt32LE(codec === 'gzip' ? packed.byteLength : packed.byteLength - 4, 12)
  header.write(codec === 'zstd' ? 'zstd22' : codec, 24, 'latin1')
  return Buffer.concat([header, packed, Buffer.alloc(100)])
}
