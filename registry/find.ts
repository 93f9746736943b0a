import type { Sha256 } from '../core/digest.ts'
import type { Arch, Kernel } from '../core/kernel.ts'
import { listKernels, tellApart } from '../core/resolve/ambiguity.ts'
import { type Asked, type KernelFacts, readFacts } from '../core/resolve/facts.ts'
import { resolve, type Resolution } from '../core/resolve/resolver.ts'
import { FactsError } from '../core/resolve/types.ts'
import type { BlobRef, Build, Tool } from '../store/types.ts'
import type { Match } from './api.ts'
import { blobContent, type Content } from './content.ts'
import { RegistryError } from './errors.ts'
import type { Hub } from './hub.ts'
import { predict } from './predict.ts'
import type { Snapshot } from './snapshots.ts'
import { hasPassed } from './via.ts'
import { lowered, readVariant, selectVariant, type VariantAsked, type VariantWanted } from './variant.ts'
import { type Candidate, toChoice } from './wire.ts'

/** The one BTF that a request is about. */
export interface Found {
  readonly build: Build
  readonly match: Match
  /** The full BTF of the build, or its min BTF for `tool`. */
  readonly btf: Content
  readonly tool: Tool | null
  readonly variant: VariantWanted
  /** Of split BTF: what it is split from. */
  readonly base: BlobRef | null
  readonly snapshot: Snapshot
  /** With match `predicted`: the kernels before and after the wanted one, `build` being of the former. */
  readonly predictedFrom?: readonly [Kernel, Kernel]
}

/** What a request asks for. */
export interface Wanted extends VariantAsked {
  readonly kernel: Asked
  /** Where the request does not say. */
  readonly assumedArch?: Arch
  /** `NAME` or `NAME@VERSION`; the full BTF where it is not given. */
  readonly tool?: string | undefined
  /** Whether a guess will do where nothing matches; only with `tool`. */
  readonly predict?: boolean | undefined
  /** How min BTF of objects that no tool has is made of a full one; not together with `tool`. */
  readonly cut?: Cut
  /** The `Via` of the request: who comes from a hub that we would ask gets only what is here. */
  readonly via?: string | undefined
}

/** Makes a min BTF of a full one. */
export type Cut = (btf: Sha256) => Promise<Content>

/** Layouts of one release that min BTF is made of to see whether they come to the same. */
const MAX_LAYOUTS = 16

/**
 * Finds the BTF that a request describes. What is not there is looked for once more in what the catalog says now, so
 * that nobody is told "no" of something that was put in before they asked, and then where suppliers may have it. Throws
 * RegistryError `NOT_FOUND`, `AMBIGUOUS`, `CONTRADICTION`, `BAD_REQUEST`, `TOOL_UNFIT`, `PENDING`, `BUSY` or
 * `UNAVAILABLE`.
 */
export async function find(hub: Hub, wanted: Wanted): Promise<Found> {
  try {
    const found = await findFresh(hub, wanted)
    hub.metrics.count(hub.metrics.resolves, found.match)
    return found
  } catch (err) {
    const code = err instanceof RegistryError || err instanceof FactsError ? err.code : 'INTERNAL'
    hub.metrics.count(hub.metrics.resolves, code.toLowerCase().replaceAll('_', '-'))
    throw err
  }
}

async function findFresh(hub: Hub, wanted: Wanted): Promise<Found> {
  const variant = readVariant(wanted, wanted.tool !== undefined || wanted.cut !== undefined)
  const found = await findNative(hub, wanted, variant)
  return { ...found, btf: await lowered(hub, found.btf, variant.compat, wanted.cut === undefined) }
}

async function findNative(hub: Hub, wanted: Wanted, variant: VariantWanted): Promise<Found> {
  if (wanted.predict === true && wanted.tool === undefined) {
    throw new RegistryError('BAD_REQUEST', 'predict: only of min BTF, expected a tool')
  }
  if (wanted.predict === true && variant.variant !== 'full') {
    throw new RegistryError('BAD_REQUEST', `predict: modules of no kernel are known, expected variant full`)
  }
  const facts = readFacts(wanted.kernel, wanted.assumedArch === undefined ? {} : { arch: wanted.assumedArch })
  const known = look(await hub.snapshots.get(), facts, wanted)
  if (known.isHere) return take(hub, known, wanted, variant)
  const current = look(await hub.snapshots.refresh(), facts, wanted)
  const lacksTool = wanted.tool !== undefined && current.tool === null
  if (current.resolution.kind !== 'not-found' || lacksTool || hasPassed(wanted.via, hub.via)) {
    return take(hub, current, wanted, variant)
  }
  const landing = await hub.justInTime.bring(facts, wanted.via)
  if (landing.kind === 'added') {
    return take(hub, look(await hub.snapshots.refresh(), facts, wanted), wanted, variant)
  }
  const guess = wanted.predict === true ? await predict(hub, facts, current) : null
  if (guess !== null) return { ...guess, variant, base: null }
  return take(hub, current, wanted, variant, landing.why)
}

