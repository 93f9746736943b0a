import { recordedListings } from './listings.ts'
import type { Build, Catalog, Failure } from './types.ts'

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
  /** Offered, but known to have no eBPF, so that nobody needs its BTF. */
  readonly withoutEbpf: number
  /** Offered, and not here yet, although somebody may need it. */
  readonly missing: number
  /** Of those: tried, without a BTF so far. */
  readonly failed: number
  /** Here, and offered no longer. */
  readonly gone: number
}

/** What is offered against what is here, by distribution, version, architecture and flavour. */
export async function coverage(
  catalog: Pick<Catalog, 'builds' | 'failures' | 'indexMemo'>,
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
      withoutEbpf: 0,
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
  for (const listing of await recordedListings(catalog)) {
    const { source, distro, version, arch } = listing
    const where = [distro, version, arch].join('/')
    listedSources.add(`${source}/${where}`)
    for (const [key, flavour] of listing.builds) {
      offered.add(key)
      const row = rowOf(where, flavour)
      row.listed++
      if (builds.has(key)) continue
      if (listing.withoutEbpf.has(key)) {
        row.withoutEbpf++
        continue
      }
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
