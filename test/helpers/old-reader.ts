/**
 * A reader of old, written from what old readers' sources do and not with ours: libbpf 0.1 to 0.3 take types from byte
 * 24 on whatever the header says (src/btf.c, btf_parse_hdr), all of them give vlen 16 bits and kind 5, and refuse a
 * file whole for one kind that they do not know.
 */

/** Bytes behind the twelve of every record, by kind: fixed, and for each of vlen. */
const SIZES: readonly (readonly [fixed: number, each: number])[] = [
  [0, 0],
  [4, 0],
  [0, 0],
  [12, 0],
  [0, 12],
  [0, 12],
  [0, 8],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 8],
  [4, 0],
  [0, 12],
  [0, 0],
  [4, 0],
  [0, 0],
  [0, 12],
]
const FUNC = 12

/** The kinds of all types, as a reader sees them that knows none above `highestKind`. Throws where it would refuse. */
export function readAsOld(bytes: Uint8Array, highestKind: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isLittle = view.getUint16(0, true) === 0xeb9f
  const u32 = (at: number): number => view.getUint32(at, isLittle)
  const [headerBytes, typesAt, typesBytes, stringsAt, stringsBytes] = [4, 8, 12, 16, 20].map(u32) as [
    number,
    number,
    number,
    number,
    number,
  ]
  if (headerBytes !== 24) throw new Error(`a header of ${headerBytes} bytes`)
  if (typesAt !== 0 || typesAt + typesBytes > stringsAt) throw new Error('types out of place')
  if (24 + stringsAt + stringsBytes !== bytes.byteLength) throw new Error('bytes behind the strings')
  const kinds: number[] = []
  let at = 24
  while (at < 24 + typesBytes) {
    const info = u32(at + 4)
    if ((info & 0x60ff0000) !== 0) throw new Error(`info 0x${info.toString(16)} has bits that mean nothing`)
    const kind = (info >>> 24) & 0x1f
    const vlen = info & 0xffff
    const size = SIZES[kind]
    if (kind === 0 || kind > highestKind || size === undefined) throw new Error(`kind ${kind} is unknown`)
    const isFlagged = info >>> 31 === 1
    const mayBeFlagged =
      kind === 4 || kind === 5 || kind === 7 || (highestKind >= 19 && (kind === 6 || kind === 19))
    if (isFlagged && !mayBeFlagged) throw new Error(`kind ${kind} with a flag that means nothing`)
    kinds.push(kind)
    at += 12 + size[0] + (kind === FUNC ? 0 : vlen * size[1])
  }
  if (at !== 24 + typesBytes) throw new Error('the last record is cut off')
  return kinds
}
