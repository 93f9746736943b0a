import { layoutDigest, parseBtf, validateBtf } from '../../btf/index.ts'
import {
  ClientError,
  type IndexDocuments,
  type IndexSource,
  MissingDocument,
  openIndex,
  SeenVersions,
  type ShardBuild,
} from '../../client/index.ts'
import { parseSha256, sha256Of, type Sha256 } from '../../core/digest.ts'
import { describeError, isAbort } from '../../core/errors.ts'
import { checkName, formatKernel, type Kernel, makeKernel } from '../../core/kernel.ts'
import { limits } from '../../core/limits.ts'
import type { Provenance } from '../../core/provenance.ts'
import type { PublicKeyText } from '../../core/signed-index/index.ts'
import { parseBpfObject } from '../../minimize/index.ts'
import { type Tool as WireTool, ToolList } from '../../registry/api.ts'
import { blobPath } from '../../registry/index.ts'
import type { Build, BuildModule, NewBuild, Store, ToolObject } from '../../store/index.ts'
import type { ImportOutcome } from './import-outcome.ts'
import type { MinMaker } from './min-maker.ts'

export interface ImportExportDeps {
  readonly store: Store
  readonly minMaker: MinMaker
  /** With keys, only what an index says that one of them signed. */
  readonly keys: readonly PublicKeyText[]
  /** Where versions of indexes are remembered. */
  readonly seenDir: string
  /** The modules of builds too. */
  readonly modules: boolean
  /** Takes the BTF out of bytes, and checks it as any other. */
  readonly extract: (
    name: string,
    bytes: Uint8Array,
  ) => Promise<{ btf: Uint8Array; warnings: readonly string[] }>
  readonly signal: AbortSignal
  /** Told of each build and tool when it is dealt with. */
  readonly onOutcome: (outcome: ImportOutcome, done: number, total: number) => void
}

/** A hub that runs replaces its index while it is read: so often it is begun anew, what was taken in being known then. */
const TRIES = 5

/**
 * Takes in what an export has, or a hub that runs: its builds with their provenance, and its tools. Each blob is checked
 * against the digest that the index has, parsed and validated like any other; min BTF is cut anew. What is here already is not read again,
 * so that an import that was broken off goes on where it was. Where a trusted key signed the index, provenance is kept as
 * the hub has it; else builds count as imported, with the facts that were told of them. Throws ClientError `UNVERIFIED`
 * where the index is not believed, and where there is none.
 */
export async function importExport(
  source: IndexSource,
  deps: ImportExportDeps,
): Promise<readonly ImportOutcome[]> {
  const outcomes = new Map<string, ImportOutcome>()
  for (let attempt = 1; ; attempt++) {
    try {
      await importOnce(source, deps, outcomes)
      return [...outcomes.values()]
    } catch (err) {
      if (!(err instanceof MissingDocument) || attempt >= TRIES) throw err
    }
  }
}

async function importOnce(
  source: IndexSource,
  deps: ImportExportDeps,
  outcomes: Map<string, ImportOutcome>,
): Promise<void> {
  const seen = new SeenVersions(deps.seenDir)
  const documents = await openIndex(source, { keys: deps.keys, seen, now: () => new Date() })
  if (documents === null) throw new ClientError('UNVERIFIED', `${source.name}: has no signed index`)
  const { tools } = await documents.document(documents.index.tool_list, ToolList)
  const total = documents.index.builds + tools.length
  /** Each once, though an attempt before had got there. */
  const each = async (key: string, name: string, work: () => Promise<ImportOutcome>): Promise<void> => {
    deps.signal.throwIfAborted()
    const known = outcomes.get(key)
    if (known !== undefined && known.outcome !== 'failed') return
    const outcome = await orFailed(name, source, work)
    outcomes.set(key, outcome)
    deps.onOutcome(outcome, outcomes.size, total)
  }
  for (const number of documents.index.release_shards.keys()) {
    // Oldest first: the newest gets the highest id here too.
    const builds = (await documents.shard(number)).sort((a, b) => a.id - b.id)
    for (const build of builds) {
      const { distro, version, arch, release } = build.kernel
      await each(`build ${build.key}`, `${distro}/${version}/${arch}/${release}`, () =>
        importBuild(build, documents, source, deps),
      )
    }
  }
  for (const tool of tools) {
    const name = `${tool.name}@${tool.version}`
    await each(`tool ${name}`, name, () => importTool(tool, source, deps))
  }
}

