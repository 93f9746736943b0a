import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assembleBtf, info } from '../test/helpers/btf-bytes.ts'
import { type Btf, parseBtf } from './btf.ts'
import { encodeBtf } from './encode.ts'
import { essentialName } from './name-index.ts'
import { scanNames } from './name-scan.ts'
import type { BtfType } from './types.ts'
import { Kind } from './wire.ts'

/** Short, alike, with flavors and with what only looks like one. */
const aName = fc.oneof(
  fc.stringMatching(/^[ab_]{1,4}$/),
  fc.stringMatching(/^[ab]{1,2}___[ab]{1,2}$/),
  fc.stringMatching(/^[a_]{1,9}$/),
)

function struct(id: number, name: string): BtfType {
  return { kind: 'struct', id, name, sizeBytes: 4, hasBitfieldSizes: false, members: [] }
}

function func(id: number, name: string): BtfType {
  return { kind: 'func', id, name, typeId: 0, linkage: 1 }
}

const kernel = (names: readonly string[]): Uint8Array =>
  encodeBtf([
    ...names.map((name, i) => struct(i + 1, name)),
    // Never found by name.
    ...names.map((name, i) => func(names.length + i + 1, name)),
  ])

describe('names looked up in one pass', () => {
  it('are those that looking at every type finds', () => {
    fc.assert(
      fc.property(fc.array(aName, { maxLength: 30 }), fc.array(aName, { maxLength: 10 }), (names, asked) => {
        const found = scanNames(parseBtf(kernel(names)), asked)
        for (const name of asked) {
          const ids = names.flatMap((each, i) => (essentialName(each) === name ? [i + 1] : []))
          expect(found.get(name)).toEqual(ids)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('are those that the index finds afterwards, the base’s included', () => {
    fc.assert(
      fc.property(fc.array(aName), fc.array(aName), fc.array(aName), (below, above, asked) => {
        const split = splitOf(below, above)
        const scanned = split.idsByEssentialNames(asked)
        expect([...scanned]).toEqual([...split.idsByEssentialNames(asked)])
        const other = splitOf(below, above)
        for (const name of asked) expect(scanned.get(name)).toEqual(other.idsByEssentialName(name))
      }),
    )
  })
})

/** A module's BTF; every second of its names is one of its base's strings, where there is such a one. */
function splitOf(below: readonly string[], above: readonly string[]): Btf {
  const base = parseBtf(kernel(below))
  let strings = ''
  const records = above.map((name, i) => {
    const id = i % 2 === 0 ? base.idsByName(name)[0] : undefined
    const at = id === undefined ? base.strings.end + strings.length : base.nameOffset(id)
    if (id === undefined) strings += `${name}\0`
    return [at, info(Kind.STRUCT), 4]
  })
  return parseBtf(assembleBtf({ records, strings: Buffer.from(strings) }), { base })
}
