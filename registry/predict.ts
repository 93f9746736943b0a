import type { KernelFacts } from '../core/resolve/facts.ts'
import { neighboursOf } from '../minimize/index.ts'
import type { Build, Tool } from '../store/types.ts'
import type { Content } from './content.ts'
import { RegistryError } from './errors.ts'
import type { Found } from './find.ts'
import type { Hub } from './hub.ts'
import type { Snapshot } from './snapshots.ts'

/**
 * The min BTF of a tool that a kernel which is not here most likely needs: that of its neighbours, where all their
 * builds have the same. Null where they do not, where there are none on both sides, and where distribution, version,
 * architecture or release were not said. Throws RegistryError `BUSY`, StoreError.
 */
export async function predict(
  hub: Hub,
  { release, arch, archAssumed, distro, version }: KernelFacts,
  { snapshot, tool }: { readonly snapshot: Snapshot; readonly tool: Tool | null },
): Promise<Omit<Found, 'variant' | 'base'> | null> {
  if (tool === null || release === null || distro === null || version === null) return null
  if (arch === null || archAssumed) return null
  const known = snapshot.kernels.entries.flatMap(({ kernel, builds }) =>
    kernel.distro === distro ? builds : [],
  )
  const neighbours = neighboursOf({ distro, version, arch, release }, known)
  if (neighbours === null) return null
  const mins = []
  for (const build of differentBtf([...neighbours.before, ...neighbours.after])) {
    const min = await minOf(hub, tool, build)
    if (min === null) return null
    mins.push(min)
  }
  const [build, after] = [neighbours.before[0], neighbours.after[0]]
  const btf = mins[0]
  if (build === undefined || after === undefined || btf === undefined) return null
  if (mins.some(({ digest }) => digest !== btf.digest)) return null
  return { build, match: 'predicted', btf, tool, snapshot, predictedFrom: [build.kernel, after.kernel] }
}

function differentBtf(builds: readonly Build[]): readonly Build[] {
  return [...new Map(builds.map((build) => [build.btf.digest, build])).values()]
}

/** Null where the tool does not fit: from that nothing follows for another kernel. */
async function minOf(hub: Hub, tool: Tool, build: Build): Promise<Content | null> {
  try {
    return await hub.minBtfs.get(tool, build.btf.digest)
  } catch (err) {
    if (err instanceof RegistryError && err.code === 'TOOL_UNFIT') return null
    throw err
  }
}
