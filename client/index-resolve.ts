import { readFacts, type KernelFacts } from '../core/resolve/facts.ts'
import { KernelIndex } from '../core/resolve/kernel-index.ts'
import { resolve } from '../core/resolve/resolver.ts'
import { FactsError } from '../core/resolve/types.ts'
import type { Blob, ResolveAnswer, ResolveRequest } from '../registry/api.ts'
import { ClientError } from './errors.ts'
import { ambiguous, type Candidate, candidate, toBuild } from './index-candidate.ts'
import type { IndexDocuments } from './index-documents.ts'
import { type IndexVariant, pickVariant } from './index-variant.ts'

/** A tool has no min BTF of a kernel in an index: it does not fit, or a hub that runs is still making it. */
export class NoMinBtf extends ClientError {}

/**
 * Answers what `/v1/resolve` would, by the same rules, from the index of a hub: what is ambiguous is refused here too.
 * Throws ClientError `NOT_FOUND`, `AMBIGUOUS`, `BAD_REQUEST`, `UNVERIFIED`.
 */
export async function resolveFromIndex(
  hub: string,
  documents: IndexDocuments,
  request: ResolveRequest,
  variant: IndexVariant,
): Promise<ResolveAnswer> {
  const facts = factsOf(hub, request)
  const place = request.tool === undefined ? null : toolPlace(hub, documents.index.tools, request.tool)
  const resolution = resolve(new KernelIndex(await candidates(hub, documents, facts)), facts)
  switch (resolution.kind) {
    case 'unasked':
      throw new ClientError('BAD_REQUEST', `${hub}: expected at least one of release, build_id, banner`)
    case 'contradiction':
      throw new ClientError('BAD_REQUEST', `${hub}: ${resolution.detail}`)
    case 'not-found':
      throw new ClientError('NOT_FOUND', `${hub}: ${resolution.detail}`, {
        problem: { nearest: [...resolution.nearest] },
      })
    case 'found': {
      const { build, builds, match } = resolution
      if (variant.kind !== 'full') return { ...(await pickVariant(hub, documents, builds, variant)), match }
      return answer(match, build, blobFor(hub, build, place), documents, place)
    }
    case 'ambiguous': {
      const { builds, match } = resolution
      const blobs = builds.map((build) => blobFor(hub, build, place))
      const [build, blob] = [builds[0] as Candidate, blobs[0] as Blob]
      if (place !== null && variant.kind === 'full' && blobs.every((each) => each.digest === blob.digest)) {
        return answer(match, build, blob, documents, place)
      }
      throw ambiguous(hub, builds, blobs)
    }
  }
}

function factsOf(hub: string, request: ResolveRequest): KernelFacts {
  try {
    return readFacts(request)
  } catch (err) {
    if (!(err instanceof FactsError)) throw err
    throw new ClientError('BAD_REQUEST', `${hub}: ${err.message}`, { cause: err })
  }
}

/** All builds that the facts could mean: of the release that is named, and of those with the build-id. */
async function candidates(
  hub: string,
  documents: IndexDocuments,
  { release, buildId }: KernelFacts,
): Promise<Candidate[]> {
  const releases = new Set(buildId === null ? [] : await documents.releasesOf(buildId))
  if (release !== null) releases.add(release)
  const found = new Map<number, Candidate>()
  for (const each of releases) {
    for (const wire of await documents.byRelease(each)) found.set(wire.id, candidate(hub, wire))
  }
  return [...found.values()]
}

/** Where a tool is in the index's list; of several versions the newest, which is first. */
function toolPlace(hub: string, tools: readonly string[], spec: string): number {
  const exact = tools.indexOf(spec)
  const place = exact >= 0 ? exact : tools.findIndex((tool) => tool.slice(0, tool.lastIndexOf('@')) === spec)
  if (place < 0) throw new ClientError('NOT_FOUND', `${hub}: no tool ${JSON.stringify(spec)}`)
  return place
}

/** The full BTF, or the min BTF of the tool at `place`. */
function blobFor(hub: string, { wire }: Candidate, place: number | null): Blob {
  if (place === null) return wire.btf
  const min = wire.min[place]
  if (min === undefined || min === null) {
    throw new NoMinBtf(
      'BAD_REQUEST',
      `${hub}: the tool does not fit ${wire.kernel.release}, it has no min BTF`,
    )
  }
  return { ...min, url: `/v1/blobs/sha256/${min.digest}` }
}

function answer(
  match: ResolveAnswer['match'],
  candidate: Candidate,
  btf: Blob,
  { index }: IndexDocuments,
  place: number | null,
): ResolveAnswer {
  return {
    match,
    build: toBuild(candidate),
    btf,
    base: null,
    tool: place === null ? null : (index.tools[place] ?? null),
  }
}
