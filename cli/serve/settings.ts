import { z } from 'zod'
import { UsageError } from '../exit.ts'
import { parseDuration } from '../hub/schedule.ts'
import { parseTrust } from '../../registry/index.ts'

const PORTS = 'expected 0 to 65535'
const port = z.int().min(0, PORTS).max(65535, PORTS)
const count = z.int().min(1).max(1_000_000)
const rate = z.number().min(0).max(1_000_000)
const text = z.string().min(1).max(4096)
const duration = z
  .string()
  .refine((value) => value === '0s' || parseDuration(value) !== null, 'expected a time like 10s, 5m or 12h')
const webUrl = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' })
/** A password would be in logs, in provenance and in what askers are told. */
const upstreamUrl = webUrl.refine(
  (value) => !URL.canParse(value) || !/^https?:\/\/[^/]*@/i.test(new URL(value).href),
  'expected a URL without user and password',
)
const words = z.array(text)

/**
 * Everything that `btfhub serve` can be told: by option (`--rate-limit 50`), environment (`BTFHUB_RATE_LIMIT=50`) or
 * file (`rate-limit: 50`), under the same name in each.
 */
export const Settings = z.strictObject({
  data: text,
  host: text,
  port,
  'public-url': webUrl,
  'read-only': z.boolean(),
  'on-demand': z.union([z.boolean(), words.max(1000)]),
  mirror: z.array(webUrl).max(100),
  upstream: z.array(upstreamUrl).max(100),
  'upstream-key': words.max(100),
  'sign-key': words.max(16),
  'index-lifetime': duration,
  wait: duration,
  'rate-limit': rate,
  'rate-limit-work': rate,
  'trust-proxy': z
    .union([z.int().min(0).max(100), text])
    .refine(
      (value) => parseTrust(String(value)) !== null,
      'expected how many proxies, or their addresses: 10.0.0.0/8,::1',
    ),
  'access-log': text,
  'max-connections': count,
  'drain-notice': duration,
  drain: duration,
})
export type Settings = z.infer<typeof Settings>
export type SettingName = keyof Settings

/** What holds where nobody says anything; a setting that is not here then is none. */
export const DEFAULTS = {
  data: 'data/hub',
  host: '127.0.0.1',
  port: 8080,
  'read-only': false,
  'on-demand': false,
  mirror: [],
  upstream: [],
  'upstream-key': [],
  'sign-key': [],
  'index-lifetime': '2d',
  wait: '10s',
  'rate-limit': 0,
  'rate-limit-work': 20,
  'trust-proxy': 0,
  'max-connections': 20_000,
  'drain-notice': '1s',
  drain: '10s',
} as const satisfies Partial<Settings>

/** Where a value was said. */
export type Origin = 'default' | 'file' | 'environment' | 'option'

/** {@link Settings} of which only those without a default may be missing. */
export type Effective = Pick<Settings, keyof typeof DEFAULTS> & Partial<Settings>

/** All settings, and who said each. */
export interface EffectiveSettings {
  readonly values: Effective
  readonly origins: Readonly<Partial<Record<SettingName, Origin>>>
}

/** The variable of a setting: `BTFHUB_RATE_LIMIT`. */
export function variableOf(name: SettingName): string {
  return `BTFHUB_${name.toUpperCase().replaceAll('-', '_')}`
}

/** What options and the environment say of a setting, as text; where it takes several, words. */
export function fromText(name: SettingName, said: string | boolean | readonly string[]): unknown {
  if (typeof said === 'boolean') return said
  const list = typeof said === 'string' ? said.split(/[\s,]+/).filter((word) => word !== '') : said
  const [word = ''] = list
  switch (name) {
    case 'mirror':
    case 'upstream':
    case 'upstream-key':
    case 'sign-key':
      return list
    case 'on-demand':
      return list.length === 1 && /^(?:true|false|0|1)$/.test(word) ? toBoolean(word) : list
    case 'read-only':
      return toBoolean(word)
    case 'port':
    case 'max-connections':
    case 'rate-limit':
    case 'rate-limit-work':
      return /^\d+(?:\.\d+)?$/.test(word) ? Number(word) : word
    default:
      return typeof said === 'string' ? said : said.join(' ')
  }
}

function toBoolean(word: string): unknown {
  return { true: true, '1': true, false: false, '0': false }[word] ?? word
}

/** Checks one value that an option or a variable says. Throws UsageError. */
export function checkSetting(where: string, name: SettingName, value: unknown): void {
  const result = Settings.shape[name].safeParse(value)
  if (!result.success)
    throw new UsageError(`${where}: ${result.error.issues[0]?.message ?? 'not understood'}`)
}

/** A time that {@link Settings} has checked. */
export function durationMs(value: string): number {
  return value === '0s' ? 0 : (parseDuration(value) ?? 0)
}
