import { type Btf, Kind, kindName } from '../btf/index.ts'
import { isComposite } from './relocation-kind.ts'

/**
 * What two min BTFs of one kernel keep that the other does not, one line each: `+` for what only `ours` has, `-` for
 * what only `theirs` has. Types are told by kind, name and size, members by name and offset; ids do not matter.
 */
export function describeDifferences(ours: Btf, theirs: Btf): string[] {
  const [left, right] = [contentsOf(ours), contentsOf(theirs)]
  const lines: string[] = []
  for (const item of [...new Set([...left.keys(), ...right.keys()])].sort()) {
    const more = (left.get(item) ?? 0) - (right.get(item) ?? 0)
    const times = Math.abs(more) > 1 ? ` (${Math.abs(more)} times)` : ''
    if (more !== 0) lines.push(`${more > 0 ? '+' : '-'} ${item}${times}`)
  }
  const header = (btf: Btf): string => `${btf.endian}-endian, header of ${btf.header.headerBytes} bytes`
  if (header(ours) !== header(theirs)) lines.push(`+ ${header(ours)}`, `- ${header(theirs)}`)
  return lines
}

const SIZED: ReadonlySet<number> = new Set([
  Kind.INT,
  Kind.FLOAT,
  Kind.STRUCT,
  Kind.UNION,
  Kind.ENUM,
  Kind.ENUM64,
])

function contentsOf(btf: Btf): Map<string, number> {
  const counts = new Map<string, number>()
  const add = (item: string): void => void counts.set(item, (counts.get(item) ?? 0) + 1)
  for (let id = btf.firstId; id < btf.idCount; id++) {
    const kind = btf.kind(id)
    const size = SIZED.has(kind) ? `, ${btf.sizeOrType(id)} bytes` : ''
    const type = `${kindName(kind)} ${btf.name(id) || '(anonymous)'}${size}`
    add(type)
    if (!isComposite(kind)) continue
    for (let i = 0; i < btf.vlen(id); i++) {
      const [name, , offset] = [3, 4, 5].map((word) => btf.word(id, word + i * 3)) as [number, number, number]
      add(`${type}: ${btf.nameAt(id, name) || '(anonymous)'} at ${describeOffset(offset, btf.kindFlag(id))}`)
    }
  }
  return counts
}

function describeOffset(offset: number, isBitfields: boolean): string {
  const [bits, width] = isBitfields ? [offset & 0xffffff, offset >>> 24] : [offset, 0]
  return `bit ${bits}${width === 0 ? '' : `, ${width} bits wide`}`
}
