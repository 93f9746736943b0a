/** The words that bpftool has for what records say, in its raw dump and in its JSON. */

const LINKAGES = ['static', 'global', 'extern']
const ENCODINGS: ReadonlyMap<number, string> = new Map([
  [0, '(none)'],
  [1, 'SIGNED'],
  [2, 'CHAR'],
  [4, 'BOOL'],
])

export function linkageWord(linkage: number): string {
  return LINKAGES[linkage] ?? '(unknown)'
}

export function encodingWord(encoding: number): string {
  return ENCODINGS.get(encoding) ?? 'UNKN'
}

/** The kind of an unknown one has its number. */
export function kindWord(kind: string, kindNumber?: number): string {
  return kindNumber === undefined ? kind.toUpperCase() : `UNKN_${kindNumber}`
}

export function nameWord(name: string): string {
  return name === '' ? '(anon)' : name
}
