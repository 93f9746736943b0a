import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../core/version.ts'

/** What the script has where a hub's URL goes, with its quotes. */
const PLACEHOLDER = "'@HUB@'"

/** Reads get.sh; gives what puts a hub's URL into it, empty for none. */
export function readGetScript(): (hubUrl: string) => string {
  const script = readFileSync(join(packageRoot, 'registry', 'get.sh'), 'utf8')
  return (hubUrl) => script.replace(PLACEHOLDER, () => shellQuote(hubUrl))
}

/** A string as one word of a POSIX shell. */
function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
