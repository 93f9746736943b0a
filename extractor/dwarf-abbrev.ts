import { Form } from './dwarf-forms.ts'

/** One declaration of an abbreviation table, and where in the section its tag and forms are. */
export interface Abbreviation {
  readonly code: number
  readonly tag: number
  readonly tagAt: number
  readonly attributes: readonly AbbreviatedAttribute[]
  /** Where the next one begins. */
  readonly end: number
}

export interface AbbreviatedAttribute {
  readonly attribute: number
  readonly at: number
  readonly form: number
  readonly formAt: number
  readonly formBytes: number
}

/**
 * The declaration at `start` of an abbreviation section (DWARF 5, 7.5.3): code, tag, a byte for children, and pairs of
 * attribute and form up to 0, 0. Its code is 0 where a table ends there, and it has what there is of it where the
 * section ends in it.
 */
export function readAbbreviation(section: Uint8Array, start: number): Abbreviation {
  let at = start
  const uleb = (): number => {
    let value = 0
    for (let shift = 0; at < section.byteLength; shift += 7) {
      const byte = section[at++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    return value
  }
  const code = uleb()
  const tagAt = at
  const attributes: AbbreviatedAttribute[] = []
  if (code === 0) return { code, tag: 0, tagAt, attributes, end: at }
  const tag = uleb()
  at++
  while (at < section.byteLength) {
    const attributeAt = at
    const attribute = uleb()
    const formAt = at
    const form = uleb()
    if (attribute === 0 && form === 0) break
    attributes.push({ attribute, at: attributeAt, form, formAt, formBytes: at - formAt })
    if (form === Form.implicit_const) uleb()
  }
  return { code, tag, tagAt, attributes, end: Math.min(at, section.byteLength) }
}

/** All tables of a section, one after the other. Bytes that are none end it. */
export function* readTables(section: Uint8Array): Generator<readonly Abbreviation[], void, undefined> {
  let table: Abbreviation[] = []
  for (let at = 0; at < section.byteLength;) {
    const abbreviation = readAbbreviation(section, at)
    at = abbreviation.end
    if (abbreviation.code !== 0) table.push(abbreviation)
    if (abbreviation.code !== 0 && at < section.byteLength) continue
    if (table.length > 0) yield table
    table = []
  }
}
