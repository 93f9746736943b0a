import { type Btf, BtfWriter, Kind, makeInfo } from '../btf/index.ts'
import type { Marks } from './marks.ts'

/**
 * Writes what is marked as a BTF of its own: types in the kernel's order, names in the order of their first use, a
 * 24-byte header, the kernel's byte order. Members and bitfields are copied as they are written, kind_flag included.
 * Pointers to what is not kept point to void, and of those there is one.
 */
export function rewrite(btf: Btf, marks: Marks): { bytes: Uint8Array; types: number } {
  const ids = marks.ids()
  const newIds = numberTypes(btf, marks, ids)
  const ref = (id: number): number => newIds.get(id) ?? 0
  const writer = new BtfWriter()
  for (const id of ids) {
    if (newIds.get(id) === writer.nextId) copyType(btf, marks, id, writer, ref)
  }
  return { bytes: writer.finish(btf.endian), types: writer.nextId - 1 }
}

/** New ids from 1; all pointers that come to point to void share the first one's. */
function numberTypes(btf: Btf, marks: Marks, ids: readonly number[]): Map<number, number> {
  const newIds = new Map<number, number>()
  let next = 1
  let voidPointer: number | null = null
  for (const id of ids) {
    if (btf.kind(id) === Kind.PTR && !marks.has(btf.sizeOrType(id))) {
      voidPointer ??= next++
      newIds.set(id, voidPointer)
    } else {
      newIds.set(id, next++)
    }
  }
  return newIds
}

function copyType(btf: Btf, marks: Marks, id: number, writer: BtfWriter, ref: (id: number) => number): void {
  const kind = btf.kind(id)
  const name = writer.string(btf.name(id))
  const flag = btf.kindFlag(id)
  const vlen = btf.vlen(id)
  const last = btf.sizeOrType(id)
  const text = (at: number): number => writer.string(btf.nameAt(id, btf.word(id, at)))
  switch (kind) {
    case Kind.INT:
      writer.add(name, makeInfo(kind, vlen, flag), last, [btf.word(id, 3)])
      break
    case Kind.STRUCT:
    case Kind.UNION: {
      const members = marks.members(id)
      const words: number[] = []
      for (const index of members) {
        const at = 3 + index * 3
        words.push(text(at), ref(btf.word(id, at + 1)), btf.word(id, at + 2))
      }
      writer.add(name, makeInfo(kind, members.length, flag), last, words)
      break
    }
    case Kind.ENUM:
    case Kind.ENUM64: {
      const step = kind === Kind.ENUM64 ? 3 : 2
      const words: number[] = []
      for (let at = 3; at < 3 + vlen * step; at += step) {
        words.push(text(at), btf.word(id, at + 1))
        if (kind === Kind.ENUM64) words.push(btf.word(id, at + 2))
      }
      writer.add(name, makeInfo(kind, vlen, flag), last, words)
      break
    }
    case Kind.ARRAY:
      writer.add(name, makeInfo(kind, vlen, flag), last, [
        ref(btf.word(id, 3)),
        ref(btf.word(id, 4)),
        btf.word(id, 5),
      ])
      break
    case Kind.FUNC_PROTO: {
      const words: number[] = []
      for (let at = 3; at < 3 + vlen * 2; at += 2) words.push(text(at), ref(btf.word(id, at + 1)))
      writer.add(name, makeInfo(kind, vlen, flag), ref(last), words)
      break
    }
    case Kind.FLOAT:
    case Kind.FWD:
      writer.add(name, makeInfo(kind, vlen, flag), last)
      break
    default:
      writer.add(name, makeInfo(kind, vlen, flag), ref(last))
  }
}
