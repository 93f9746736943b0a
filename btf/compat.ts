import type { Btf } from './btf.ts'
import { frameBtf } from './encode.ts'
import { BtfError } from './errors.ts'
import { infoKind, infoKindFlag, infoVlen, Kind, kindName, makeInfo, RECORD_WORDS } from './wire.ts'

/**
 * What a reader of old knows, named after the libbpf that it is: `0.3` and before nothing behind DATASEC, `0.4` FLOAT,
 * `0.6` DECL_TAG and TYPE_TAG, `1.0` ENUM64. None of them knows a layout section, more than 65535 elements, or tags
 * that are attributes. docs/compat.md says which readers those are.
 */
export type CompatLevel = keyof typeof HIGHEST_KIND

const HIGHEST_KIND = {
  '0.3': Kind.DATASEC,
  '0.4': Kind.FLOAT,
  '0.6': Kind.TYPE_TAG,
  '1.0': Kind.ENUM64,
} as const
export const COMPAT_LEVELS = Object.keys(HIGHEST_KIND) as readonly CompatLevel[]

/** The most elements that `info` had room for before Linux 7.1. */
const OLD_MAX_VLEN = 0xffff

/** An unsigned INT of 8 bits. */
const BYTE_INT = 8

/** Sets one record of the output, from its name on. */
type Put = (name: number, info: number, sizeOrType: number, trailing?: ArrayLike<number>) => void

/**
 * The same BTF for old readers: every type keeps its id, kinds above the level become what libbpf's own sanitizing
 * makes of them for old kernels (bpf_object__sanitize_btf): FLOAT an empty struct of its size, TYPE_TAG a const,
 * DECL_TAG and what nobody knows a nameless int; the sign of an ENUM goes with ENUM64, which came together. ENUM64
 * becomes an ENUM of its size, other than libbpf's union, so that relocations of types and values stay what they are;
 * values beyond 32 bits are left out, as any would be a wrong one. The header has 24 bytes.
 *
 * It works on words, as it may be made while somebody waits for it: a kernel of 5 MB takes some 10 ms.
 *
 * Throws BtfError `NEEDS_BASE` for split BTF, `UNSUPPORTED` for structs and prototypes of more than 65535 elements.
 */
export function lowerBtf(btf: Btf, level: CompatLevel): Uint8Array {
  if (btf.base !== null)
    throw new BtfError('NEEDS_BASE', 'split BTF: an old reader knows none, merge it first')
  const { words, starts } = btf
  const highest = HIGHEST_KIND[level]
  // An unknown kind without data of its own is the only record that grows, by the word that an INT has.
  const out = new Uint32Array(words.length + starts.length)
  let used = 0
  const put: Put = (name, info, sizeOrType, trailing = []) => {
    out[used] = name
    out[used + 1] = info
    out[used + 2] = sizeOrType
    out.set(trailing, used + RECORD_WORDS)
    used += RECORD_WORDS + trailing.length
  }
  for (let index = 0; index < starts.length - 1; index++) {
    const record = words.subarray(starts[index], starts[index + 1])
    if (isReadable(record, highest)) {
      out.set(record, used)
      used += record.length
    } else lower(record, btf, btf.firstId + index, highest, put)
  }
  return frameBtf(out.subarray(0, used), btf.strings.bytes, btf.endian)
}

/** Whether a reader that knows kinds up to `highest` reads a record as it is. */
function isReadable(record: Uint32Array, highest: number): boolean {
  const info = record[1] as number
  const kind = infoKind(info)
  if (kind > highest || infoVlen(info) > OLD_MAX_VLEN) return false
  if (kind === Kind.ENUM) return highest >= Kind.ENUM64 || !infoKindFlag(info)
  return !(infoKindFlag(info) && (kind === Kind.DECL_TAG || kind === Kind.TYPE_TAG))
}

function lower(record: Uint32Array, btf: Btf, id: number, highest: number, put: Put): void {
  const [name, info, third] = record as unknown as readonly [number, number, number]
  const kind = infoKind(info)
  const trailing = record.subarray(RECORD_WORDS)
  switch (kind) {
    case Kind.FLOAT:
      // Nameless: C has no `struct float`.
      return put(0, makeInfo(Kind.STRUCT, 0, false), third)
    case Kind.TYPE_TAG:
      return put(0, makeInfo(Kind.CONST, 0, false), third)
    case Kind.ENUM64: {
      if (highest >= Kind.ENUM64) return putFirst(put, record, 3)
      const values = narrowValues(trailing, infoKindFlag(info)).slice(0, OLD_MAX_VLEN)
      return put(name, makeInfo(Kind.ENUM, values.length, false), third, values.flat())
    }
    case Kind.ENUM: {
      const isSigned = infoKindFlag(info) && highest >= Kind.ENUM64
      const count = Math.min(infoVlen(info), OLD_MAX_VLEN)
      return put(name, makeInfo(kind, count, isSigned), third, trailing.subarray(0, count * 2))
    }
    case Kind.DATASEC:
      return putFirst(put, record, 3)
    case Kind.STRUCT:
    case Kind.UNION:
    case Kind.FUNC_PROTO:
      throw new BtfError(
        'UNSUPPORTED',
        `type id ${id}: ${kindName(kind)} ${btf.name(id)} has ${infoVlen(info)} elements, old readers count to ${OLD_MAX_VLEN}`,
      )
    default:
      // A type of its own that nobody asks for.
      return put(0, makeInfo(Kind.INT, 0, false), 1, [BYTE_INT])
  }
}

/** A record with as many of its elements as an old reader counts. */
function putFirst(put: Put, record: Uint32Array, elementWords: number): void {
  const [name, info, third] = record as unknown as readonly [number, number, number]
  const count = Math.min(infoVlen(info), OLD_MAX_VLEN)
  const elements = record.subarray(RECORD_WORDS, RECORD_WORDS + count * elementWords)
  put(name, makeInfo(infoKind(info), count, infoKindFlag(info)), third, elements)
}

/** Names and values of an ENUM64's enumerators that have 32 bits. */
function narrowValues(trailing: Uint32Array, isSigned: boolean): [name: number, value: number][] {
  const values: [number, number][] = []
  for (let at = 0; at < trailing.length; at += 3) {
    const [name, low, high] = trailing.subarray(at, at + 3) as unknown as readonly [number, number, number]
    const sign = isSigned && low >>> 31 === 1 ? 0xffffffff : 0
    if (high === sign) values.push([name, low])
  }
  return values
}
