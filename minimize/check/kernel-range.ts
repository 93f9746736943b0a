import { compareReleases, mainlineSeries } from '../release-order.ts'

/** A kernel by its names; of one that only a file is known of, distro and version are empty. */
export interface KernelName {
  readonly distro: string
  readonly version: string
  readonly arch: string
  readonly release: string
}

/**
 * Some of the kernels that were looked at, in few words: `everywhere`, `before 5.8`, `on aarch64`, `on centos 7, alinux
 * 2 before 4.19.81-17.1.al7.x86_64`. Says nothing about kernels that were not looked at.
 */
export function describeKernels(some: ReadonlySet<KernelName>, all: readonly KernelName[]): string {
  if (some.size === all.length && all.length > 1) return 'everywhere'
  return acrossAll(some, all) ?? ofArch(some, all) ?? inGroups(some, all)
}

function inGroups(some: ReadonlySet<KernelName>, all: readonly KernelName[]): string {
  return `on ${groups(all)
    .flatMap((group) => inGroup(some, group))
    .join(', ')}`
}

/** Where distributions do not matter: all up to some version of the kernel, or all from one on. */
function acrossAll(some: ReadonlySet<KernelName>, all: readonly KernelName[]): string | null {
  const isAffected = new Map<string, boolean>()
  for (const kernel of all) {
    const series = mainlineSeries(kernel.release)
    if (series === null) continue
    const here = some.has(kernel)
    if ((isAffected.get(series) ?? here) !== here) return null
    isAffected.set(series, here)
  }
  const ordered = [...isAffected].sort(([a], [b]) => compareReleases(a, b))
  const change = ordered.findIndex(([, here], i) => i > 0 && here !== ordered[0]?.[1])
  if (change < 0 || ordered.slice(change).some(([, here]) => here === ordered[0]?.[1])) return null
  const text = `${ordered[0]?.[1] === true ? 'before' : 'since'} ${ordered[change]?.[0]}`
  const unplaced = [...some].filter(({ release }) => mainlineSeries(release) === null)
  return unplaced.length === 0 ? text : `${text}, ${inGroups(new Set(unplaced), all)}`
}

function ofArch(some: ReadonlySet<KernelName>, all: readonly KernelName[]): string | null {
  const arches = new Set([...some].map(({ arch }) => arch))
  const [arch] = arches
  if (arches.size !== 1 || arch === '' || some.size < 2) return null
  return all.filter((kernel) => kernel.arch === arch).length === some.size ? `on ${arch}` : null
}

interface Group {
  readonly name: string
  /** In order of release. */
  readonly kernels: readonly KernelName[]
}

function groups(all: readonly KernelName[]): Group[] {
  const arches = new Map<string, Set<string>>()
  for (const { distro, version, arch } of all) {
    const key = `${distro}/${version}`
    arches.set(key, (arches.get(key) ?? new Set()).add(arch))
  }
  const found = new Map<string, KernelName[]>()
  for (const kernel of all) {
    const isSeveral = (arches.get(`${kernel.distro}/${kernel.version}`)?.size ?? 0) > 1
    const names = [kernel.distro, kernel.version, ...(isSeveral ? [kernel.arch] : [])]
    const name = names.filter((each) => each !== '').join(' ')
    const group = found.get(name)
    if (group === undefined) found.set(name, [kernel])
    else group.push(kernel)
  }
  return [...found]
    .sort(([a], [b]) => compareReleases(a, b))
    .map(([name, kernels]) => ({
      name,
      kernels: kernels.sort((a, b) => compareReleases(a.release, b.release)),
    }))
}

function inGroup(some: ReadonlySet<KernelName>, { name, kernels }: Group): string[] {
  const here = kernels.map((kernel) => some.has(kernel))
  const count = here.filter((each) => each).length
  if (count === 0) return []
  const [first, last] = [here.indexOf(true), here.lastIndexOf(true)]
  const release = (i: number): string => kernels[i]?.release ?? ''
  const named = (text: string): string[] => [name === '' ? text : `${name} ${text}`]
  if (count === kernels.length) return name === '' ? kernels.map((kernel) => kernel.release) : [name]
  if (count === 1) return named(release(first))
  if (last - first + 1 !== count) return named(`(${count} of ${kernels.length})`)
  if (first === 0) return named(`before ${release(last + 1)}`)
  if (last === kernels.length - 1) return named(`since ${release(first)}`)
  return named(`${release(first)} to ${release(last)}`)
}
