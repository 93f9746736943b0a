/** Cuts out of a kernel's BTF what BPF objects need of it, and tells what their relocations come to. No I/O. */
export { type BpfObject, parseBpfObject, type Relocation } from './bpf-object.ts'
export { MinimizeError, type MinimizeErrorCode } from './errors.ts'
export { KernelView } from './kernel-view.ts'
export type { Mismatch } from './match.ts'
export { type Minimized, minimize, minimizeFor } from './minimize.ts'
export type { CandidateMatch, FailureReason, Outcome, Resolution } from './outcome.ts'
export { type PreparedObject, type PreparedTool, prepareTool } from './prepare.ts'
export { ReloKind, reloKindName } from './relocation-kind.ts'
export { resolveObject } from './resolve.ts'
export { selfCheck } from './self-check.ts'
export { type CheckedObject, checkObject, prepareCheck } from './check/check.ts'
export type * from './check/types.ts'
export { countPrograms, type ProgramCount } from './check/program-counts.ts'
export type { KernelName } from './check/kernel-range.ts'
export {
  type CheckedKernel,
  type CheckResult,
  type Finding,
  formatFinding,
  summarize,
} from './check/summary.ts'
export { compareReleases } from './release-order.ts'
export { decodeCompact, encodeCompact } from './bundle/compact.ts'
export { bundleFiles } from './bundle/files.ts'
export * from './bundle/types.ts'
export { ustar } from './bundle/ustar.ts'
export { describeDifferences } from './differences.ts'
export { type KnownKernel, type Neighbours, neighboursOf, type WantedKernel } from './predict.ts'
export type { PoolCheck, PoolCut, PoolTool } from './pool/messages.ts'
export { type MinimizePool, openMinimizePool } from './pool/pool.ts'
export { Threads } from './pool/threads.ts'
