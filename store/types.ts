import type { Readable } from 'node:stream'
import type { Sha256 } from '../core/digest.ts'
import { HubError } from '../core/errors.ts'
import type { Kernel } from '../core/kernel.ts'
import type { Provenance } from '../core/provenance.ts'

/**
 * `NOT_FOUND`: nothing of that name. `CORRUPT`: bytes that are not what their digest says. `CONFLICT`: something else
 * is already there (a tool's version is immutable). `SCHEMA`: a catalog of another hub version. `READ_ONLY`, `BUSY`: as
 * said. `IO`: the disk refused (full, unreadable, not permitted). `TOOL`: an external program is missing or failed.
 */
export type StoreErrorCode =
  'NOT_FOUND' | 'CORRUPT' | 'CONFLICT' | 'SCHEMA' | 'READ_ONLY' | 'BUSY' | 'IO' | 'TOOL'
export class StoreError extends HubError<StoreErrorCode> {}

export interface BlobRef {
  readonly digest: Sha256
  readonly sizeBytes: number
}

/** A blob as its store lists it. */
export interface StoredBlob extends BlobRef {
  /** When it was put last; putting it again counts. */
  readonly storedAt: Date
}

/** Bytes by digest. Nobody outside knows how they are kept. One conformance suite for every implementation. */
export interface BlobStore {
  /** Durable when it returns; putting what is there already costs nothing. */
  put(bytes: Uint8Array): Promise<BlobRef>
  /** Whole and checked against the digest. Throws `NOT_FOUND` or `CORRUPT`. */
  read(digest: Sha256): Promise<Uint8Array>
  /** A part, for ranges; not checked. `end` is exclusive. Throws `NOT_FOUND`. */
  open(digest: Sha256, range?: { readonly start: number; readonly end: number }): Promise<Readable>
  /** Size in bytes; null where it is not there. */
  size(digest: Sha256): Promise<number | null>
  /** The same with when it was put last. */
  stat(digest: Sha256): Promise<StoredBlob | null>
  /**
   * Gives the blob a further name in the file system, where its bytes take no space again; false, and nothing done, where
   * that cannot be. The bytes are not checked, and must not be changed under that name. Throws `NOT_FOUND`, `IO`.
   */
  link(digest: Sha256, path: string): Promise<boolean>
  /** Every blob that is kept, in no order. */
  list(): AsyncIterable<StoredBlob>
  /**
   * Drops a blob; false where there was none, or where it was put (again) after `unlessPutSince`: a collector of
   * garbage never takes what somebody is just about to use.
   */
  remove(digest: Sha256, options?: { readonly unlessPutSince: Date }): Promise<boolean>
}

/** A build with its full BTF, as the catalog keeps it. */
export interface Build {
  /** Grows with time: of two builds of one kernel, the newer has the higher. */
  readonly id: number
  readonly kernel: Kernel
  readonly flavour: string
  readonly series: string
  /** `core/kernel-package.packageKey`, or `import/…`: no two builds share one. */
  readonly key: string
  readonly btf: BlobRef
  readonly layoutDigest: Sha256
  readonly provenance: Provenance
}

export type NewBuild = Omit<Build, 'id'>

/** Split BTF of one of a build's modules, on the build's own. */
export interface BuildModule {
  /** As `/sys/kernel/btf` calls it. */
  readonly name: string
  readonly btf: BlobRef
  readonly origin: 'embedded' | 'dwarf'
}

/** All modules of a build that have types. */
export interface BuildModules {
  /** By name. */
  readonly modules: readonly BuildModule[]
  /** The build's BTF and all of its modules' in one id space. */
  readonly merged: BlobRef
  /** Builds that share it are interchangeable with their modules. */
  readonly mergedLayout: Sha256
}

/** A package that gave no BTF, or a build that is there without the modules that were asked for. */
export interface Failure {
  /** `core/kernel-package.packageKey`, or `modulesKey` of that. */
  readonly key: string
  readonly kernel: Kernel
  /** An error code: `NO_BTF`, `BAD_DIGEST`, `ILL`, `TOOL` … */
  readonly code: string
  readonly message: string
  readonly tries: number
  /** ISO 8601, UTC. */
  readonly lastTryAt: string
  /** Before this, a crawl leaves it alone unless told otherwise. */
  readonly nextTryAt: string
}

/** One BPF object of a tool. */
export interface ToolObject {
  /** The file's name, `execsnoop.bpf.o`. */
  readonly name: string
  readonly digest: Sha256
  readonly sizeBytes: number
}

export interface Tool {
  readonly id: number
  readonly name: string
  readonly version: string
  readonly objects: readonly ToolObject[]
  /** ISO 8601, UTC. */
  readonly createdAt: string
}

/** Who may do what over HTTP. The secret itself is kept nowhere. */
export interface Token {
  readonly name: string
  /** sha256 of the secret. */
  readonly hash: Sha256
  /** `tools` or `tool:NAME` each. */
  readonly scopes: readonly string[]
  /** When its secret was made, ISO 8601, UTC. */
  readonly createdAt: string
}

