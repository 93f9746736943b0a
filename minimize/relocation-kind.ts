import { Kind } from '../btf/index.ts'

/** `enum bpf_core_relo_kind` of include/uapi/linux/bpf.h. */
export const ReloKind = {
  FIELD_BYTE_OFFSET: 0,
  FIELD_BYTE_SIZE: 1,
  FIELD_EXISTS: 2,
  FIELD_SIGNED: 3,
  FIELD_LSHIFT_U64: 4,
  FIELD_RSHIFT_U64: 5,
  TYPE_ID_LOCAL: 6,
  TYPE_ID_TARGET: 7,
  TYPE_EXISTS: 8,
  TYPE_SIZE: 9,
  ENUMVAL_EXISTS: 10,
  ENUMVAL_VALUE: 11,
  TYPE_MATCHES: 12,
} as const

/** The names that libbpf's log has. */
const NAMES = [
  'byte_off',
  'byte_sz',
  'field_exists',
  'signed',
  'lshift_u64',
  'rshift_u64',
  'local_type_id',
  'target_type_id',
  'type_exists',
  'type_size',
  'enumval_exists',
  'enumval_value',
  'type_matches',
] as const

export function reloKindName(kind: number): string {
  return NAMES[kind] ?? `kind ${kind}`
}

/** What an access string means: a path to a field, a type as such, or one enumerator. */
export type ReloClass = 'field' | 'type' | 'enumval'

/** The class of a relocation kind; null for kinds that no loader knows. */
export function reloClass(kind: number): ReloClass | null {
  if (kind < 0 || kind >= NAMES.length) return null
  if (kind <= ReloKind.FIELD_RSHIFT_U64) return 'field'
  return kind === ReloKind.ENUMVAL_EXISTS || kind === ReloKind.ENUMVAL_VALUE ? 'enumval' : 'type'
}

/** ENUM and ENUM64 are one kind to CO-RE (libbpf's btf_kind_core_compat). */
export function coreKind(kind: number): number {
  return kind === Kind.ENUM64 ? Kind.ENUM : kind
}

/** STRUCT or UNION: fields may move from one to the other. */
export function isComposite(kind: number): boolean {
  return kind === Kind.STRUCT || kind === Kind.UNION
}
