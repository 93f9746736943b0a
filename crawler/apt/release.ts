import { parseSha256, type Sha256 } from '../../core/digest.ts'
import { CrawlError } from '../types.ts'
import { parseFields } from './control.ts'

/** One file that a Release file vouches for. */
export interface ReleaseFile {
  readonly sha256: Sha256
  readonly sizeBytes: number
}

/** A Release file: what a suite is and which indexes it has. */
export interface Release {
  readonly origin: string | null
  readonly suite: string | null
  readonly codename: string | null
  readonly validUntil: Date | null
  readonly byHash: boolean
  /** By path below the suite's folder: `main/binary-amd64/Packages.xz`. SHA256 only: the older sums prove nothing. */
  readonly files: ReadonlyMap<string, ReleaseFile>
}

export interface ReleaseExpectations {
  /** The name that was asked for, to be found as Suite or Codename. */
  readonly suite: string
  readonly origins: readonly string[]
  readonly now: Date
  /** False for archives that do not change any more, and where the machine's apt does not check either. */
  readonly checkValidUntil: boolean
}

/** Reads a Release file whose signature was checked. Throws `MALFORMED`. */
export function parseRelease(text: string): Release {
  const fields = parseFields(text)
  if (fields === null) throw new CrawlError('MALFORMED', 'Release: expected fields, each once')
  const validUntil = fields.get('valid-until')
  return {
    origin: fields.get('origin') ?? null,
    suite: fields.get('suite') ?? null,
    codename: fields.get('codename') ?? null,
    validUntil: validUntil === undefined ? null : parseDate('Valid-Until', validUntil),
    byHash: fields.get('acquire-by-hash')?.toLowerCase() === 'yes',
    files: parseFiles(fields.get('sha256')),
  }
}

/**
 * Refuses a Release file that is not the one asked for or whose time has passed: a mirror can replay anything that was
 * ever signed. Throws `STALE`. apt-secure(8), apt.conf(5) Acquire::Check-Valid-Until.
 */
export function checkRelease(release: Release, expected: ReleaseExpectations): void {
  const { suite, codename, origin, validUntil } = release
  // Security suites were called buster/updates, and their Release file says buster (apt-secure(8)).
  const names = [expected.suite, expected.suite.replace(/\/updates$/, '')]
  if (!names.some((name) => suite === name || codename === name)) {
    throw new CrawlError(
      'STALE',
      `Release: expected suite ${expected.suite}, got Suite ${suite ?? 'none'}, Codename ${codename ?? 'none'}`,
    )
  }
  if (expected.origins.length > 0 && (origin === null || !expected.origins.includes(origin))) {
    const wanted = expected.origins.join(' or ')
    throw new CrawlError('STALE', `Release: expected origin ${wanted}, got ${origin ?? 'none'}`)
  }
  if (expected.checkValidUntil && validUntil !== null && validUntil < expected.now) {
    throw new CrawlError(
      'STALE',
      `Release of ${expected.suite}: valid until ${validUntil.toISOString()}, now is ${expected.now.toISOString()}`,
    )
  }
}

function parseDate(field: string, text: string): Date {
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) {
    throw new CrawlError('MALFORMED', `Release: ${field} ${JSON.stringify(text)}: expected a date`)
  }
  return new Date(ms)
}

function parseFiles(list: string | undefined): Map<string, ReleaseFile> {
  if (list === undefined) throw new CrawlError('MALFORMED', 'Release: expected SHA256 sums, got none')
  const files = new Map<string, ReleaseFile>()
  for (const line of list.split('\n')) {
    if (line.trim() === '') continue
    const [digest = '', size = '', path, ...rest] = line.trim().split(/\s+/)
    const sha256 = parseSha256(digest)
    if (sha256 === null || !/^\d{1,15}$/.test(size) || path === undefined || rest.length > 0) {
      throw new CrawlError(
        'MALFORMED',
        `Release: SHA256 line ${JSON.stringify(line)}: expected sum, size, path`,
      )
    }
    files.set(path, { sha256, sizeBytes: Number(size) })
  }
  return files
}
