import { type Btf, essentialName, Kind, skipModifiersAndTypedefs } from '../btf/index.ts'
import type { LocalSpec } from './local-spec.ts'
import { coreKind, isComposite, ReloKind } from './relocation-kind.ts'

/** One step of a need: into a member, or into an array. */
export type NeedStep =
  { readonly name: string; readonly shape: number } | { readonly name: null; readonly index: number }

/**
 * What a relocation needs of a kernel, whichever loader applies it, said without reference to an object wherever that
 * is possible, so that equal needs of many objects are one. It asks for more than any single loader: see
 * docs/minimize.md.
 */
export interface Need {
  /** Equal for equal needs. */
  readonly key: string
  /** Names that some loader takes for the root's name without its flavor. */
  readonly names: readonly string[]
  readonly what:
    | { readonly kind: 'field'; readonly steps: readonly NeedStep[] }
    | { readonly kind: 'enumerator'; readonly names: readonly string[] }
    | { readonly kind: 'type'; readonly rootKind: number }
    | { readonly kind: 'match'; readonly rootKind: number; readonly typeId: number }
  /** The object's own types, where the need refers to them. */
  readonly local: Btf | null
}

/** The need of a relocation; null where it needs nothing of the kernel. */
export function needOf(btf: Btf, spec: LocalSpec, kind: number): Need | null {
  if (kind === ReloKind.TYPE_ID_LOCAL) return null
  const names = flavorless(spec.rootName)
  const what = needed(btf, spec, kind)
  const local = what.kind === 'match' ? btf : null
  return { key: JSON.stringify([names, what]), names, what, local }
}

function needed(btf: Btf, spec: LocalSpec, kind: number): Need['what'] {
  switch (spec.class) {
    case 'enumval':
      return { kind: 'enumerator', names: flavorless(spec.accessors[0]?.name ?? '') }
    case 'type': {
      const rootKind = coreKind(btf.kind(skipModifiersAndTypedefs(btf, spec.rootId)))
      return kind === ReloKind.TYPE_MATCHES
        ? { kind: 'match', rootKind, typeId: spec.rootId }
        : { kind: 'type', rootKind }
    }
    case 'field': {
      const steps = spec.accessors.slice(1).map(({ typeId, index, name }): NeedStep => {
        if (name === null) return { name, index }
        return { name, shape: shapeOf(btf, btf.word(typeId, 4 + index * 3)) }
      })
      return { kind: 'field', steps }
    }
  }
}

/**
 * A member's kind as far as every loader agrees that it must be equal: cilium/ebpf compares no more than this for
 * arrays and ints, libbpf and aya look further.
 */
export function shapeOf(btf: Btf, typeId: number): number {
  const kind = btf.kind(skipModifiersAndTypedefs(btf, typeId))
  return isComposite(kind) ? Kind.STRUCT : coreKind(kind)
}

/**
 * What loaders take for a name without its flavor, each once: libbpf up to the last `___` between other characters,
 * cilium/ebpf up to the last `___` wherever it is, aya up to the first.
 */
export function flavorless(name: string): string[] {
  const last = name.lastIndexOf('___')
  if (last < 0) return [name]
  const cilium = last > 0 ? name.slice(0, last) : name
  const aya = name.slice(0, name.indexOf('___'))
  return [...new Set([essentialName(name), cilium, aya])].filter((each) => each !== '')
}
