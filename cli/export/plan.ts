import { availableParallelism } from 'node:os'
import { posix } from 'node:path'
import { sha256Of, type Sha256 } from '../../core/digest.ts'
import { ARCHES, archiveArch, archivePath, type Kernel, versionAliases } from '../../core/kernel.ts'
import { type KernelFacts, readFacts } from '../../core/resolve/facts.ts'
import type { KernelEntry, KernelIndex } from '../../core/resolve/kernel-index.ts'
import { resolve } from '../../core/resolve/resolver.ts'
import { checkTreePath } from '../../core/signed-index/index.ts'
import { blobPath, formatTarTree, formatTool, putTar, type TarTree } from '../../registry/index.ts'
import type { BlobRef, Build, Tool } from '../../store/index.ts'
import { eachAtOnce } from './each.ts'
import { releaseLines } from './release-lines.ts'
import { FORM_ENDINGS, RESERVED } from './tree-paths.ts'
import { TREE_FORMS, type TreeFile, type TreeForm } from './types.ts'

/** What a tree is made of. */
export interface TreeContents {
  readonly index: KernelIndex<Build>
  /** By name, the newest version of each first. */
  readonly tools: readonly Tool[]
  readonly minBtfs: ReadonlyMap<number, ReadonlyMap<Sha256, BlobRef>>
  readonly forms: ReadonlySet<TreeForm>
  /** The text of get.sh. */
  readonly getScript: string
  /** A form of a BTF, made where it was not; it is a blob of the store then. */
  readonly formOf: (btf: Sha256, kernel: Kernel, form: TreeForm) => Promise<BlobRef>
}

export interface TreePlan {
  readonly files: readonly TreeFile[]
  /** Path of each symbolic link, and its target. */
  readonly links: Readonly<Record<string, string>>
}

/**
 * What files a tree has so that any web server answers the paths of a hub (DESIGN 6) as the hub would: by kernel,
 * release, build-id and digest, nothing where the hub would say "ambiguous". A server of files does not look at queries,
 * so a path without distribution or architecture is there only where those make no difference.
 */
