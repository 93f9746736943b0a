import { z } from 'zod'
import { parseSha256, type Sha256 } from '../../core/digest.ts'
import type { IndexCache } from '../types.ts'
import type { RpmId } from './names.ts'

/** What an index says of one package, as far as it matters here. */
export interface RpmEntry extends RpmId {
  /** Relative to the repository, or absolute. */
  readonly href: string
  readonly sizeBytes: number | null
  readonly sha256: Sha256 | null
  /** ISO 8601, to the second. */
  readonly date: string | null
}

export interface RpmEntries {
  readonly entries: readonly RpmEntry[]
  /** Packages with a kernel's name that cannot be used: something is missing or makes no sense. */
  readonly skipped: number
}

/** What an index states, unchecked, all as text. */
export interface RawRpm {
  readonly name: string
  readonly version: string | null
  readonly release: string | null
  readonly arch: string | null
  readonly href: string | null
  /** `xml:base` of the location. */
  readonly base: string | null
  readonly size: string | null
  readonly checksumType: string | null
  readonly checksum: string | null
  /** Seconds since 1970. */
  readonly time: string | null
}

/** An entry from what an index states; null where it cannot be used. */
export function parseRpmEntry(raw: RawRpm): RpmEntry | null {
  const { name, version, release, arch, href, size, checksumType } = raw
  if (version === null || release === null || arch === null || href === null) return null
  if (
    ![name, version, release, arch].every((text) =>
      /^[A-Za-z0-9._+~^]{1,200}$/.test(text.replaceAll('-', '_')),
    )
  ) {
    return null
  }
  if (href === '' || href.length > 1000 || /[\u0000-\u0020]/.test(href)) return null
  if (size !== null && !/^\d{1,15}$/.test(size)) return null
  const sha256 = checksumType === 'sha256' && raw.checksum !== null ? parseSha256(raw.checksum) : null
  if (checksumType === 'sha256' && sha256 === null) return null
  return {
    name,
    version,
    release,
    arch,
    href: raw.base === null ? href : new URL(href, slashed(raw.base)).href,
    sizeBytes: size === null ? null : Number(size),
    sha256,
    date: dateOf(raw.time),
  }
}

/** A base that is a folder. */
export function slashed(base: string): string {
  return base.endsWith('/') ? base : `${base}/`
}

function dateOf(seconds: string | null): string | null {
  if (seconds === null || !/^\d{1,11}$/.test(seconds) || Number(seconds) === 0) return null
  return new Date(Number(seconds) * 1000).toISOString()
}

const Digest = z.string().transform((text, context): Sha256 => {
  const digest = parseSha256(text)
  if (digest !== null) return digest
  context.addIssue('expected a sha256')
  return z.NEVER
})

/** What is remembered; bump the number in `RpmUnit.memoKey` with its form. */
const Memo = z.object({
  /** Which index the entries came from, and who vouched for it. */
  from: z.string(),
  url: z.string(),
  signed: z.boolean(),
  entries: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      release: z.string(),
      arch: z.string(),
      href: z.string(),
      sizeBytes: z.number().nullable(),
      sha256: Digest.nullable(),
      date: z.string().nullable(),
    }),
  ),
  skipped: z.number(),
})
/** What an index gave, and which index that was. */
export interface RpmMemo extends RpmEntries {
  readonly from: string
  readonly url: string
  readonly signed: boolean
}

/** What was remembered under a key; null where there is nothing of that form. */
export async function recallRpms(key: string, cache: IndexCache): Promise<RpmMemo | null> {
  const memo = await cache.get(key)
  if (memo === null) return null
  let value: unknown
  try {
    value = JSON.parse(memo.value)
  } catch {
    return null
  }
  const parsed = Memo.safeParse(value)
  return parsed.success ? parsed.data : null
}

/** Remembers what an index gave; `sha256` is that of the index. */
export async function rememberRpms(
  key: string,
  memo: RpmMemo,
  sha256: Sha256,
  cache: IndexCache,
): Promise<void> {
  await cache.put(key, { etag: null, lastModified: null, sha256, value: JSON.stringify(memo) })
}