async function orFailed(
  name: string,
  source: IndexSource,
  work: () => Promise<ImportOutcome>,
): Promise<ImportOutcome> {
  try {
    return await work()
  } catch (err) {
    if (isAbort(err) || err instanceof MissingDocument) throw err
    return { path: source.name, kernel: name, outcome: 'failed', digest: null, reason: describeError(err) }
  }
}

async function importBuild(
  wire: ShardBuild,
  documents: IndexDocuments,
  source: IndexSource,
  deps: ImportExportDeps,
): Promise<ImportOutcome> {
  const { store, minMaker, extract } = deps
  const { distro, version, arch, release } = wire.kernel
  const kernel = makeKernel(distro, version, arch, release)
  const path = blobPath(wire.btf.digest)
  const outcome = {
    path: source.name + path,
    kernel: formatKernel(kernel),
    digest: wire.btf.digest,
    reason: null,
  }
  const isTrusted = documents.trustedKey !== null
  const key = isTrusted ? wire.key : `import/${formatKernel(kernel)}/${wire.btf.digest}`
  const known = await store.catalog.buildByKey(key)
  if (known !== null && known.btf.digest === wire.btf.digest) {
    const isNew = await importModules(known, wire, documents, source, deps)
    return { ...outcome, outcome: isNew ? 'imported' : 'known' }
  }

  const { btf: bytes, warnings } = await extract(
    path,
    await readBlob(source, wire.btf.digest, limits.btf.maxBytes),
  )
  if (sha256Of(bytes) !== wire.btf.digest) throw unverified(source, `${path} is not a raw BTF`)
  const layout = layoutDigest(parseBtf(bytes))
  if (layout !== wire.layout_digest) {
    throw unverified(
      source,
      `the layout of ${formatKernel(kernel)} is ${layout}, the index says ${wire.layout_digest}`,
    )
  }
  const btf = await store.blobs.put(bytes)
  const told = { ...toProvenance(wire), warnings: [...new Set([...wire.provenance.warnings, ...warnings])] }
  const build = await store.catalog.addBuild({
    ...namesOf(wire, kernel),
    key,
    btf,
    layoutDigest: layout,
    provenance: isTrusted
      ? told
      : { ...told, source: 'import', origin: 'imported', verified: 'none', url: outcome.path },
  })
  await importModules(build, wire, documents, source, deps)
  await minMaker.forBuild(build)
  return { ...outcome, outcome: 'imported' }
}

