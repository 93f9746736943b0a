import { type KernelPackage, packageKey } from '../../core/kernel-package.ts'
import type { IndexCache, IndexReport, Source } from '../../crawler/index.ts'
import type { Build, Catalog, Failure } from '../../store/index.ts'
import { recordedListings, wholeParts } from './listing-memory.ts'

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
  for (const { source, distro, version, arch, builds: listed } of await recordedListings(cache)) {
    const where = [distro, version, arch].join('/')
    listedSources.add(`${source}/${where}`)
    for (const [key, flavour] of listed) {
      offered.add(key)
      const row = rowOf(where, flavour)
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
