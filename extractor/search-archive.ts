import { isAltPath } from './alt-files.ts'
import type { ArchiveEntry } from './archive.ts'
import { limits } from '../core/limits.ts'
import type { Found, Job, Surroundings } from './found.ts'
import { candidateAt } from './members.ts'
import { ExtractError } from './types.ts'

/** Searches bytes of any kind: how an archive looks into what it holds. */
export type Open = (
  bytes: AsyncIterable<Uint8Array>,
  name: string,
  job: Job,
  where: Surroundings,
) => Promise<Found | null>

/** What is known of an archive before it is read. */
export interface Archive {
  readonly name: string
  readonly entries: AsyncIterable<ArchiveEntry>
  /** How many files of the wanted kernel it has, after which nothing is to be expected; null where nobody knows. */
  readonly candidates: number | null
}

/**
 * Tries the kernels of an archive in their order. Where no release was asked for there must be one only, so all names
 * are read, unless the package is called after the kernel that was found. Null where it has the kernel and that has no
 * BTF. Throws ExtractError `NOT_FOUND` where it does not have it, and what looking into it throws.
 */
export async function searchArchive(
  archive: Archive,
  job: Job,
  where: Surroundings,
  open: Open,
): Promise<Found | null> {
  const others = new Set<string>()
  let tried: string | null = null
  let triedCount = 0
  let found: Found | null = null
  let isDone = false
  for await (const entry of archive.entries) {
    if (isAlt(entry)) await job.alts.keep(entry.path, entry.sizeBytes, entry.body())
    if (isDone) {
      if (isWhole(found, job)) return found
      continue
    }
    const release = releaseOf(entry, job.release, where)
    if (release === null) continue
    if (release !== (job.release ?? tried ?? release)) {
      others.add(release)
      if (job.release !== null) continue
      throw severalKernels(archive.name, [tried as string, release])
    }
    tried = release
    found ??= await searchEntry(entry, archive.name, { ...job, release }, where, open)
    isDone = found !== null && (job.release !== null || isNamedAfter(where.packageName, release))
    isDone ||= ++triedCount === archive.candidates
    if (isDone && isWhole(found, job)) return found
  }
  if (tried !== null) return found
  throw noKernel(archive.name, job.release, others)
}

function isAlt({ kind, sizeBytes, path }: ArchiveEntry): boolean {
  return kind === 'file' && sizeBytes > 0 && isAltPath(path)
}

/** False where a vmlinux lacks the file that its DWARF goes on in: it may come behind it. */
function isWhole(found: Found | null, { alts }: Job): boolean {
  return found?.kind !== 'vmlinux' || found.altLink === null || alts.has(found.altLink)
}

export function severalKernels(name: string, releases: readonly string[]): ExtractError {
  return new ExtractError('NOT_FOUND', `${name}: has kernels ${releases.join(' and ')}: say which one`)
}

export function noKernel(name: string, release: string | null, others: ReadonlySet<string>): ExtractError {
  const wanted = release === null ? 'no kernel' : `no kernel ${release}`
  const has = others.size === 0 ? 'none at all' : [...others].slice(0, 10).join(', ')
  return new ExtractError('NOT_FOUND', `${name}: has ${wanted}; it has ${has}`)
}

/**
 * The release of the kernel or BTF that an entry is, the wanted one where one of its names says so; null where it is
 * neither. Links have no bytes of their own.
 */
function releaseOf(entry: ArchiveEntry, wanted: string | null, where: Surroundings): string | null {
  if (entry.kind !== 'file' || entry.sizeBytes === 0) return null
  const releases = [entry.path, ...entry.aliases].flatMap((path) => {
    const candidate = candidateAt(path)
    // A .btf in a package is some tool's.
    return candidate === null || (candidate.role === 'btf' && where.inPackage) ? [] : [candidate.release]
  })
  return releases.find((release) => release === wanted) ?? releases[0] ?? null
}

async function searchEntry(
  entry: ArchiveEntry,
  name: string,
  job: Job,
  where: Surroundings,
  open: Open,
): Promise<Found | null> {
  if (entry.sizeBytes > limits.vmlinux.maxBytes) {
    throw new ExtractError(
      'LIMIT',
      `${name}: ${entry.path} has ${entry.sizeBytes} bytes, a kernel has up to ${limits.vmlinux.maxBytes}`,
    )
  }
  return await open(entry.body(), `${name}: ${entry.path}`, job, { ...where, sizeBytes: entry.sizeBytes })
}

function isNamedAfter(packageName: string | null, release: string): boolean {
  return packageName?.replace(/-(?:dbg|dbgsym|unsigned)$/, '').endsWith(`-${release}`) ?? false
}
