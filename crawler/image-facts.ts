import type { KernelPackage } from '../core/kernel-package.ts'
import type { ImageFact } from './schema.ts'

/** A build with what its source knows about BTF in its images; unchanged where nothing is known. */
export function withImageFacts(
  pkg: KernelPackage,
  facts: readonly ImageFact[],
  compare: (a: string, b: string) => number,
): KernelPackage {
  const fact = facts.find((candidate) => fits(candidate, pkg))
  if (fact === undefined) return pkg
  return {
    ...pkg,
    imagesHaveBtf: reaches(pkg.packageVersion, fact.btf, compare),
    ...(fact.ebpf !== undefined && !reaches(pkg.packageVersion, fact.ebpf, compare) && { hasEbpf: false }),
    ...(fact.buildIdsDiffer && { buildIdsDiffer: true }),
  }
}

function fits(fact: ImageFact, { kernel, flavour }: KernelPackage): boolean {
  return (
    (fact.versions?.includes(kernel.version) ?? true) &&
    (fact.arches?.includes(kernel.arch) ?? true) &&
    (fact.flavours?.includes(flavour) ?? true) &&
    new RegExp(fact.release).test(kernel.release)
  )
}

function reaches(version: string, since: string, compare: (a: string, b: string) => number): boolean {
  if (since === 'never') return false
  return since === 'always' || compare(version, since) >= 0
}
