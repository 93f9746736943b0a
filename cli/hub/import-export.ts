import { layoutDigest, parseBtf } from '../../btf/index.ts'
import {
  ClientError,
  type IndexDocuments,
  type IndexSource,
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
import type { NewBuild, Store, ToolObject } from '../../store/index.ts'
import type { ImportOutcome } from './import-outcome.ts'
import type { MinMaker } from './min-maker.ts'

export interface ImportExportDeps {
  readonly store: Store
  readonly minMaker: MinMaker
  /** With keys, only what an index says that one of them signed. */
  readonly keys: readonly PublicKeyText[]
  /** Where versions of indexes are remembered. */
  readonly seenDir: string
  /** Takes the BTF out of bytes, and checks it as any other. */
  readonly extract: (
    name: string,
    bytes: Uint8Array,
  ) => Promise<{ btf: Uint8Array; warnings: readonly string[] }>
  readonly signal: AbortSignal
  /** Told of each build and tool when it is dealt with. */
  readonly onOutcome: (outcome: ImportOutcome, done: number, total: number) => void
}

/**
 * Takes in what an export has: its builds with their provenance and its tools. Each blob is checked against the digest
 * that the index has, parsed and validated like any other; min BTF is cut anew. What is here already is not read again,
 * so that an import that was broken off goes on where it was. Where a trusted key signed the index, provenance is kept as
 * the hub has it; else builds count as imported, with the facts that were told of them. Throws ClientError `UNVERIFIED`
 * where the index is not believed, and where there is none.
 */
export async function importExport(
  source: IndexSource,
  deps: ImportExportDeps,
): Promise<readonly ImportOutcome[]> {
  const seen = new SeenVersions(deps.seenDir)
  const documents = await openIndex(source, { keys: deps.keys, seen, now: () => new Date() })
  if (documents === null) throw new ClientError('UNVERIFIED', `${source.name}: has no signed index`)
  const { tools } = await documents.document(documents.index.tool_list, ToolList)
  const total = documents.index.builds + tools.length
  const outcomes: ImportOutcome[] = []
  const tell = (outcome: ImportOutcome): void => {
    outcomes.push(outcome)
    deps.onOutcome(outcome, outcomes.length, total)
  }
  for (const number of documents.index.release_shards.keys()) {
    // Oldest first: the newest gets the highest id here too.
    const builds = (await documents.shard(number)).sort((a, b) => a.id - b.id)
    for (const build of builds) {
      deps.signal.throwIfAborted()
      tell(
        await orFailed(`${build.kernel.distro}/${build.kernel.release}`, source, () =>
          importBuild(build, documents, source, deps),
        ),
      )
    }
  }
  for (const tool of tools) {
    deps.signal.throwIfAborted()
    tell(await orFailed(`${tool.name}@${tool.version}`, source, () => importTool(tool, source, deps)))
  }
  return outcomes
}

async function orFailed(
  name: string,
  source: IndexSource,
  work: () => Promise<ImportOutcome>,
): Promise<ImportOutcome> {
  try {
    return await work()
  } catch (err) {
    if (isAbort(err)) throw err
    return { path: source.name, kernel: name, outcome: 'failed', digest: null, reason: describeError(err) }
  }
}

async function importBuild(
  wire: ShardBuild,
  documents: IndexDocuments,
  source: IndexSource,
  { store, minMaker, extract }: ImportExportDeps,
): Promise<ImportOutcome> {
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
  if (known !== null && known.btf.digest === wire.btf.digest) return { ...outcome, outcome: 'known' }

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
  await minMaker.forBuild(build)
  return { ...outcome, outcome: 'imported' }
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
