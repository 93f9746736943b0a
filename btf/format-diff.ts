import type { MemberChange, MemberShape, TypeChange, ValueChange } from './diff-types.ts'

/** Changes as text, line by line without newlines: `+` added, `-` removed, `~` changed. Offsets and sizes in bytes. */
export function* formatDiff(changes: Iterable<TypeChange>): Generator<string> {
  for (const change of changes) {
    const subject = `${change.kind} ${change.name}`
    if (change.change !== 'changed') {
      const { sizeBytes, target } = change.shape
      const what = sizeBytes === null ? `: ${target}` : `, ${sizeBytes} bytes`
      yield `${change.change === 'added' ? '+' : '-'} ${subject}${what}`
      continue
    }
    const { from, to } = change
    const parts = [subject]
    if (from.sizeBytes !== to.sizeBytes) parts.push(`${from.sizeBytes} -> ${to.sizeBytes} bytes`)
    if (from.target !== to.target) parts.push(`${from.target} -> ${to.target}`)
    yield `~ ${parts.join(', ')}`
    for (const member of change.members) yield `\t${memberLine(member)}`
    for (const value of change.values) yield `\t${valueLine(value)}`
  }
}

function memberLine({ path, from, to, isMoved, isRetyped }: MemberChange): string {
  if (from === null && to !== null) return `+ ${path}: ${typeText(to)} at ${offsetText(to)}`
  if (from === null || to === null)
    return `- ${path}${from === null ? '' : `: ${typeText(from)} at ${offsetText(from)}`}`
  const type = isRetyped ? `${typeText(from)} -> ${typeText(to)}` : typeText(to)
  const offset = isMoved ? `${offsetText(from)} -> ${offsetText(to)}` : offsetText(to)
  return `~ ${path}: ${type} at ${offset}`
}

function valueLine({ name, from, to }: ValueChange): string {
  if (from === null) return `+ ${name} = ${to}`
  return to === null ? `- ${name} = ${from}` : `~ ${name} = ${from} -> ${to}`
}

function typeText({ type, sizeBytes, bitfieldBits }: MemberShape): string {
  if (bitfieldBits !== 0) return `${type} : ${bitfieldBits}`
  return sizeBytes === null ? type : `${type}, ${sizeBytes} bytes`
}

/** `128`, or `128:3` for a bit. */
function offsetText({ offsetBits, bitfieldBits }: MemberShape): string {
  const bytes = Math.floor(offsetBits / 8)
  return bitfieldBits === 0 ? `${bytes}` : `${bytes}:${offsetBits % 8}`
}
