import { chmod, mkdir, realpath, rename, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { sha256Of, type Sha256 } from '../../core/digest.ts'
import { KernelIndex } from '../../core/resolve/kernel-index.ts'
import { manifestLines, nextVersion, seal, type SigningKey } from '../../core/signed-index/index.ts'
import { writeFileAtomic } from '../../core/temp-file.ts'
import type { SignedIndex } from '../../registry/api.ts'
import {
  blobPath,
  derivedFormOf,
  indexDocuments,
  type IndexParts as DocumentParts,
  ToolIndex,
} from '../../registry/index.ts'
import { type BlobRef, makeForm, type Store, withLock } from '../../store/index.ts'
import { eachAtOnce } from './each.ts'
import { planModules } from './plan-modules.ts'
import { planTree, type TreePlan } from './plan.ts'
import { INDEX_PATH, NEXT_INDEX_PATH, PREVIOUS_INDEX_PATH, PRIVATE_DIR } from './tree-paths.ts'
import { checkOwn, readTreeStates, type TreeState, type TreeStates } from './tree-state.ts'
import { FILE_MODE, makeFolder, TreeWriter } from './tree.ts'
import type { TreeFile, TreeForm } from './types.ts'

export interface ExportTreeOptions {
  readonly keys: readonly SigningKey[]
  readonly forms: readonly TreeForm[]
  readonly getScript: string
  /** How long the index is to be believed. */
  readonly lifetimeMs: number
  /** Files of their own instead of hard links to the store's. */
  readonly copies: boolean
  /** The modules of builds too. */
  readonly modules: boolean
  readonly now: Date
  readonly signal: AbortSignal
  /** Phases: `forms`, `files`, `removing`. */
  readonly onProgress: (phase: string, done: number, total: number) => void
}

export interface ExportReport {
  /** Of the index that is in the folder now. */
  readonly version: number
  readonly expires_at: string
  readonly kernels: number
  readonly files: number
  readonly written: number
  readonly removed: number
  /** False where all was as it should be and nothing was touched, the index included. */
  readonly changed: boolean
}

/**
 * Makes a folder the tree of a store (docs/export.md), touching what differs from an earlier export alone. Until its very
 * last rename the index before is in force: what it names by digest stays, and every other file is at any time what one of
 * the two indexes in the folder says. Throws ExportError, IndexError, StoreError, the signal's reason.
 */
export async function exportTree(
  dir: string,
  store: Store,
  options: ExportTreeOptions,
): Promise<ExportReport> {
  await mkdir(dirname(dir), { recursive: true })
  await makeFolder(dir)
  await mkdir(join(dir, PRIVATE_DIR), { recursive: true })
  return withLock(join(dir, PRIVATE_DIR), 'export', async () => {
    const root = await realpath(dir)
    const states = await readTreeStates(root)
    await checkOwn(
      root,
      states,
      options.keys.map((key) => key.publicKey),
    )
    const { files, links, parts } = await plan(store, options)
    const fresh = makeIndex(parts, states, options)
    if (fresh === null) return report(states.current as TreeState, 0, 0)

    const writer = new TreeWriter(root, store.blobs, options.copies)
    const manifest = { path: blobPath(fresh.manifest.digest).slice(1), ...fresh.manifest }
    await writer.write(manifest)
    await writeFileAtomic(join(root, NEXT_INDEX_PATH), fresh.text)
    await chmod(join(root, NEXT_INDEX_PATH), FILE_MODE)
    const written = await writeFiles(writer, files, states, options)
    for (const [path, target] of Object.entries(links)) await writer.link(path, target)
    await writer.sync()

    if (states.current !== null) {
      await writeFileAtomic(join(root, PREVIOUS_INDEX_PATH), states.current.text)
    }
    await rename(join(root, NEXT_INDEX_PATH), join(root, INDEX_PATH))
    await writer.sync()
    const removed = await removeOld(
      writer,
      new Set([...files.map((file) => file.path), manifest.path]),
      links,
      states,
      options,
    )
    await rm(join(root, PREVIOUS_INDEX_PATH), { force: true })
    const { index } = fresh
    return report({ index, files: new Map(files.map((f) => [f.path, f.digest])) }, written, removed)
  })
}

function report(
  { index, files }: Pick<TreeState, 'index' | 'files'>,
  written: number,
  removed: number,
): ExportReport {
  const { version, expires_at, builds: kernels } = index
  return { version, expires_at, kernels, files: files.size, written, removed, changed: written + removed > 0 }
}

type IndexParts = Omit<SignedIndex, 'version' | 'created_at' | 'expires_at' | 'manifest'>

/** All that the tree is to have but the index and its manifest; files by path. */
async function plan(
  store: Store,
  options: ExportTreeOptions,
): Promise<TreePlan & { readonly parts: IndexParts & { readonly manifest: Uint8Array } }> {
  const [builds, allTools] = [await store.catalog.builds(), await store.catalog.tools()]
  const tools = [...new ToolIndex(allTools).names.values()].flat()
  const minBtfs = new Map<number, ReadonlyMap<BlobRef['digest'], BlobRef>>()
  for (const tool of tools) minBtfs.set(tool.id, await store.catalog.minBtfs(tool.id))
  const index = new KernelIndex(builds)
  const modules = await planModules(index, store, options)
  const documents = new Map<Sha256, Uint8Array>()
  const parts: DocumentParts = await indexDocuments(
    {
      builds,
      tools,
      minBtfsOf: () => Promise.resolve(minBtfs),
      modulesOf: ({ id }) => Promise.resolve(modules.lists.get(id) ?? null),
    },
    (bytes) => {
      const digest = sha256Of(bytes)
      documents.set(digest, bytes)
      return Promise.resolve(digest)
    },
  )
  const tree = await planTree(
    {
      index,
      tools,
      minBtfs,
      forms: new Set(options.forms),
      getScript: options.getScript,
      async formOf(btf, kernel, form) {
        options.signal.throwIfAborted()
        const name = derivedFormOf(kernel, form)
        const known = await store.catalog.derived(btf, name)
        if (known !== null && (await store.blobs.size(known.digest)) === known.sizeBytes) return known
        return store.derived.get(btf, name)
      },
    },
    (done, total) => options.onProgress('forms', done, total),
  )
  const files = [...new Map([...tree.files, ...modules.files].map((file) => [file.path, file])).values()]
  for (const [digest, bytes] of documents) {
    const path = blobPath(digest).slice(1)
    const zipped = await makeForm('gz', bytes)
    files.push({ path, digest, bytes }, { path: `${path}.gz`, digest: sha256Of(zipped), bytes: zipped })
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1))
  const manifest = Buffer.from([...manifestLines(files)].join(''))
  return { files, links: tree.links, parts: { ...parts, links: tree.links, manifest } }
}

