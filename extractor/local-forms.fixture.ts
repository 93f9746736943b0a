import { type Btf, type BtfType } from '../btf/index.ts'

/**
 * What C says of each named struct, union, enum and typedef where it is defined, other structs by their names alone:
 * under `struct file` and the like, each different definition once. Written without regard to how types are merged.
 */
export function localForms(
  btf: Btf,
  rename: (name: string) => string = (name) => name,
): Map<string, Set<string>> {
  const known = new Map<number, string>()
  const describe = (id: number): string => {
    const there = known.get(id)
    if (there !== undefined) return there
    const text = reference(btf.type(id))
    known.set(id, text)
    return text
  }
  const reference = (type: BtfType): string => {
    if (type.kind === 'fwd') return `${type.isUnion ? 'union' : 'struct'} ${type.name}`
    return type.name !== '' && NAMED.has(type.kind) ? `${type.kind} ${type.name}` : definition(type)
  }
  const definition = (type: BtfType): string => {
    switch (type.kind) {
      case 'void':
        return 'void'
      case 'int':
        return `int ${type.name} ${type.sizeBytes} ${type.bits} ${type.encoding}`
      case 'struct':
      case 'union':
        return `${type.kind} ${type.sizeBytes} {${type.members
          .map((m) => `${rename(m.name)}@${m.offsetBits}:${m.bitfieldBits} ${describe(m.typeId)}`)
          .join('; ')}}`
      case 'enum':
      case 'enum64':
        return `enum ${type.sizeBytes} {${type.values.map((v) => `${v.name}=${v.value}`).join(', ')}}`
      case 'array':
        return `[${type.length}] ${describe(type.typeId)} by ${describe(type.indexTypeId)}`
      case 'func_proto':
        return `${describe(type.typeId)} (${type.params.map((p) => `${p.name} ${describe(p.typeId)}`).join(', ')})`
      case 'ptr':
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'typedef':
      case 'type_tag':
        return `${type.kind} ${describe(type.typeId)}`
      default:
        return type.kind
    }
  }
  const forms = new Map<string, Set<string>>()
  for (let id = 1; id < btf.idCount; id++) {
    const type = btf.type(id)
    if (type.name === '' || !NAMED.has(type.kind)) continue
    const key = `${type.kind} ${type.name}`
    const form = definition(type)
    const there = forms.get(key)
    if (there === undefined) forms.set(key, new Set([form]))
    else there.add(form)
  }
  return forms
}

const NAMED: ReadonlySet<string> = new Set(['struct', 'union', 'enum', 'enum64', 'typedef'])
