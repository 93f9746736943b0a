import type { Btf } from './btf.ts'
import { Kind } from './wire.ts'

/** How compilers spell their integer and floating types in debug information, with the size that clang gives them. */
const SPELLINGS: ReadonlyMap<string, number> = new Map([
  ['_Bool', 1],
  ['char', 1],
  ['signed char', 1],
  ['unsigned char', 1],
  ['short', 2],
  ['short int', 2],
  ['unsigned short', 2],
  ['short unsigned int', 2],
  ['unsigned short int', 2],
  ['int', 4],
  ['unsigned', 4],
  ['unsigned int', 4],
  ['long', 8],
  ['long int', 8],
  ['unsigned long', 8],
  ['long unsigned int', 8],
  ['unsigned long int', 8],
  ['long long', 8],
  ['long long int', 8],
  ['unsigned long long', 8],
  ['long long unsigned int', 8],
  ['unsigned long long int', 8],
  ['__int128', 16],
  ['unsigned __int128', 16],
  ['__int128 unsigned', 16],
  ['float', 4],
  ['double', 8],
])

const SIGNED = 1
const BOOL = 4

/** The unsigned type of a size, whose alignment is that size; null where C has none. */
export function builtinTypeText(sizeBytes: number): string | null {
  const at = [1, 2, 4, 8, 16].indexOf(sizeBytes)
  if (at < 0) return null
  const names = ['unsigned char', 'unsigned short', 'unsigned int', 'unsigned long long', 'unsigned __int128']
  return names[at] as string
}

/**
 * The C type of an INT or FLOAT: its own name where that means the same to clang, else one of the same size. The first
 * pahole wrote INTs without names; others have names that are no C (`__Poly8_t`, `u8` of Rust), or another size there
 * (`long` of a 32-bit kernel). C has no `long double` for BPF.
 */
export function scalarText(btf: Btf, id: number, pointerBytes: number): string {
  const name = btf.name(id)
  const sizeBytes = btf.sizeOrType(id)
  const spelled = SPELLINGS.get(name)
  if (spelled === sizeBytes || (pointerBytes === 4 && spelled === 8 && sizeBytes === 4)) return name
  const encoding = btf.kind(id) === Kind.INT ? (btf.word(id, 3) >>> 24) & 0x0f : 0
  if (encoding === BOOL && sizeBytes === 1) return '_Bool'
  const text = builtinTypeText(sizeBytes)
  if (text === null) return `struct { unsigned char bytes[${sizeBytes}]; }`
  return encoding === SIGNED ? text.replace('unsigned', 'signed') : text
}