/** False where there is nothing that is not here. Throws as importing a build does; then none of the modules is recorded. */
async function importModules(
  build: Build,
  wire: ShardBuild,
  documents: IndexDocuments,
  source: IndexSource,
  { store, modules: isWanted, signal }: ImportExportDeps,
): Promise<boolean> {
  if (!isWanted || wire.modules === null || (await store.catalog.modules(build.id)) !== null) return false
  const list = await documents.modules(wire)
  if (list === null) return false
  const totalBytes = list.modules.reduce((sum, { size_bytes: size }) => sum + size, 0)
  if (list.modules.length > limits.module.maxCount || totalBytes > limits.module.maxTotalBytes) {
    const what = `${list.modules.length} modules of ${totalBytes} bytes`
    throw unverified(source, `${formatKernel(build.kernel)} has ${what}, more than is allowed`)
  }
  const base = parseBtf(await store.blobs.read(build.btf.digest))
  const modules: BuildModule[] = []
  for (const { name, origin, digest } of list.modules) {
    signal.throwIfAborted()
    const bytes = await readModule(store, source, digest)
    validateBtf(parseBtf(bytes, { base }))
    modules.push({ name: checkName('module name', name), origin, btf: await store.blobs.put(bytes) })
  }
  const merged = parseBtf(await readBlob(source, list.merged.digest, limits.btf.maxBytes))
  validateBtf(merged)
  const layout = layoutDigest(merged)
  if (layout !== list.merged_layout) {
    const kernel = formatKernel(build.kernel)
    throw unverified(
      source,
      `the layout of ${kernel} with its modules is ${layout}, the index says ${list.merged_layout}`,
    )
  }
  await store.catalog.putModules(build.id, {
    modules,
    merged: await store.blobs.put(merged.bytes),
    mergedLayout: layout,
  })
  return true
}

/** Kernels of a series share most of their modules, and an import that was broken off has some of them. */
async function readModule(
  { blobs }: Pick<Store, 'blobs'>,
  source: IndexSource,
  text: string,
): Promise<Uint8Array> {
  const digest = parseSha256(text)
  const isHere = digest !== null && (await blobs.size(digest)) !== null
  return isHere ? blobs.read(digest) : readBlob(source, text, limits.btf.maxBytes)
}

function namesOf(wire: ShardBuild, kernel: Kernel): Pick<NewBuild, 'kernel' | 'flavour' | 'series'> {
  return { kernel, flavour: wire.flavour, series: wire.series }
}

function toProvenance({ provenance: from }: ShardBuild): Provenance {
  return {
    source: from.source,
    origin: from.origin,
    packageName: from.package_name,
    packageVersion: from.package_version,
    url: from.url,
    packageSha256: parseSha256(from.package_sha256 ?? ''),
    verified: from.verified,
    buildId: from.build_id,
    debugBuildId: from.debug_build_id ?? null,
    banner: from.banner,
    paholeVersion: from.pahole_version,
    paholeFlags: from.pahole_flags,
    warnings: from.warnings,
    createdAt: from.created_at,
    hubVersion: from.hub_version,
  }
}

async function importTool(
  wire: WireTool,
  source: IndexSource,
  { store, minMaker, signal }: ImportExportDeps,
): Promise<ImportOutcome> {
  const [name, version] = [checkName('tool name', wire.name), checkName('tool version', wire.version)]
  const outcome = { path: source.name, kernel: `${name}@${version}`, digest: null, reason: null }
  const before = await store.catalog.tool(name, version)
  const objects: ToolObject[] = []
  if (wire.objects.length > limits.object.maxCount)
    throw unverified(source, `${name} has ${wire.objects.length} objects`)
  for (const object of wire.objects) {
    const bytes = await readBlob(source, object.digest, limits.object.maxBytes)
    parseBpfObject(object.name, bytes)
    objects.push({ name: checkName('object name', object.name), ...(await store.blobs.put(bytes)) })
  }
  const tool = await store.catalog.addTool({ name, version, objects })
  await minMaker.forTool(tool, signal, () => {})
  return { ...outcome, outcome: before === null ? 'imported' : 'known' }
}

/** Throws ClientError `UNVERIFIED` where it is missing or not what its digest says. */
async function readBlob(source: IndexSource, digest: string, maxBytes: number): Promise<Uint8Array> {
  const bytes = await source.read(blobPath(digest), maxBytes)
  if (bytes === null) throw unverified(source, `blob ${digest} is missing`)
  const got: Sha256 = sha256Of(bytes)
  if (got === digest) return bytes
  throw unverified(source, `blob ${digest}: its sha256 is ${got}`)
}

function unverified(source: IndexSource, what: string): ClientError {
  return new ClientError('UNVERIFIED', `${source.name}: ${what}`)
}
