export * from './types.ts'
export {
  audit,
  type AuditedStore,
  type AuditOptions,
  type AuditProblem,
  type AuditProgress,
  type AuditReport,
  type AuditStepName,
} from './audit.ts'
export { createDerived, type Derived, type DerivedBlob, type Make } from './derive.ts'
export { lastCrawls, recordCrawls, type SourceCrawl } from './crawls.ts'
export { coverage, type CoverageRow } from './coverage.ts'
export { openDiskBlobs } from './disk-blobs.ts'
export { type CompatForm, type DerivedForm, makeForm } from './forms/index.ts'
export { xz } from './forms/xz.ts'
export { collectGarbage, type GarbageReport } from './garbage.ts'
export { type RecordedListing, recordedListings, recordListings } from './listings.ts'
export { withLock } from './lock.ts'
export { createMemoryBlobs } from './memory-blobs.ts'
export { openStore, type Store } from './open.ts'
export { openCatalog } from './sqlite-catalog.ts'
export { removeStaleTempFiles } from './temp-files.ts'
