import { z } from 'zod'
import { sha256Of } from '../core/digest.ts'
import type { Catalog } from './types.ts'

/** What distributions offered when their indexes were read last, by build. */
const Listed = z.object({
  /** ISO 8601, UTC. */
  at: z.string(),
  /** The flavour of each build, by its key. */
  builds: z.record(z.string(), z.string()),
  /** Keys of those that are known to have no eBPF: their BTF would be of no use. */
  withoutEbpf: z.array(z.string()).default([]),
})

/** Where a part of a listing is kept: one for each source, version and architecture. */
const PARTS_KEY = 'listing-parts/1'
const partKey = (part: string): string => `listing/1 ${part}`

/** What one source offered for one version and architecture. */
export interface RecordedListing {
  readonly source: string
  readonly distro: string
  readonly version: string
  readonly arch: string
  /** When its indexes were last read whole, ISO 8601. */
  readonly at: string
  /** `core/kernel-package.packageKey` and flavour of each build. */
  readonly builds: readonly (readonly [key: string, flavour: string])[]
  readonly withoutEbpf: ReadonlySet<string>
}

type Memos = Pick<Catalog, 'indexMemo' | 'putIndexMemo'>

/**
 * Records listings. What replaces what was recorded of its part has to be whole; else it is added, and the time stays: a
 * listing that was read in part says nothing about the kernels that are not in it.
 */
export async function recordListings(
  listings: readonly (RecordedListing & { readonly whole: boolean })[],
  memos: Memos,
): Promise<void> {
  for (const { source, distro, version, arch, at, builds, withoutEbpf, whole } of listings) {
    const part = [source, distro, version, arch].join('/')
    const known = whole ? null : await readPart(part, memos)
    await put(memos, partKey(part), {
      at: known?.at ?? at,
      builds: { ...known?.builds, ...Object.fromEntries(builds) },
      withoutEbpf: [...new Set([...(known?.withoutEbpf ?? []), ...withoutEbpf])],
    })
  }
  const known = await readParts(memos)
  const parts = listings.map(({ source, distro, version, arch }) => [source, distro, version, arch].join('/'))
  const all = [...new Set([...known, ...parts])].sort()
  if (all.length > known.length) await put(memos, PARTS_KEY, all)
}

/** Everything that {@link recordListings} keeps; what cannot be read counts as not recorded. */
export async function recordedListings(memos: Pick<Memos, 'indexMemo'>): Promise<readonly RecordedListing[]> {
  const listings: RecordedListing[] = []
  for (const part of await readParts(memos)) {
    const [source = '', distro = '', version = '', arch = ''] = part.split('/')
    const listed = await readPart(part, memos)
    if (listed === null) continue
    const { at, builds, withoutEbpf } = listed
    const of = { source, distro, version, arch, at }
    listings.push({ ...of, builds: Object.entries(builds), withoutEbpf: new Set(withoutEbpf) })
  }
  return listings
}

async function readPart(
  part: string,
  memos: Pick<Memos, 'indexMemo'>,
): Promise<z.infer<typeof Listed> | null> {
  return Listed.safeParse(fromJson((await memos.indexMemo(partKey(part)))?.value)).data ?? null
}

async function readParts(memos: Pick<Memos, 'indexMemo'>): Promise<readonly string[]> {
  return z.array(z.string()).safeParse(fromJson((await memos.indexMemo(PARTS_KEY))?.value)).data ?? []
}

async function put(memos: Memos, key: string, value: unknown): Promise<void> {
  const text = JSON.stringify(value)
  await memos.putIndexMemo(key, { etag: null, lastModified: null, sha256: sha256Of(text), value: text })
}

function fromJson(text: string | undefined): unknown {
  try {
    return text === undefined ? null : JSON.parse(text)
  } catch {
    return null
  }
}
