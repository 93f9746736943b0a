import type { Btf } from './btf.ts'
import { Kind } from './wire.ts'

/** A kernel function that BPF programs may call. */
export interface Kfunc {
  /** Id of its FUNC. */
  readonly func: number
  /** Whether it keeps all registers but r0, as its callers may then rely on. */
  readonly isFastcall: boolean
}

/** The kfuncs of a BTF, by its own `bpf_kfunc` tags (pahole 1.27), each name once, in the order of the tags. */
export function kfuncs(btf: Btf): Kfunc[] {
  const fastcalls = new Set<number>()
  const byName = new Map<string, number>()
  for (let id = btf.firstId; id < btf.idCount; id++) {
    if (btf.kind(id) !== Kind.DECL_TAG || btf.kind(btf.sizeOrType(id)) !== Kind.FUNC) continue
    const func = btf.sizeOrType(id)
    const tag = btf.name(id)
    if (tag === 'bpf_fastcall') fastcalls.add(func)
    else if (tag === 'bpf_kfunc' && !byName.has(btf.name(func))) byName.set(btf.name(func), func)
  }
  return [...byName.values()].map((func) => ({ func, isFastcall: fastcalls.has(func) }))
}
