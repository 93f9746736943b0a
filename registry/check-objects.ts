import PQueue from 'p-queue'
import type { Sha256 } from '../core/digest.ts'
import { formatKernel, type Kernel } from '../core/kernel.ts'
import {
  type CheckedKernel,
  type CheckResult,
  compareReleases,
  countPrograms,
  type Finding,
  formatFinding,
  type KernelOnly,
  type ObjectCheck,
  summarize,
} from '../minimize/index.ts'
import type { Build } from '../store/types.ts'
import type { CheckAnswer } from './api.ts'
import type { JobContext } from './long-jobs.ts'
import type { ObjectMins, ObjectSet } from './object-mins.ts'

/** Kernels whose types are interchangeable, so that one check serves them all. */
export interface BuildGroup {
  readonly kernels: readonly (CheckedKernel & Kernel)[]
  /** The BTF of one of them. */
  readonly btf: Sha256
}

/** Builds grouped by the layout of their types; a kernel with several builds of one layout is there once. */
export function groupsOfBuilds(builds: readonly Build[]): BuildGroup[] {
  const byLayout = new Map<string, Build[]>()
  for (const build of builds) {
    const same = byLayout.get(build.layoutDigest)
    if (same === undefined) byLayout.set(build.layoutDigest, [build])
    else same.push(build)
  }
  return [...byLayout.values()].map((same) => ({
    kernels: [...new Map(same.map((build) => [formatKernel(build.kernel), asChecked(build)])).values()],
    btf: (same[0] as Build).btf.digest,
  }))
}

/** Only a kernel without BTF has its types taken out of DWARF; of imported ones nobody knows. */
function asChecked({ kernel, provenance: { origin } }: Build): CheckedKernel & Kernel {
  return { ...kernel, hasOwnBtf: origin === 'embedded' ? true : origin === 'dwarf' ? false : null }
}

/** What a check works with. */
export interface CheckParts {
  readonly objectMins: Pick<ObjectMins, 'check' | 'concurrency'>
  /** Says of what was found which modules have what is missing. */
  readonly nameModules: (findings: readonly Finding[], signal: AbortSignal) => Promise<readonly Finding[]>
}

/** What objects come to on all these kernels. Throws what {@link ObjectMins.check} and `nameModules` throw. */
export async function checkObjects(
  { objectMins: mins, nameModules }: CheckParts,
  set: ObjectSet,
  groups: readonly BuildGroup[],
  { signal, progress }: JobContext,
): Promise<CheckAnswer> {
  const results: CheckResult[] = []
  let kernelOnly: ReadonlyMap<string, readonly KernelOnly[]> = new Map()
  // Most kernels come to the same: it is kept once.
  const known = new Map<string, readonly ObjectCheck[]>()
  const queue = new PQueue({ concurrency: mins.concurrency })
  const checkGroup = async ({ kernels, btf }: BuildGroup): Promise<void> => {
    signal.throwIfAborted()
    const check = await mins.check(set, btf)
    kernelOnly = new Map(check.kernelOnly)
    const key = JSON.stringify(check.objects, (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    )
    const objects = known.get(key) ?? check.objects
    known.set(key, objects)
    results.push({ kernels, objects })
    progress(results.length, groups.length)
  }
  try {
    await Promise.all(groups.map((group) => queue.add(() => checkGroup(group))))
  } finally {
    queue.clear()
  }
  const findings = await nameModules(summarize(results, kernelOnly), signal)
  return toAnswer(results, kernelOnly, findings)
}

function toAnswer(
  results: readonly CheckResult[],
  kernelOnly: ReadonlyMap<string, readonly KernelOnly[]>,
  findings: readonly Finding[],
): CheckAnswer {
  const kernels = results
    .flatMap((result) => result.kernels)
    .sort((a, b) => compareText(systemOf(a), systemOf(b)) || compareReleases(a.release, b.release))
  const numbers = new Map(kernels.map((kernel, i) => [kernel, i]))
  return {
    kernels: kernels.map((kernel) => `${systemOf(kernel)}/${kernel.release}`),
    programs: countPrograms(results, findings),
    findings: findings.map((finding) => ({
      object: finding.object,
      programs: [...finding.programs],
      subject: finding.subject,
      reason: finding.reason,
      effect: finding.effect,
      text: formatFinding(finding),
      ...(finding.modules === undefined ? {} : { modules: [...finding.modules] }),
      kernels: runsOf(finding.kernels.map((kernel) => numbers.get(kernel) as number)),
    })),
    kernel_only: [...kernelOnly].flatMap(([object, parts]) => parts.map((part) => ({ object, ...part }))),
  }
}

function systemOf({ distro, version, arch }: CheckedKernel): string {
  return `${distro}/${version}/${arch}`
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Numbers as runs of consecutive ones, ascending. */
function runsOf(numbers: readonly number[]): [number, number][] {
  const runs: [number, number][] = []
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last !== undefined && last[1] === number - 1) last[1] = number
    else runs.push([number, number])
  }
  return runs
}
