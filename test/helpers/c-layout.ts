import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Btf } from '../../btf/index.ts'
import { findMember, Kind, memberSpot, sizeOf } from '../../btf/index.ts'

/** What clang says of C for BPF: its exit status, its complaints, and the object where one was asked for. */
export interface Compiled {
  readonly errors: readonly string[]
  readonly object: Uint8Array | null
}

/** Compiles `main` beside a `vmlinux.h`. Without an object it is only checked, which is much faster. */
export function clangBpf(
  header: string,
  main: string,
  want: 'check' | 'object',
  flags: string[] = [],
): Compiled {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-c-'))
  try {
    writeFileSync(join(dir, 'vmlinux.h'), header)
    writeFileSync(join(dir, 'main.c'), `#include "vmlinux.h"\n${main}`)
    const output = want === 'check' ? ['-fsyntax-only'] : ['-g', '-c', '-o', join(dir, 'main.o')]
    const args = ['-target', 'bpf', '-Wall', '-Werror', '-Wno-unused', '-ferror-limit=0', ...flags, ...output]
    const run = spawnSync('clang', [...args, join(dir, 'main.c')], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    })
    const errors = run.stderr.split('\n').filter((line) => line.includes('error:'))
    if (run.status !== 0 && errors.length === 0) errors.push(run.error?.message ?? run.stderr)
    return {
      errors,
      object: want === 'object' && run.status === 0 ? readFileSync(join(dir, 'main.o')) : null,
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/**
 * `_Static_assert` lines for the size of every struct, union and enum that has a name of its own in a BTF, and for the
 * offset of every member that can be reached by name and is no bitfield.
 */
export function layoutAssertions(btf: Btf): string[] {
  const lines: string[] = []
  for (const [name, id] of definitions(btf)) {
    lines.push(`_Static_assert(sizeof(${name}) == ${btf.sizeOrType(id)}, "${name}");`)
    for (const path of memberNames(btf, id)) {
      const found = findMember(btf, id, path)
      if (found === null || found.bitfieldBits !== 0) continue
      const offset = `__builtin_offsetof(${name}, ${path})`
      lines.push(`_Static_assert(${offset} == ${found.offsetBits / 8}, "${name} ${path}");`)
    }
  }
  return lines
}

/** A definition of a variable for every named type, so that all of them get into an object's BTF. */
export function useEveryType(btf: Btf): string[] {
  return [...definitions(btf)].map(([name, id]) => `${name} v${id};`)
}

/** Named structs, unions and enums as C calls them, the first of each name. */
export function definitions(btf: Btf): Map<string, number> {
  const found = new Map<string, number>()
  const tags = new Set<string>()
  for (let id = 1; id < btf.idCount; id++) {
    const keyword = KEYWORDS.get(btf.kind(id))
    const name = btf.name(id)
    const isForward = keyword === 'enum' && btf.vlen(id) === 0
    if (keyword === undefined || isForward || name === '' || tags.has(name)) continue
    tags.add(name)
    found.set(`${keyword} ${name}`, id)
  }
  return found
}

const KEYWORDS: ReadonlyMap<number, string> = new Map([
  [Kind.STRUCT, 'struct'],
  [Kind.UNION, 'union'],
  [Kind.ENUM, 'enum'],
  [Kind.ENUM64, 'enum'],
])

/** Every member with its place, bitfields and those of inner nameless structs included, in order. */
export function memberList(btf: Btf, id: number, baseBits = 0, prefix = ''): string[] {
  const list: string[] = []
  if (KEYWORDS.get(btf.kind(id)) === 'enum') return list
  for (let i = 0; i < btf.vlen(id); i++) {
    const spot = memberSpot(btf, id, i)
    // A repeated name gets a number, and large gaps a member: neither is in the kernel.
    const name = btf.name(id) === '' && spot.nameOffset === 0 ? '' : btf.strings.at(spot.nameOffset)
    if (name.startsWith('__btf_padding')) continue
    const path = prefix + name.replace(/___\d+$/, '')
    const at = baseBits + spot.offsetBits
    list.push(`${path} at ${at}, ${spot.bitfieldBits} bits, ${sizeOf(btf, spot.typeId)} bytes`)
    let inner = spot.typeId
    while (INNER.has(btf.kind(inner))) inner = btf.sizeOrType(inner)
    const isStruct = btf.kind(inner) === Kind.STRUCT || btf.kind(inner) === Kind.UNION
    if (isStruct && (btf.name(inner) === '' || name === ''))
      list.push(...memberList(btf, inner, at, `${path}.`))
  }
  return list
}

const INNER: ReadonlySet<number> = new Set([
  Kind.CONST,
  Kind.VOLATILE,
  Kind.RESTRICT,
  Kind.TYPEDEF,
  Kind.TYPE_TAG,
])

/** Names of members that C can reach from a struct, each once. */
function memberNames(btf: Btf, id: number, into = new Map<string, number>()): string[] {
  const kind = btf.kind(id)
  if (kind !== Kind.STRUCT && kind !== Kind.UNION) return []
  for (let i = 0; i < btf.vlen(id); i++) {
    const { nameOffset, typeId } = memberSpot(btf, id, i)
    const name = btf.strings.at(nameOffset)
    if (name !== '') into.set(name, (into.get(name) ?? 0) + 1)
    else {
      let inner = typeId
      while (INNER.has(btf.kind(inner))) inner = btf.sizeOrType(inner)
      memberNames(btf, inner, into)
    }
  }
  return [...into].filter(([, count]) => count === 1).map(([name]) => name)
}