export interface BuildFilter {
  readonly distro?: string
  readonly version?: string
  readonly arch?: string
  readonly release?: string
  readonly origin?: string
  /** A part of the release. */
  readonly q?: string
  /** Builds after this id. */
  readonly afterId?: number
  readonly limit?: number
}

/** One blob that the catalog points at, once per kind of pointer. */
export interface BlobReference {
  readonly digest: Sha256
  /** As the catalog has it; null where only the digest was ever told. */
  readonly sizeBytes: number | null
  readonly kind: 'build' | 'module' | 'object' | 'min' | 'derived'
  /** One of those that point at it, for people: `build debian/12/…`, `tool execsnoop@1.0`. */
  readonly by: string
}

/** Facts about kernels, builds, tools and runs. Reading never needs the writer. */
export interface Catalog {
  /** Changes whenever a build or a tool does: what answers from memory reloads then. */
  generation(): Promise<number>
  builds(filter?: BuildFilter): Promise<readonly Build[]>
  buildByKey(key: string): Promise<Build | null>
  /**
   * Adds a build, or gives back the one with that key; a failure of that key is forgotten. One transaction. Throws
   * `CONFLICT` where the key is taken by another BTF or another kernel: a build never changes silently.
   */
  addBuild(build: NewBuild): Promise<Build>

  /** Null where they were not taken in. */
  modules(buildId: number): Promise<BuildModules | null>
  /** Ids of the builds whose modules were taken in. */
  buildsWithModules(): Promise<ReadonlySet<number>>
  /**
   * One transaction; that they could not be taken in before is forgotten. Throws `NOT_FOUND` where there is no such
   * build, `CONFLICT` where it has other modules.
   */
  putModules(buildId: number, modules: BuildModules): Promise<void>

  failures(): Promise<readonly Failure[]>
  failure(key: string): Promise<Failure | null>
  /** Counts one more try; the next is due after a back-off that grows by days (1, 2, 4 … 30). */
  addFailure(failure: Omit<Failure, 'tries' | 'nextTryAt'>): Promise<Failure>

  tools(): Promise<readonly Tool[]>
  /** The newest version where none is named; null where there is no such tool. */
  tool(name: string, version?: string): Promise<Tool | null>
  /** Throws `CONFLICT` where that version exists with other objects; gives it back where it is the same. */
  addTool(tool: Omit<Tool, 'id' | 'createdAt'>): Promise<Tool>
  /** All versions where none is named; how many were removed. */
  removeTool(name: string, version?: string): Promise<number>

  /** By name. */
  tokens(): Promise<readonly Token[]>
  /** Throws `CONFLICT` where there is one of that name. */
  addToken(token: Omit<Token, 'createdAt'>): Promise<Token>
  /** Another secret for it, the old one being worth nothing from then on; false where there is none of that name. */
  rotateToken(name: string, hash: Sha256): Promise<boolean>
  /** False where there is none. */
  removeToken(name: string): Promise<boolean>

  /** The min BTF of a tool on a full BTF, where it was made already. */
  minBtf(toolId: number, btf: Sha256): Promise<BlobRef | null>
  minBtfs(toolId: number): Promise<ReadonlyMap<Sha256, BlobRef>>
  /** Of some full BTFs those of all tools, by the id of the tool and the full BTF. */
  minBtfsOf(btfs: readonly Sha256[]): Promise<ReadonlyMap<number, ReadonlyMap<Sha256, BlobRef>>>
  /** Counts up whenever a min BTF is put. */
  minChanges(): Promise<number>
  /** Replaces what was there. Throws `NOT_FOUND` where there is no such tool (any more). */
  putMinBtf(toolId: number, btf: Sha256, min: BlobRef): Promise<void>

  /** Bytes made from a blob (`gz`, `xz`, `tar.xz:NAME`), where they were made already. */
  derived(from: Sha256, form: string): Promise<BlobRef | null>
  putDerived(from: Sha256, form: string, to: BlobRef): Promise<void>

  /** What indexes said, see crawler/types.ts. */
  indexMemo(
    key: string,
  ): Promise<{ etag: string | null; lastModified: string | null; sha256: string; value: string } | null>
  putIndexMemo(
    key: string,
    memo: { etag: string | null; lastModified: string | null; sha256: string; value: string },
  ): Promise<void>

  /** Every digest that something in the catalog points at. Forms derived from blobs that nothing uses do not count. */
  referencedBlobs(): Promise<ReadonlySet<Sha256>>
  /** The same with who points; for audits. */
  references(): Promise<readonly BlobReference[]>
  /** Forgets forms derived from blobs that nothing else points at; how many. */
  prune(): Promise<number>
  /** Reads every row and the file's own structure: how many rows, and one line for each thing wrong. */
  check(): Promise<{ readonly rows: number; readonly wrong: readonly string[] }>
  close(): Promise<void>
}
