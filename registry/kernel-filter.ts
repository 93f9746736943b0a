import type { KernelIndex } from '../core/resolve/kernel-index.ts'
import type { Build } from '../store/types.ts'
import { type Kernel, KernelNameError, parseArch, parseDistro, parseVersion } from '../core/kernel.ts'

/** What kernels a request is about, as it came. */
export interface KernelFilter {
  readonly distro?: string | undefined
  readonly version?: string | undefined
  readonly arch?: string | undefined
}

/** Whether a kernel is one of those; aliases, quotes and point releases are understood. Throws KernelNameError. */
export function kernelFilter({ distro, version, arch }: KernelFilter): (kernel: Kernel) => boolean {
  const wantedDistro = distro === undefined ? null : parseDistro(distro)
  const wantedArch = arch === undefined ? null : parseArch(arch)
  if (arch !== undefined && wantedArch === null) {
    throw new KernelNameError('BAD_NAME', `arch ${JSON.stringify(arch)}: not known`)
  }
  return (kernel) =>
    (wantedDistro === null || kernel.distro === wantedDistro) &&
    (version === undefined || kernel.version === parseVersion(kernel.distro, version)) &&
    (wantedArch === null || kernel.arch === wantedArch)
}

/** The builds of those kernels, in an order that depends on nothing else. Throws KernelNameError. */
export function wantedBuilds(kernels: KernelIndex<Build>, filter: KernelFilter): readonly Build[] {
  const isWanted = kernelFilter(filter)
  return kernels.entries.flatMap(({ kernel, builds }) => (isWanted(kernel) ? builds : []))
}
