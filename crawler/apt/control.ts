/**
 * The fields of one stanza of a control file (deb822(5)), by lower-case name; the lines of a folded field are joined
 * with newlines, without their first blank. Null where the text is no stanza: a line that is neither field nor
 * continuation, or a field that is there twice.
 */
export function parseFields(stanza: string): ReadonlyMap<string, string> | null {
  const fields = new Map<string, string>()
  let last: string | null = null
  for (const raw of stanza.split('\n')) {
    const line = raw.trimEnd()
    if (line === '') continue
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (last === null) return null
      fields.set(last, `${fields.get(last) ?? ''}\n${line.slice(1)}`)
      continue
    }
    const match = /^([!-9;-~]+):(.*)$/.exec(line)
    const name = match?.[1]?.toLowerCase()
    if (name === undefined || name.startsWith('-') || fields.has(name)) return null
    fields.set(name, match?.[2]?.trim() ?? '')
    last = name
  }
  return fields
}

/** Splits a text into its stanzas, without the line breaks around them: blank lines part them (deb822(5)). */
export function splitStanzas(text: string): string[] {
  return text
    .split(/\r?\n(?:[ \t]*\r?\n)+/)
    .map((stanza) => stanza.replace(/^(?:[ \t]*\r?\n)+/, '').trimEnd())
    .filter((stanza) => stanza !== '')
}