interface FreshIndex {
  readonly index: SignedIndex
  readonly text: string
  readonly manifest: Omit<TreeFile, 'path'>
}

/** Null where the index that is there says the same, and half of its life is still to come. */
function makeIndex(
  { manifest: bytes, ...parts }: IndexParts & { readonly manifest: Uint8Array },
  { current, next, previous }: TreeStates,
  options: ExportTreeOptions,
): FreshIndex | null {
  const digest = sha256Of(bytes)
  const rest = { ...parts, manifest: digest }
  if (current !== null && next === null && previous === null) {
    const { version: _version, created_at: _created, expires_at: expiresAt, ...said } = current.index
    const leftMs = new Date(expiresAt).getTime() - options.now.getTime()
    const isSame = JSON.stringify(sorted(said)) === JSON.stringify(sorted(rest))
    const keys = options.keys.map((key) => key.publicKey)
    if (isSame && leftMs > options.lifetimeMs / 2 && keys.join() === current.opened.signedBy.join())
      return null
  }
  const index: SignedIndex = {
    version: nextVersion(Math.max(current?.index.version ?? 0, next?.index.version ?? 0), options.now),
    created_at: options.now.toISOString(),
    expires_at: new Date(options.now.getTime() + options.lifetimeMs).toISOString(),
    ...rest,
  }
  return { index, text: seal(JSON.stringify(index), options.keys), manifest: { digest, bytes } }
}

function sorted(record: object): unknown {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Those that are not there yet as every index in the folder says; how many. */
async function writeFiles(
  writer: TreeWriter,
  files: readonly TreeFile[],
  states: TreeStates,
  options: ExportTreeOptions,
): Promise<number> {
  const said = [states.current, states.next].filter((state) => state !== null)
  let [done, written] = [0, 0]
  await eachAtOnce(files, availableParallelism() * 2, async (file) => {
    options.signal.throwIfAborted()
    const isKnown = said.length > 0 && said.every(({ files: of }) => of.get(file.path) === file.digest)
    if (!isKnown || !(await writer.has(file.path))) {
      await writer.write(file)
      written++
    }
    options.onProgress('files', ++done, files.length)
  })
  return written
}

/** What indexes before this one had and it has not; how many. Manifests last, because they say what there is to remove. */
async function removeOld(
  writer: TreeWriter,
  kept: ReadonlySet<string>,
  links: Readonly<Record<string, string>>,
  { current, next, previous }: TreeStates,
  options: ExportTreeOptions,
): Promise<number> {
  const old = new Set<string>()
  const manifests = new Set<string>()
  for (const state of [previous, current, next]) {
    if (state === null) continue
    for (const path of state.files.keys()) if (!kept.has(path)) old.add(path)
    for (const path of Object.keys(state.index.links)) if (links[path] === undefined) old.add(path)
    if (state.index.manifest !== null) manifests.add(blobPath(state.index.manifest).slice(1))
  }
  const gone = [...old, ...[...manifests].filter((path) => !kept.has(path))]
  for (const [done, path] of gone.entries()) {
    options.signal.throwIfAborted()
    await writer.remove(path)
    options.onProgress('removing', done + 1, gone.length)
  }
  return gone.length
}
