import type { Sha256 } from '../core/digest.ts'
import { describeError } from '../core/errors.ts'
import { isGarbage, GRACE_MS } from './garbage.ts'
import { listTempFiles } from './temp-files.ts'
import { StoreError, type BlobReference, type BlobStore, type Catalog, type StoredBlob } from './types.ts'

/** What is audited; a store of `openStore` is one. */
export interface AuditedStore {
  readonly catalog: Catalog
  readonly blobs: BlobStore
  readonly tempDirs?: readonly string[]
}

export type AuditStepName = 'blobs' | 'rows' | 'references' | 'derived' | 'orphans' | 'temp'

export interface AuditProblem {
  readonly step: AuditStepName
  /** `error`: something that was kept is lost or wrong. `note`: waste, or what mends itself when it is next used. */
  readonly level: 'error' | 'note'
  /** The blob that it is about; null where it is about none. */
  readonly digest: Sha256 | null
  readonly message: string
}

export interface AuditReport {
  /** True where nothing that was kept is lost or wrong; notes do not count. */
  readonly sound: boolean
  /** How many things each step looked at, in order. */
  readonly steps: readonly { readonly name: AuditStepName; readonly checked: number }[]
  readonly problems: readonly AuditProblem[]
}

/** Told at each step's begin, during it and at its end: how many of how many are done; null where nobody knows. */
export type AuditProgress = (step: AuditStepName, done: number, total: number | null) => void

export interface AuditOptions {
  readonly signal?: AbortSignal
  /** Blobs that were put less than so long ago are no orphans yet. */
  readonly graceMs?: number
}

/** What earlier steps found out for later ones. */
interface Findings {
  /** Blobs whose bytes are what their digest says. */
  readonly whole: Map<Sha256, StoredBlob>
  readonly damaged: Set<Sha256>
  /** Null where the catalog is too damaged to say. */
  references: readonly BlobReference[] | null
}

interface Step {
  readonly store: AuditedStore
  readonly findings: Findings
  readonly graceMs: number
  readonly problem: (level: 'error' | 'note', digest: Sha256 | null, message: string) => void
  /** Throws where the audit was aborted. */
  readonly progress: (done: number, total: number | null) => void
}

/** Each gives how many things it looked at. */
const STEPS: readonly (readonly [name: AuditStepName, run: (step: Step) => Promise<number>])[] = [
  ['blobs', checkBlobs],
  ['rows', checkRows],
  ['references', checkReferences],
  ['derived', checkDerived],
  ['orphans', findOrphans],
  ['temp', findTempFiles],
]

/**
 * Reads everything that a store keeps and compares it. Problems are data; what throws is a disk or a catalog that
 * cannot be read at all. It may run while others write: what comes meanwhile is neither missing nor orphaned.
 */
export async function audit(
  store: AuditedStore,
  onProgress: AuditProgress = () => {},
  options: AuditOptions = {},
): Promise<AuditReport> {
  const problems: AuditProblem[] = []
  const steps: { name: AuditStepName; checked: number }[] = []
  const findings: Findings = { whole: new Map(), damaged: new Set(), references: null }
  for (const [name, run] of STEPS) {
    onProgress(name, 0, null)
    const checked = await run({
      store,
      findings,
      graceMs: options.graceMs ?? GRACE_MS,
      problem: (level, digest, message) => void problems.push({ step: name, level, digest, message }),
      progress(done, total) {
        options.signal?.throwIfAborted()
        onProgress(name, done, total)
      },
    })
    onProgress(name, checked, checked)
    steps.push({ name, checked })
  }
  return { sound: problems.every((problem) => problem.level === 'note'), steps, problems }
}

/** Each blob's bytes hash to its name. */
async function checkBlobs({ store, findings, problem, progress }: Step): Promise<number> {
  let done = 0
  for await (const blob of store.blobs.list()) {
    progress(done++, null)
    try {
      await store.blobs.read(blob.digest)
      findings.whole.set(blob.digest, blob)
    } catch (err) {
      if (!(err instanceof StoreError)) throw err
      // Removed since it was listed, as is right.
      if (err.code === 'NOT_FOUND') continue
      findings.damaged.add(blob.digest)
      problem('error', blob.digest, describeError(err))
    }
  }
  return done
}

/** The catalog's file is well, and each of its rows one that we write. */
async function checkRows({ store, problem }: Step): Promise<number> {
  const { rows, wrong } = await store.catalog.check()
  for (const message of wrong) problem('error', null, message)
  return rows
}

/** Each blob that a build or a tool points at is there, whole, and of the size that the catalog says. */
async function checkReferences({ store, findings, problem, progress }: Step): Promise<number> {
  try {
    findings.references = await store.catalog.references()
  } catch (err) {
    if (!(err instanceof StoreError) || err.code !== 'CORRUPT') throw err
    problem('error', null, describeError(err))
    return 0
  }
  const needed = findings.references.filter((reference) => reference.kind !== 'derived')
  for (const [done, { digest, sizeBytes, by }] of needed.entries()) {
    progress(done, needed.length)
    const actual = findings.whole.get(digest)?.sizeBytes ?? (await store.blobs.size(digest))
    if (findings.damaged.has(digest)) {
      problem('error', digest, `${by}: its blob ${digest} is damaged`)
    } else if (actual === null) {
      problem('error', digest, `${by}: its blob ${digest} is missing`)
    } else if (actual !== sizeBytes) {
      problem('error', digest, `${by}: its blob ${digest} has ${actual} bytes, the catalog says ${sizeBytes}`)
    }
  }
  return needed.length
}

/** What was derived is there; what is not is made again when somebody asks for it. */
async function checkDerived({ store, findings, problem, progress }: Step): Promise<number> {
  const derived = (findings.references ?? []).filter((reference) => reference.kind === 'derived')
  for (const [done, { digest, by }] of derived.entries()) {
    progress(done, derived.length)
    const isThere = findings.whole.has(digest) || findings.damaged.has(digest)
    if (!isThere && (await store.blobs.size(digest)) === null) {
      problem('note', digest, `${by}: its blob ${digest} is missing and will be made again`)
    }
  }
  return derived.length
}

/** Blobs that nothing points at: what a collection of garbage would remove. */
async function findOrphans({ findings, graceMs, problem }: Step): Promise<number> {
  if (findings.references === null) return 0
  const referenced = new Set(findings.references.map((reference) => reference.digest))
  const putBefore = new Date(Date.now() - graceMs)
  for (const blob of findings.whole.values()) {
    if (isGarbage(blob, referenced, putBefore)) {
      problem('note', blob.digest, `blob ${blob.digest}, ${blob.sizeBytes} bytes: nothing points at it`)
    }
  }
  return findings.whole.size
}

/** What killed processes left unfinished. */
async function findTempFiles({ store, problem }: Step): Promise<number> {
  const files = (await Promise.all((store.tempDirs ?? []).map((dir) => listTempFiles(dir)))).flat()
  for (const file of files.filter((each) => each.stale)) {
    problem('note', null, `${file.path}, ${file.sizeBytes} bytes: left by a process that is gone`)
  }
  return files.length
}
