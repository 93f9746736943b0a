import { readFile, stat } from 'node:fs/promises'
import { Document, YAMLSeq } from 'yaml'
import { UsageError } from '../exit.ts'
import {
  checkSetting,
  DEFAULTS,
  type Effective,
  type EffectiveSettings,
  fromText,
  type Origin,
  type SettingName,
  Settings,
  variableOf,
} from './settings.ts'
import { MAX_SETTINGS_BYTES, parseSettings } from './settings-file.ts'

/** What commander gives for the options of `serve`: only those that were said. */
export type SaidOptions = Readonly<Record<string, string | boolean | readonly string[] | undefined>>

const NAMES = Object.keys(Settings.shape) as readonly SettingName[]

/**
 * What holds: what an option says, else the environment, else the file, else the default. Throws UsageError for what
 * cannot be, naming where it was said.
 */
export async function effectiveSettings(
  said: SaidOptions,
  env: NodeJS.ProcessEnv,
): Promise<EffectiveSettings> {
  const file = typeof said['config'] === 'string' ? said['config'] : env['BTFHUB_CONFIG']
  const inFile: Readonly<Record<string, unknown>> = file === undefined ? {} : await readSettings(file)
  const values: Record<string, unknown> = {}
  const origins: Partial<Record<SettingName, Origin>> = {}
  const put = (name: SettingName, value: unknown, origin: Origin): void => {
    if (value === undefined) return
    values[name] = value
    origins[name] = origin
  }
  for (const name of NAMES) {
    put(name, (DEFAULTS as Readonly<Record<string, unknown>>)[name], 'default')
    put(name, inFile[name], 'file')
    const variable = env[variableOf(name)]
    if (variable !== undefined && variable !== '') {
      put(name, checked(variableOf(name), name, variable), 'environment')
    }
    const option = said[camelCase(name)]
    if (option !== undefined) put(name, checked(`--${name}`, name, option), 'option')
  }
  return { values: values as Effective, origins }
}

/** The same as YAML that could be the file, each with where it was said; passwords in URLs left out. */
export function printSettings({ values, origins }: EffectiveSettings): string {
  const lines = NAMES.map((name) => {
    const value = (values as Readonly<Record<string, unknown>>)[name]
    if (value === undefined) return `# ${name}:`
    const document = new Document({ [name]: redacted(value) })
    const node = document.get(name, true)
    if (node instanceof YAMLSeq) node.flow = true
    const text = document.toString({ lineWidth: 0 }).trimEnd()
    return `${text} # ${origins[name] ?? 'default'}`
  })
  return lines.join('\n')
}

async function readSettings(file: string): Promise<Readonly<Record<string, unknown>>> {
  const { size } = await stat(file)
  if (size > MAX_SETTINGS_BYTES) {
    throw new UsageError(`${file}: ${size} bytes; a configuration has at most ${MAX_SETTINGS_BYTES}`)
  }
  return parseSettings(file, await readFile(file, 'utf8'))
}

function checked(where: string, name: SettingName, said: string | boolean | readonly string[]): unknown {
  const value = fromText(name, said)
  checkSetting(where, name, value)
  return value
}

/** `rate-limit` as commander calls it. */
function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

function redacted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redacted)
  if (typeof value !== 'string' || !URL.canParse(value)) return value
  const url = new URL(value)
  if (url.password === '' && url.username === '' && url.search === '') return value
  if (url.username !== '' || url.password !== '') {
    url.username = '***'
    url.password = ''
  }
  if (url.search !== '') url.search = '?***'
  return url.href
}