/** What a snapshot has of what is wanted. */
interface Looked {
  readonly snapshot: Snapshot
  readonly resolution: Resolution<Build>
  /** Null where none is wanted, and where it is not here. */
  readonly tool: Tool | null
  /** False where a newer snapshot may have more. */
  readonly isHere: boolean
}

function look(snapshot: Snapshot, facts: KernelFacts, wanted: Wanted): Looked {
  const tool = wanted.tool === undefined ? null : snapshot.tools.find(wanted.tool)
  const resolution = resolve(snapshot.kernels, facts)
  const isHere = resolution.kind !== 'not-found' && (wanted.tool === undefined || tool !== null)
  return { snapshot, resolution, tool, isHere }
}

async function take(
  hub: Hub,
  looked: Looked,
  wanted: Wanted,
  variant: VariantWanted,
  why: string | null = null,
): Promise<Found> {
  const { snapshot, resolution } = looked
  const tool = wanted.tool === undefined ? null : findTool(snapshot, wanted.tool)
  const cut = tool === null ? wanted.cut : (btf: Sha256) => hub.minBtfs.get(tool, btf)
  switch (resolution.kind) {
    case 'unasked':
      throw new RegistryError('BAD_REQUEST', 'expected at least one of release, build_id, banner')
    case 'contradiction':
      throw new RegistryError('CONTRADICTION', resolution.detail)
    case 'not-found': {
      const detail = why === null ? resolution.detail : `${resolution.detail}; ${why}`
      throw new RegistryError('NOT_FOUND', detail, { facts: { nearest: [...resolution.nearest] } })
    }
    case 'found': {
      const { match } = resolution
      const { build, btf: whole, base } = await selectVariant(hub, resolution.builds, variant, ambiguous)
      const btf = cut === undefined ? blobContent(hub.blobs, whole) : await cut(whole.digest)
      return { build, match, btf, tool, variant, base, snapshot }
    }
    case 'ambiguous': {
      if (cut === undefined || variant.variant !== 'full' || resolution.builds.length > MAX_LAYOUTS) {
        throw ambiguous(resolution.builds.map((build) => ({ build, btf: build.btf })))
      }
      const { match } = resolution
      return { ...(await sameWhenCut(resolution.builds, cut)), match, tool, variant, base: null, snapshot }
    }
  }
}

/** A tool by `NAME` or `NAME@VERSION`. Throws RegistryError `NOT_FOUND`. */
export function findTool(snapshot: Snapshot, spec: string): Tool {
  const tool = snapshot.tools.find(spec)
  if (tool === null) throw new RegistryError('NOT_FOUND', `no tool ${JSON.stringify(spec)}`)
  return tool
}

/** Layouts that differ may be the same to a tool (DESIGN 4.1); then the newest build's min BTF is given. */
async function sameWhenCut(
  builds: readonly Build[],
  cut: Cut,
): Promise<{ readonly build: Build; readonly btf: Content }> {
  const mins = await Promise.all(builds.map(async (build) => ({ build, btf: await cut(build.btf.digest) })))
  if (new Set(mins.map((min) => min.btf.digest)).size > 1) throw ambiguous(mins)
  return mins[0] as (typeof mins)[number]
}

function ambiguous(candidates: readonly Candidate[]): RegistryError {
  const builds = candidates.map((candidate) => candidate.build)
  const by = tellApart(builds)
  return new RegistryError(
    'AMBIGUOUS',
    `${builds.length} builds with different layouts match: ${listKernels(builds)}; say more with ${by.join(', ') || 'a digest'}`,
    { facts: { choices: candidates.map(toChoice), tells_apart: by } },
  )
}
