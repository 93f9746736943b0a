import type { Btf } from './btf.ts'
import type { MemberChange, MemberShape, TypeChange, TypeShape, ValueChange } from './diff-types.ts'
import { ShapeReader } from './shapes.ts'

/**
 * What changed from `a` to `b` in structs, unions, enums and typedefs that have names: those of one name, or all, in
 * the order of keyword and name. A type is known by these two; where a BTF defines one several times (CentOS 7 has
 * `task_struct` twice), definitions that the other has too are no change, and what is left is compared in order.
 * Throws BtfError `MALFORMED` or `LIMIT`.
 */
export function* diffTypes(a: Btf, b: Btf, name?: string): Generator<TypeChange> {
  const [before, after] = [new ShapeReader(a), new ShapeReader(b)]
  const [old, now] = [before.definitions(name), after.definitions(name)]
  for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const from = distinct((old.get(key) ?? []).map((id) => before.shape(id)))
    const to = distinct((now.get(key) ?? []).map((id) => after.shape(id)))
    const gone = [...from].filter(([text]) => !to.has(text)).map(([, shape]) => shape)
    const come = [...to].filter(([text]) => !from.has(text)).map(([, shape]) => shape)
    for (let i = 0; i < Math.max(gone.length, come.length); i++) yield changeOf(gone[i], come[i])
  }
}

/** Shapes by a text of all that they are. */
function distinct(shapes: readonly TypeShape[]): Map<string, TypeShape> {
  return new Map(shapes.map((shape) => [signature(shape), shape]))
}

function signature(shape: TypeShape): string {
  const members = [...shape.members.values()].map(
    (m) => `${m.path}|${m.type}|${m.offsetBits}|${m.bitfieldBits}|${m.sizeBytes}`,
  )
  const values = [...shape.values].map(([name, value]) => `${name}=${value}`)
  return [shape.sizeBytes, shape.target, ...members, ...values].join('\n')
}

function changeOf(from: TypeShape | undefined, to: TypeShape | undefined): TypeChange {
  if (from !== undefined && to !== undefined) {
    const { kind, name } = to
    return {
      change: 'changed',
      kind,
      name,
      from,
      to,
      members: memberChanges(from.members, to.members),
      values: valueChanges(from.values, to.values),
    }
  }
  const shape = (from ?? to) as TypeShape
  return { change: from === undefined ? 'added' : 'removed', kind: shape.kind, name: shape.name, shape }
}

/** In the order of the second, what it lacks at the end. */
function memberChanges(
  old: ReadonlyMap<string, MemberShape>,
  now: ReadonlyMap<string, MemberShape>,
): MemberChange[] {
  const changes: MemberChange[] = []
  for (const [path, to] of now) {
    const from = old.get(path) ?? null
    const isMoved = from !== null && from.offsetBits !== to.offsetBits
    const isRetyped = from !== null && !sameType(from, to)
    if (from === null || isMoved || isRetyped) changes.push({ path, from, to, isMoved, isRetyped })
  }
  for (const [path, from] of old) {
    if (!now.has(path)) changes.push({ path, from, to: null, isMoved: false, isRetyped: false })
  }
  return changes
}

function sameType(a: MemberShape, b: MemberShape): boolean {
  return a.type === b.type && a.sizeBytes === b.sizeBytes && a.bitfieldBits === b.bitfieldBits
}

function valueChanges(old: ReadonlyMap<string, bigint>, now: ReadonlyMap<string, bigint>): ValueChange[] {
  const names = new Set([...now.keys(), ...old.keys()])
  return [...names]
    .map((name) => ({ name, from: old.get(name) ?? null, to: now.get(name) ?? null }))
    .filter(({ from, to }) => from !== to)
}
