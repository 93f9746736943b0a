import { type Btf, Kind, nameEquals } from '../btf/index.ts'

/** How compilers call `long`, whose size is that of a pointer. Source: determine_ptr_size of libbpf's btf.c. */
const LONG_NAMES = [
  'long unsigned int',
  'long int',
  'long',
  'unsigned long',
  'int long',
  'long unsigned',
  'unsigned long int',
  'unsigned int long',
  'long int unsigned',
  'int unsigned long',
  'int long unsigned',
] as const

/**
 * Id of the INT from which loaders learn the size of the kernel's pointers: the first that is called like a `long`.
 * Null where there is none; loaders then take their own pointers' size.
 */
export function longIntId(btf: Btf): number | null {
  for (let id = 1; id < btf.idCount; id++) {
    if (btf.kind(id) !== Kind.INT) continue
    const sizeBytes = btf.sizeOrType(id)
    if (sizeBytes !== 4 && sizeBytes !== 8) continue
    const nameOffset = btf.nameOffset(id)
    if (LONG_NAMES.some((name) => nameEquals(btf.strings, nameOffset, name))) return id
  }
  return null
}

/** Bytes of a pointer in the kernel that a BTF describes; 8 where it does not say. */
export function pointerBytesOf(btf: Btf): number {
  const id = longIntId(btf)
  return id === null ? 8 : btf.sizeOrType(id)
}
