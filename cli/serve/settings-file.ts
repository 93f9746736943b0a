import { type Document, isMap, isScalar, LineCounter, parseDocument, type YAMLMap } from 'yaml'
import { describeError } from '../../core/errors.ts'
import { UsageError } from '../exit.ts'
import { Settings } from './settings.ts'

/** A configuration is a few lines; what is larger is some other file. */
export const MAX_SETTINGS_BYTES = 256 * 1024

/**
 * Settings from YAML text. Every problem is told with the line and column that it is at. Throws UsageError.
 */
export function parseSettings(file: string, text: string): Readonly<Record<string, unknown>> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  const problems = document.errors.map((error) => `${at(error.pos[0])}: ${firstLine(error.message)}`)
  if (problems.length > 0) throw new UsageError(problems.join('\n'))
  const root = document.contents
  if (root === null || (isScalar(root) && root.value === null)) return {}
  if (!isMap(root)) throw new UsageError(`${at(root.range?.[0] ?? 0)}: expected NAME: VALUE lines`)
  const result = Settings.partial().safeParse(plainValues(file, document))
  if (result.success) return result.data
  const found = result.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({
          offset: keyOffset(root, key),
          told: `${key}: no such setting; ${known(key)}`,
        }))
      : [{ offset: offsetOf(root, issue.path), told: `${issue.path.join('.')}: ${issue.message}` }],
  )
  found.sort((a, b) => a.offset - b.offset)
  throw new UsageError(found.map(({ offset, told }) => `${at(offset)}: ${told}`).join('\n'))
}

/** Settings repeat nothing, so aliases, which can make much of little, are refused. */
function plainValues(file: string, document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch (err) {
    throw new UsageError(`${file}: ${describeError(err)}`)
  }
}

/** Where the value is that an issue is about, or what holds it. */
function offsetOf(root: YAMLMap, path: readonly PropertyKey[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node: unknown = root.getIn(path.slice(0, depth), true)
    const range = (node as { range?: readonly number[] | null } | undefined)?.range
    if (range?.[0] !== undefined) return range[0]
  }
  return root.range?.[0] ?? 0
}

function keyOffset(root: YAMLMap, name: string): number {
  for (const { key } of root.items) {
    if (isScalar(key) && String(key.value) === name) return key.range?.[0] ?? 0
  }
  return root.range?.[0] ?? 0
}

/** Settings with a name like this one; all of them where there is none. */
function known(key: string): string {
  const names = Object.keys(Settings.shape)
  const plain = key.toLowerCase().replaceAll('_', '-')
  const similar = names.filter((name) => name.startsWith(plain.slice(0, 3)) || plain.includes(name))
  return `there ${similar.length === 1 ? 'is' : 'are'}: ${(similar.length > 0 ? similar : names).join(', ')}`
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? text
}
