import { z } from 'zod'
import { sha256Of } from '../../core/digest.ts'
import { type KernelPackage, packageKey } from '../../core/kernel-package.ts'
import type { IndexCache, IndexReport, Source } from '../../crawler/index.ts'
import type { Build, Catalog, Failure } from '../../store/index.ts'

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

/** How much of what is offered the hub has. */
export interface CoverageRow {
  readonly distro: string
  readonly version: string
  readonly arch: string
  readonly flavour: string
  /** Builds that are offered. */
  readonly listed: number
  readonly embedded: number
  readonly dwarf: number
  /** Imported, or made in another way. */
  readonly other: number
  /** Offered, and not here yet. */
  readonly missing: number
  /** Of those: tried, without a BTF so far. */
  readonly failed: number
  /** Here, and offered no longer. */
  readonly gone: number
}

/**
 * Keeps what was listed, for the parts whose every index was read: a failed listing says nothing about the kernels in
 * it, so what was known of them stays.
 */
export async function rememberListing(
  listed: readonly KernelPackage[],
  indexes: readonly IndexReport[],
  deps: {
    readonly context: { readonly cache: IndexCache }
    readonly sources: readonly Source[]
    now(): Date
  },
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

/** Builds of these sources that indexes, all of them read, no longer name. */
export function goneBuilds(
  builds: readonly Build[],
  listed: readonly KernelPackage[],
  indexes: readonly IndexReport[],
  sources: readonly Source[],
): Build[] {
  const offered = new Set(listed.map((pkg) => packageKey(pkg)))
  const whole = wholeParts(indexes)
  const ids = new Set(sources.map(({ id }) => id))
  return builds.filter(
    ({ key, kernel, provenance }) =>
      ids.has(provenance.source) &&
      whole.has(`${kernel.distro}/${kernel.version}/${kernel.arch}`) &&
      !offered.has(key),
  )
}

/** What is offered against what is here, by distribution, version, architecture and flavour. */
export async function coverage(
  catalog: Pick<Catalog, 'builds' | 'failures'>,
  cache: IndexCache,
): Promise<readonly CoverageRow[]> {
  const rows = new Map<
    string,
    Record<Exclude<keyof CoverageRow, 'distro' | 'version' | 'arch' | 'flavour'>, number>
  >()
  const rowOf = (where: string, flavour: string): NonNullable<ReturnType<typeof rows.get>> => {
    const key = `${where}/${flavour}`
    const row = rows.get(key) ?? {
      listed: 0,
      embedded: 0,
      dwarf: 0,
      other: 0,
      missing: 0,
      failed: 0,
      gone: 0,
    }
    rows.set(key, row)
    return row
  }
  const builds = new Map((await catalog.builds()).map((build): [string, Build] => [build.key, build]))
  const failures = new Map((await catalog.failures()).map((one): [string, Failure] => [one.key, one]))
  const offered = new Set<string>()
  const listedSources = new Set<string>()
  for (const part of await readParts(cache)) {
    const [source = '', ...where] = part.split('/')
    const memo = Listed.safeParse(parse((await cache.get(partKey(part)))?.value))
    if (!memo.success) continue
    listedSources.add([source, ...where].join('/'))
    for (const [key, flavour] of Object.entries(memo.data.builds)) {
      offered.add(key)
      const row = rowOf(where.join('/'), flavour)
      row.listed++
      if (builds.has(key)) continue
      row.missing++
      if (failures.has(key)) row.failed++
    }
  }
  for (const [key, { kernel, flavour, provenance }] of builds) {
    const where = [kernel.distro, kernel.version, kernel.arch].join('/')
    const row = rowOf(where, flavour)
    if (provenance.origin === 'embedded') row.embedded++
    else if (provenance.origin === 'dwarf') row.dwarf++
    else row.other++
    // Only where a listing is known can a build be gone from it.
    if (listedSources.has(`${provenance.source}/${where}`) && !offered.has(key)) row.gone++
  }
  return [...rows]
    .map(([key, counts]) => {
      const [distro = '', version = '', arch = '', flavour = ''] = key.split('/')
      return { distro, version, arch, flavour, ...counts }
    })
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

function keyOf({ distro, version, arch, flavour }: CoverageRow): string {
  return [distro, version, arch, flavour].join('/')
}

/** `distro/version/arch` whose every index was read or is known not to be there. */
function wholeParts(indexes: readonly IndexReport[]): ReadonlySet<string> {
  const partOf = ({ index, version, arch }: IndexReport): string =>
    [index.split('/')[0] ?? '', version, arch].join('/')
  const failed = new Set(indexes.filter(({ outcome }) => outcome === 'failed').map(partOf))
  return new Set(indexes.map(partOf).filter((part) => !failed.has(part)))
}

async function readParts(cache: IndexCache): Promise<readonly string[]> {
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
