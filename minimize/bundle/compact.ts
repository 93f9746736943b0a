import { ByteReader, BtfError } from '../../btf/index.ts'
import { sha256Of } from '../../core/digest.ts'
import { formatKernel, type Kernel, KernelNameError, parseKernel } from '../../core/kernel.ts'
import { MinimizeError } from '../errors.ts'
import { isSame } from './files.ts'
import type { BundleItem, LeftOut } from './types.ts'

/** docs/bundles.md describes the format. */
const MAGIC = 'BTFHUBB1'
const HEADER_BYTES = 16
const ALIGNMENT = 8

/** Where a kernel's min BTF is: a number among the contents. */
interface Index {
  readonly kernels: Readonly<Record<string, number>>
  /** Offset from the first content, and size. */
  readonly contents: readonly (readonly [offset: number, sizeBytes: number])[]
}

/** Packs min BTFs so that each content is there once. The same bytes for the same items, whatever their order. */
export function encodeCompact(items: readonly BundleItem[]): {
  readonly bytes: Uint8Array
  readonly contents: number
  readonly leftOut: readonly LeftOut[]
} {
  const byKernel = new Map<string, BundleItem[]>()
  for (const item of items) {
    const name = formatKernel(item.kernel)
    byKernel.set(name, [...(byKernel.get(name) ?? []), item])
  }
  const leftOut: LeftOut[] = []
  const numbers = new Map<string, number>()
  const contents: Uint8Array[] = []
  const kernels: [string, number][] = []
  for (const [name, same] of [...byKernel].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [first, ...others] = same as [BundleItem, ...BundleItem[]]
    if (others.some(({ bytes }) => !isSame(bytes, first.bytes))) {
      leftOut.push({ name, kernels: same.map(({ kernel }) => kernel), why: 'ambiguous' })
      continue
    }
    const digest = sha256Of(first.bytes)
    const number = numbers.get(digest) ?? contents.length
    if (number === contents.length) contents.push(first.bytes)
    numbers.set(digest, number)
    kernels.push([name, number])
  }
  return { bytes: assemble(kernels, contents), contents: contents.length, leftOut }
}

function assemble(
  kernels: readonly (readonly [string, number])[],
  contents: readonly Uint8Array[],
): Uint8Array {
  // Offsets are from the first content, so that the index's own length does not matter to them.
  let offset = 0
  const places = contents.map(({ byteLength }) => {
    const place = [offset, byteLength] as const
    offset += aligned(byteLength)
    return place
  })
  const index: Index = { kernels: Object.fromEntries(kernels), contents: places }
  const text = Buffer.from(JSON.stringify(index))
  const start = HEADER_BYTES + aligned(text.byteLength)
  const bytes = Buffer.alloc(start + offset)
  bytes.write(MAGIC, 'latin1')
  bytes.writeUInt32LE(text.byteLength, 8)
  bytes.writeUInt32LE(start, 12)
  text.copy(bytes, HEADER_BYTES)
  for (const [i, content] of contents.entries()) bytes.set(content, start + (places[i]?.[0] ?? 0))
  return bytes
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT
}

/** Reads what {@link encodeCompact} wrote. Throws MinimizeError `MALFORMED`. */
export function decodeCompact(bytes: Uint8Array): BundleItem[] {
  try {
    const reader = new ByteReader(bytes, 'little', 'bundle')
    if (Buffer.from(reader.slice(0, MAGIC.length)).toString('latin1') !== MAGIC)
      throw malformed(`expected it to start with ${MAGIC}`)
    const text = Buffer.from(reader.slice(HEADER_BYTES, reader.u32(8))).toString()
    const start = reader.u32(12)
    const { kernels, contents } = parseIndex(text)
    return kernels.map(([name, number]): BundleItem => {
      const place = contents[number]
      if (place === undefined) throw malformed(`${name} has content ${number} of ${contents.length}`)
      return { kernel: kernelOf(name), bytes: reader.slice(start + place[0], place[1]) }
    })
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new MinimizeError('MALFORMED', err.message, { cause: err })
  }
}

function kernelOf(name: string): Kernel {
  try {
    return parseKernel(name)
  } catch (err) {
    if (!(err instanceof KernelNameError)) throw err
    throw malformed(err.message)
  }
}

function parseIndex(text: string): {
  readonly kernels: readonly (readonly [string, number])[]
  readonly contents: readonly (readonly [number, number])[]
} {
  let index: unknown
  try {
    index = JSON.parse(text)
  } catch {
    throw malformed('its index is no JSON')
  }
  const { kernels, contents } = (index ?? {}) as Partial<Record<string, unknown>>
  if (typeof kernels !== 'object' || kernels === null || !Array.isArray(contents))
    throw malformed('its index has no kernels or no contents')
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
  return {
    kernels: Object.entries(kernels).map(([name, number]: [string, unknown]) => {
      if (!isCount(number)) throw malformed(`${name}: expected the number of a content`)
      return [name, number]
    }),
    contents: contents.map((place: unknown) => {
      const [offset, sizeBytes] = Array.isArray(place) ? (place as unknown[]) : []
      if (!isCount(offset) || !isCount(sizeBytes)) throw malformed('a content without offset and size')
      return [offset, sizeBytes]
    }),
  }
}

function malformed(problem: string): MinimizeError {
  return new MinimizeError('MALFORMED', `bundle: ${problem}`)
}
