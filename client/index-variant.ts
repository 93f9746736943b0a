import type { Blob, ModuleList, ResolveAnswer, ResolveRequest } from '../registry/api.ts'
import { ClientError } from './errors.ts'
import { ambiguous, type Candidate, toBuild } from './index-candidate.ts'
import type { IndexDocuments } from './index-documents.ts'

/** Which BTF of a build is wanted of an index. */
export type IndexVariant =
  | { readonly kind: 'full' }
  | { readonly kind: 'merged' }
  | { readonly kind: 'split'; readonly module: string }

/** Throws ClientError `BAD_REQUEST`, and `NOT_FOUND` for what no index has. */
export function readVariant(hub: string, request: ResolveRequest): IndexVariant {
  const { module, compat = 'native', tool } = request
  const kind = request.variant ?? (module === undefined ? 'full' : 'split')
  if (compat !== 'native') {
    throw new ClientError('NOT_FOUND', `${hub}: a signed index has no BTF at compat ${compat}, only native`)
  }
  if (kind !== 'full' && tool !== undefined) {
    throw new ClientError('NOT_FOUND', `${hub}: a signed index has min BTF of kernels without modules alone`)
  }
  if ((kind === 'split') !== (module !== undefined)) {
    throw new ClientError('BAD_REQUEST', `${hub}: a module is of variant split, and that is of a module`)
  }
  // Modules' names have `_` where their files have `-`.
  return module === undefined || kind !== 'split'
    ? { kind: kind as 'full' | 'merged' }
    : { kind, module: module.replaceAll('-', '_') }
}

/**
 * The merged or split BTF of builds that are interchangeable without their modules, newest first, by a hub's own rules:
 * where their modules tell them apart, or those of one are not known, none of them. Throws ClientError `NOT_FOUND`,
 * `AMBIGUOUS`, `UNVERIFIED`.
 */
export async function pickVariant(
  hub: string,
  documents: IndexDocuments,
  builds: readonly Candidate[],
  wanted: Exclude<IndexVariant, { kind: 'full' }>,
): Promise<Omit<ResolveAnswer, 'match'>> {
  const having: { readonly build: Candidate; readonly btf: Blob; readonly layout: string }[] = []
  for (const build of builds) {
    const list = await documents.modules(build.wire)
    const btf = list === null ? null : blobOf(list, wanted)
    if (list !== null && btf !== null) having.push({ build, btf, layout: list.merged_layout })
  }
  const [first] = having
  if (first === undefined) {
    const what = wanted.kind === 'split' ? `the module ${wanted.module}` : 'the modules'
    throw new ClientError('NOT_FOUND', `${hub}: has the kernel, but not ${what} of it`)
  }
  const isOne = having.length === builds.length && new Set(having.map(({ layout }) => layout)).size === 1
  if (!isOne) {
    throw ambiguous(
      hub,
      having.map(({ build }) => build),
      having.map(({ btf }) => btf),
    )
  }
  const base = wanted.kind === 'split' ? first.build.wire.btf : null
  return { build: toBuild(first.build), btf: first.btf, base, tool: null }
}

function blobOf(list: ModuleList, wanted: Exclude<IndexVariant, { kind: 'full' }>): Blob | null {
  const found =
    wanted.kind === 'merged' ? list.merged : list.modules.find(({ name }) => name === wanted.module)
  if (found === undefined) return null
  return { digest: found.digest, size_bytes: found.size_bytes, url: `/v1/blobs/sha256/${found.digest}` }
}
