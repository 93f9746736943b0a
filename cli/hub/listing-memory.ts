import { z } from 'zod'
import { sha256Of } from '../../core/digest.ts'
import { type KernelPackage, packageKey } from '../../core/kernel-package.ts'
import type { IndexCache, IndexReport } from '../../crawler/index.ts'

/** What distributions offered when their indexes were last read whole, by build. */
const Listed = z.object({
  /** ISO 8601, UTC. */
  at: z.string(),
  /** The flavour of each build, by its key. */
  builds: z.record(z.string(), z.string()),
})

/** Where a part of a listing is kept: one for each source, version and architecture. */
const PARTS_KEY = 'listing-parts/1'
const partKey = (part: string): string => `listing/1 ${part}`

/** What one source offered for one version and architecture when its indexes were last read whole. */
export interface RecordedListing {
  readonly source: string
  readonly distro: string
  readonly version: string
  readonly arch: string
  /** ISO 8601, UTC. */
  readonly at: string
  /** `core/kernel-package.packageKey` and flavour of each build. */
  readonly builds: readonly (readonly [key: string, flavour: string])[]
}

/**
 * Keeps what was listed, for the parts whose every index was read: a failed listing says nothing about the kernels in
 * it, so what was known of them stays.
 */
export async function rememberListing(
  listed: readonly KernelPackage[],
  indexes: readonly IndexReport[],
  deps: { readonly context: { readonly cache: IndexCache }; now(): Date },
): Promise<void> {
  const { cache } = deps.context
  const at = deps.now().toISOString()
  const whole = wholeParts(indexes)
  const parts = new Map<string, Record<string, string>>()
  for (const pkg of listed) {
    const { distro, version, arch } = pkg.kernel
    if (!whole.has(`${distro}/${version}/${arch}`)) continue
    const part = [pkg.source, distro, version, arch].join('/')
    const builds = parts.get(part) ?? {}
    builds[packageKey(pkg)] = pkg.flavour
    parts.set(part, builds)
  }
  for (const [part, builds] of parts) await put(cache, partKey(part), { at, builds })
  const known = await readParts(cache)
  const all = [...new Set([...known, ...parts.keys()])].sort()
  if (all.length > known.length) await put(cache, PARTS_KEY, all)
}

/** Everything that {@link rememberListing} keeps; what cannot be read counts as not recorded. */
export async function recordedListings(cache: Pick<IndexCache, 'get'>): Promise<readonly RecordedListing[]> {
  const listings: RecordedListing[] = []
  for (const part of await readParts(cache)) {
    const [source = '', distro = '', version = '', arch = ''] = part.split('/')
    const memo = Listed.safeParse(parse((await cache.get(partKey(part)))?.value))
    if (!memo.success) continue
    const { at, builds } = memo.data
    listings.push({ source, distro, version, arch, at, builds: Object.entries(builds) })
  }
  return listings
}

/** `distro/version/arch` whose every index was read or is known not to be there. */
export function wholeParts(indexes: readonly IndexReport[]): ReadonlySet<string> {
  const partOf = ({ index, version, arch }: IndexReport): string =>
    [index.split('/')[0] ?? '', version, arch].join('/')
  const open = ({ outcome, partial }: IndexReport): boolean => outcome === 'failed' || partial === true
  const inPart = new Set(indexes.filter(open).map(partOf))
  return new Set(indexes.map(partOf).filter((part) => !inPart.has(part)))
}

async function readParts(cache: Pick<IndexCache, 'get'>): Promise<readonly string[]> {
  const parsed = z.array(z.string()).safeParse(parse((await cache.get(PARTS_KEY))?.value))
  return parsed.success ? parsed.data : []
}

async function put(cache: IndexCache, key: string, value: unknown): Promise<void> {
  const text = JSON.stringify(value)
  await cache.put(key, { etag: null, lastModified: null, sha256: sha256Of(text), value: text })
}

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? null : JSON.parse(text)
  } catch {
    return null
  }
}
