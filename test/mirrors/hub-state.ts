import { parseBtf } from '../../btf/index.ts'
import { formatKernel } from '../../core/kernel.ts'
import { audit, type Build, type Store } from '../../store/index.ts'
import type { Fleet } from './fleet.ts'

/** All that a hub holds but for the order and the time in which it came there. */
export interface HubState {
  readonly builds: readonly object[]
  readonly failures: readonly object[]
  /** Digests of all blobs. */
  readonly blobs: readonly string[]
}

/** What is in a store, in an order of its own. */
export async function hubState(store: Store): Promise<HubState> {
  const blobs: string[] = []
  for await (const { digest } of store.blobs.list()) blobs.push(digest)
  const builds = await store.catalog.builds()
  return {
    builds: builds.map(timeless).sort((a, b) => (a.key < b.key ? -1 : 1)),
    failures: (await store.catalog.failures()).map(({ key, code }) => ({ key, code })),
    blobs: blobs.sort(),
  }
}

function timeless(build: Build): { readonly key: string } {
  const { id: _id, provenance, ...facts } = build
  const { createdAt: _createdAt, ...origin } = provenance
  return { ...facts, ...origin }
}

/**
 * What is wrong in a hub that crawled the fleet, one line each: a BTF that is another kernel's or no kernel's, a build
 * that no mirror offers, one that is there twice, whatever an audit finds. What is missing is not wrong.
 */
export async function hubFaults(store: Store, fleet: Fleet): Promise<string[]> {
  const { problems } = await audit(store, undefined, { graceMs: 0 })
  const faults = problems.map(({ step, message }) => `${step}: ${message}`)
  const seen = new Set<string>()
  for (const build of await store.catalog.builds()) {
    const name = formatKernel(build.kernel)
    const known = fleet.kernels.find(({ kernel }) => kernel === name)
    const btf = parseBtf(await store.blobs.read(build.btf.digest))
    const markers = fleet.kernels.map(({ marker }) => marker).filter((one) => btf.idsByName(one).length > 0)
    if (known === undefined || seen.has(name)) faults.push(`${name}: not offered, or there twice`)
    else if (markers.join() !== known.marker) faults.push(`${name}: has ${markers.join()}`)
    else if (build.provenance.origin !== known.origin) faults.push(`${name}: ${build.provenance.origin}`)
    seen.add(name)
  }
  return faults
}

/** The kernels that a hub has, as the fleet names them. */
export async function kernelsIn(store: Store): Promise<string[]> {
  return (await store.catalog.builds()).map(({ kernel }) => formatKernel(kernel)).sort()
}

/** The kernels of a fleet, of one distribution where one is named. */
export function kernelsOf(fleet: Fleet, distro = ''): string[] {
  return fleet.kernels
    .map(({ kernel }) => kernel)
    .filter((kernel) => kernel.startsWith(distro))
    .sort()
}
