/** What is known of a register or stack slot. */
export type Value =
  /** 64 bits, unsigned. */
  | { readonly kind: 'const'; readonly value: bigint }
  /** An address in the function's own stack frame: bytes from r10. */
  | { readonly kind: 'frame'; readonly offset: number }
  /** Anything but an address in the function's own frame. */
  | { readonly kind: 'scalar' }
  /** Anything. */
  | { readonly kind: 'any' }

export const SCALAR: Value = { kind: 'scalar' }
export const ANY: Value = { kind: 'any' }

export function constant(value: bigint): Value {
  return { kind: 'const', value: BigInt.asUintN(64, value) }
}

export function mayBeFrame(value: Value): boolean {
  return value.kind === 'frame' || value.kind === 'any'
}

export function sameValue(a: Value, b: Value): boolean {
  if (a === b) return true
  if (a.kind === 'const' && b.kind === 'const') return a.value === b.value
  if (a.kind === 'frame' && b.kind === 'frame') return a.offset === b.offset
  return a.kind === b.kind && a.kind !== 'const' && a.kind !== 'frame'
}

/** What is known where two ways meet. */
export function joinValues(a: Value, b: Value): Value {
  if (sameValue(a, b)) return a
  return mayBeFrame(a) || mayBeFrame(b) ? ANY : SCALAR
}