export async function planTree(
  contents: TreeContents,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<TreePlan> {
  const plan = new Map<string, TreeFile>()
  const add = (path: string, digest: Sha256, bytes: Uint8Array | null = null): void => {
    plan.set(checkTreePath(path), { path, digest, bytes })
  }
  const addText = (path: string, text: string): void => add(path, sha256Of(text), Buffer.from(text))
  const parts: Parts = { ...contents, add, addText }
  addBlobs(parts)
  addByBuildId(parts)
  addByRelease(parts)
  await addArchive(parts, onProgress)
  addText('get.sh', contents.getScript)
  addText('healthz', 'ok\n')
  return { files: [...plan.values()], links: planLinks(contents, plan) }
}

interface Parts extends TreeContents {
  readonly add: (path: string, digest: Sha256, bytes?: Uint8Array | null) => void
  readonly addText: (path: string, text: string) => void
}

const NOTHING_SAID = readFacts({})

/** The build that a hub would give; null where it would give none. */
function found(index: KernelIndex<Build>, facts: Partial<KernelFacts>): Build | null {
  const resolution = resolve(index, { ...NOTHING_SAID, ...facts })
  return resolution.kind === 'found' ? resolution.build : null
}

function addBlobs({ index, tools, minBtfs, add }: Parts): void {
  for (const { builds } of index.entries) for (const { btf } of builds) addBlob(btf.digest)
  for (const { objects } of tools) for (const { digest } of objects) addBlob(digest)
  for (const mins of minBtfs.values()) for (const { digest } of mins.values()) addBlob(digest)
  function addBlob(digest: Sha256): void {
    add(blobPath(digest).slice(1), digest)
  }
}

/** debuginfod's path. */
function addByBuildId({ index, add }: Parts): void {
  const ids = new Set(
    index.entries.flatMap(({ builds }) =>
      builds.flatMap((b) => [b.provenance.buildId, b.provenance.debugBuildId]),
    ),
  )
  for (const buildId of ids) {
    const build = buildId === null ? null : found(index, { buildId })
    if (build !== null) add(`buildid/${buildId}/section/.BTF`, build.btf.digest)
  }
}

/** `/v1/btf`, `/v1/min` and `/v1/releases`, and the paths of OpenAnolis' mirror. */
function addByRelease({ index, tools, minBtfs, add, addText }: Parts): void {
  const minOf = (tool: Tool, btf: Sha256): BlobRef | null => minBtfs.get(tool.id)?.get(btf) ?? null
  const labels = tools.map((tool) => ({ tool, label: formatTool(tool) }))
  for (const release of new Set(index.entries.map(({ kernel }) => kernel.release))) {
    const builds = index.withRelease(release)
    addText(`v1/releases/${release}`, releaseLines(builds, tools, minOf))
    const any = found(index, { release })
    if (any !== null) add(`v1/btf/${release}`, any.btf.digest)
    for (const { tool, label } of labels) {
      const mins = new Set(builds.map((build) => minOf(tool, build.btf.digest)?.digest))
      const [only] = mins
      if (mins.size === 1 && only !== undefined && label.length <= MAX_FOLDER_NAME) {
        add(`v1/min/${label}/${release}`, only)
      }
    }
    for (const arch of ARCHES) {
      const build = found(index, { release, arch })
      if (build !== null) add(`coolbpf/btf/${arch}/vmlinux-${release}`, build.btf.digest)
    }
  }
}

/** NAME_MAX of Linux; a folder of a tool with a longer name is left out, its min BTF are in the index. */
const MAX_FOLDER_NAME = 255

/** btfhub's layout with its sidecars, Datadog's catalog, and compressed blobs for servers that send those. */
async function addArchive(parts: Parts, onProgress: (done: number, total: number) => void): Promise<void> {
  const entries = parts.index.entries.filter(({ kernel }) => !RESERVED.has(kernel.distro))
  const tars: (readonly [Kernel, Sha256])[] = []
  let done = 0
  await eachAtOnce(entries, availableParallelism(), async (entry) => {
    const tar = await addKernel(parts, entry)
    if (tar !== null) tars.push([entry.kernel, tar])
    onProgress(++done, entries.length)
  })
  const tree: TarTree = { x86_64: {}, arm64: {} }
  for (const [kernel, digest] of tars.sort(([a], [b]) => (archivePath(a) < archivePath(b) ? -1 : 1))) {
    putTar(tree, kernel, digest)
  }
  if (!parts.forms.has('tar.xz')) return
  for (const path of ['catalog.json', 'btfs/catalog.json']) parts.addText(path, formatTarTree(tree))
}

/** Gives the digest of its `tar.xz`; null where it has none. */
async function addKernel(parts: Parts, { kernel, builds }: KernelEntry<Build>): Promise<Sha256 | null> {
  const { index, forms, formOf, add, addText } = parts
  for (const { btf } of builds) {
    if (forms.has('gz'))
      add(`${blobPath(btf.digest).slice(1)}.gz`, (await formOf(btf.digest, kernel, 'gz')).digest)
  }
  const { arch, distro, version, release } = kernel
  const build = found(index, { arch, distro, version, release })
  if (build === null) return null
  const addWithSum = (path: string, digest: Sha256): void => {
    add(path, digest)
    addText(`${path}.sha256`, `${digest}  ${posix.basename(path)}\n`)
  }
  addWithSum(`${archivePath(kernel)}.btf`, build.btf.digest)
  let tar: Sha256 | null = null
  for (const form of TREE_FORMS) {
    if (!forms.has(form)) continue
    const { digest } = await formOf(build.btf.digest, kernel, form)
    for (const ending of FORM_ENDINGS[form]) addWithSum(archivePath(kernel) + ending, digest)
    if (form === 'tar.xz') tar = digest
  }
  return tar
}

/** Other names of folders: of architectures, versions and the newest version of a tool, and of the whole archive. */
function planLinks(
  { index, tools }: TreeContents,
  files: ReadonlyMap<string, TreeFile>,
): Record<string, string> {
  const links = new Map<string, string>()
  for (const { kernel } of index.entries) {
    const { distro, version, arch } = kernel
    if (RESERVED.has(distro)) continue
    links.set(`btfs/${distro}`, `../${distro}`)
    links.set(`aquasecurity/btfhub-archive/raw/main/${distro}`, `../../../../${distro}`)
    const shown = archiveArch(arch)
    for (const alias of ARCH_ALIASES[arch] ?? []) {
      if (alias !== shown) links.set(`${distro}/${version}/${alias}`, shown)
      if (alias !== arch) links.set(`coolbpf/btf/${alias}`, arch)
    }
    for (const alias of versionAliases(distro, version)) links.set(`${distro}/${alias}`, version)
  }
  const folders = new Set([...files.keys()].map((path) => posix.dirname(path)))
  for (const [i, tool] of tools.entries()) {
    const isNewest = tools[i - 1]?.name !== tool.name
    const folder = `v1/min/${formatTool(tool)}`
    if (isNewest && folders.has(folder)) links.set(`v1/min/${tool.name}`, formatTool(tool))
  }
  const sorted = [...links].sort(([a], [b]) => (a < b ? -1 : 1))
  for (const [path] of sorted) checkTreePath(path)
  return Object.fromEntries(sorted)
}

/** All names of an architecture that have two; the others are called alike everywhere. */
const ARCH_ALIASES: Readonly<Record<string, readonly string[]>> = {
  x86_64: ['x86_64', 'amd64'],
  aarch64: ['aarch64', 'arm64'],
}
