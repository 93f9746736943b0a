import { skipModifiersAndTypedefs } from '../../btf/index.ts'
import type { BpfObject } from '../bpf-object.ts'
import type { ObjectCode } from './object-code.ts'
import type { KernelOnly } from './types.ts'

/**
 * Section names of programs that the kernel ties to its own types when they are loaded. Source: section_defs and
 * obj_needs_vmlinux_btf of libbpf (libbpf.c).
 */
const SECTIONS: readonly (readonly [RegExp, KernelOnly['what']])[] = [
  [/^(fentry|fexit|fmod_ret|fsession)(\.s)?(\/|$)/, 'fentry'],
  [/^tp_btf(\/|$)/, 'tp_btf'],
  [/^iter(\.s)?(\/|$)/, 'iter'],
  [/^(lsm(\.s)?|lsm_cgroup)(\/|$)/, 'lsm'],
  [/^struct_ops(\.s)?(\/|$)/, 'struct_ops'],
  [/^freplace(\/|$)/, 'extension'],
]
const STRUCT_OPS_MAPS: ReadonlySet<string> = new Set(['.struct_ops', '.struct_ops.link'])
const KSYMS = '.ksyms'

/**
 * What of an object needs BTF in the kernel itself. On a kernel without, no file helps: libbpf and the kernel refuse
 * it.
 */
export function kernelOnly(object: BpfObject, code: ObjectCode): KernelOnly[] {
  const programs = code.programs.flatMap(({ name, section }): KernelOnly[] => {
    const found = SECTIONS.find(([pattern]) => pattern.test(sectionName(section)))
    return found === undefined ? [] : [{ name, what: found[1] }]
  })
  return [...programs, ...ofData(object)]
}

/** A section's name without libbpf's `?`, which keeps a program from being loaded by itself. */
export function sectionName(section: string): string {
  return section.startsWith('?') ? section.slice(1) : section
}

/** struct_ops maps, and symbols of the kernel that are asked for by type: functions, and variables that are not void. */
function ofData({ btf }: BpfObject): KernelOnly[] {
  const found: KernelOnly[] = []
  if (btf === null) return found
  for (let id = btf.firstId; id < btf.idCount; id++) {
    const type = btf.type(id)
    if (type.kind !== 'datasec') continue
    const isStructOps = STRUCT_OPS_MAPS.has(type.name.replace(/^\?/, ''))
    if (!isStructOps && type.name !== KSYMS) continue
    for (const { typeId } of type.vars) {
      const symbol = btf.type(typeId)
      if (isStructOps) found.push({ name: symbol.name, what: 'struct_ops' })
      else if (symbol.kind === 'func' || (symbol.kind === 'var' && !isVoid(btf, symbol.typeId)))
        found.push({ name: symbol.name, what: 'ksym' })
    }
  }
  return found
}

function isVoid(btf: NonNullable<BpfObject['btf']>, id: number): boolean {
  return skipModifiersAndTypedefs(btf, id) === 0
}
