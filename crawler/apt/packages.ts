import { parseSha256, type Sha256 } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { CrawlError } from '../types.ts'
import { parseFields } from './control.ts'
import { stanzasWith } from './stanzas.ts'

/** What a `Packages` file says of one package, as far as it matters here. */
export interface PackageEntry {
  readonly name: string
  readonly version: string
  /** Below the archive's root: `pool/main/l/linux/….deb`. */
  readonly path: string
  readonly sizeBytes: number | null
  readonly sha256: Sha256 | null
}

export interface PackageEntries {
  readonly entries: readonly PackageEntry[]
  /** Stanzas that name what was looked for and cannot be used: a field is missing or makes no sense. */
  readonly skipped: number
}

/**
 * The packages of an uncompressed `Packages` file whose names `accept`s; only stanzas with `needle` are looked at.
 * Throws `MALFORMED` where a bound of `core/limits` is crossed.
 */
export async function readPackages(
  chunks: AsyncIterable<Uint8Array>,
  needle: string,
  accept: (name: string) => boolean,
): Promise<PackageEntries> {
  const entries: PackageEntry[] = []
  let skipped = 0
  for await (const stanza of stanzasWith(needle, chunks, limits.index.maxStanzaBytes)) {
    const fields = parseFields(stanza)
    const name = fields?.get('package')
    if (name !== undefined && !accept(name)) continue
    const entry = fields === null ? null : parseEntry(fields)
    if (entry === null) skipped++
    else entries.push(entry)
    if (entries.length > limits.index.maxPackages) {
      throw new CrawlError('MALFORMED', `Packages: more than ${limits.index.maxPackages} kernel packages`)
    }
  }
  return { entries, skipped }
}

function parseEntry(fields: ReadonlyMap<string, string>): PackageEntry | null {
  const name = fields.get('package')
  const version = fields.get('version')
  const path = fields.get('filename')
  const size = fields.get('size')
  const sha256Text = fields.get('sha256')
  const sha256 = sha256Text === undefined ? null : parseSha256(sha256Text)
  if (name === undefined || version === undefined || path === undefined) return null
  if (!/^[A-Za-z0-9.+:~-]{1,200}$/.test(version) || !isPoolPath(path)) return null
  if (size !== undefined && !/^\d{1,15}$/.test(size)) return null
  if (sha256Text !== undefined && sha256 === null) return null
  return { name, version, path, sizeBytes: size === undefined ? null : Number(size), sha256 }
}

/** A path below the archive's root and nowhere else. */
function isPoolPath(path: string): boolean {
  return (
    path.length <= 1000 &&
    /^[A-Za-z0-9._+~%:@,=-]+(?:\/[A-Za-z0-9._+~%:@,=-]+)+$/.test(path) &&
    !path.split('/').some((part) => part === '..' || part === '.')
  )
}
