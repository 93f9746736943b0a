import { BtfError, type CompatLevel, lowerBtf, parseBtf } from '../btf/index.ts'
import { formatKernel } from '../core/kernel.ts'
import type { BlobRef, Build, BuildModules } from '../store/types.ts'
import type { Compat, Variant } from './api.ts'
import { type Content, memoryContent } from './content.ts'
import { RegistryError } from './errors.ts'
import type { Hub } from './hub.ts'
import type { Candidate } from './wire.ts'

/** Which BTF of a build is asked for, as it came. */
export interface VariantAsked {
  readonly variant?: Variant | undefined
  readonly module?: string | undefined
  readonly compat?: Compat | undefined
}

/** The same, understood. */
export interface VariantWanted {
  readonly variant: Variant
  /** With variant `split`, its name. */
  readonly module: string | null
  readonly compat: Compat
}

/** One BTF of a build. */
export interface Selected {
  readonly build: Build
  readonly btf: BlobRef
  /** Of split BTF: what it is split from. */
  readonly base: BlobRef | null
}

/** Reads what is asked for: a module alone means its split BTF. Throws RegistryError `BAD_REQUEST`. */
export function readVariant(
  { variant, module, compat = 'native' }: VariantAsked,
  isForTool: boolean,
): VariantWanted {
  const wanted = variant ?? (module === undefined ? 'full' : 'split')
  const refuse = (why: string): RegistryError => new RegistryError('BAD_REQUEST', why)
  if (wanted === 'split' && module === undefined) throw refuse('variant split: expected a module')
  if (wanted !== 'split' && module !== undefined) throw refuse(`module: of variant split, not ${wanted}`)
  if (wanted === 'split' && isForTool) throw refuse('variant split: min BTF is cut of full or merged')
  if (wanted === 'split' && compat !== 'native') {
    throw refuse(`compat ${compat}: readers of old know no split BTF; ask for variant merged`)
  }
  // Modules' names have `_` where their files have `-`.
  return { variant: wanted, module: module?.replaceAll('-', '_') ?? null, compat }
}

/**
 * The BTF that is wanted of builds that are interchangeable by their full BTF, newest first: the newest's. Modules may
 * tell them apart nevertheless: then, and where the modules of one are not known, throws what `ambiguous` gives for those
 * that have it. Throws RegistryError `NOT_FOUND` where none has it.
 */
export async function selectVariant(
  hub: Hub,
  builds: readonly Build[],
  { variant, module }: VariantWanted,
  ambiguous: (candidates: readonly Candidate[]) => RegistryError,
): Promise<Selected> {
  const newest = builds[0] as Build
  if (variant === 'full') return { build: newest, btf: newest.btf, base: null }
  const known = await Promise.all(
    builds.map(async (build) => ({ build, modules: await hub.catalog.modules(build.id) })),
  )
  const having = known.flatMap(({ build, modules }) => {
    const btf = modules === null ? null : pickOf(modules, module)
    return btf === null ? [] : [{ build, btf, layout: (modules as BuildModules).mergedLayout }]
  })
  const [first] = having
  if (first === undefined) throw notThere(newest, known[0]?.modules ?? null, module)
  const isOne = having.length === builds.length && new Set(having.map(({ layout }) => layout)).size === 1
  if (!isOne) throw ambiguous(having)
  return { build: first.build, btf: first.btf, base: module === null ? null : first.build.btf }
}

function pickOf({ modules, merged }: BuildModules, module: string | null): BlobRef | null {
  if (module === null) return merged
  return modules.find(({ name }) => name === module)?.btf ?? null
}

function notThere(build: Build, modules: BuildModules | null, module: string | null): RegistryError {
  const kernel = formatKernel(build.kernel)
  return new RegistryError(
    'NOT_FOUND',
    modules === null
      ? `${kernel} is here, but not its modules`
      : `${kernel} has no module ${module} with types; it has ${modules.modules.length} others`,
  )
}

/**
 * BTF lowered for readers of old, kept as a blob; what is of nobody's, `isOurs` false, is kept nowhere. Throws
 * RegistryError `NOT_FOUND` where it cannot be lowered, and what reading it throws.
 */
export async function lowered(hub: Hub, btf: Content, compat: Compat, isOurs: boolean): Promise<Content> {
  if (compat === 'native') return btf
  const make = async (): Promise<Uint8Array> => lower(await btf.read(), compat)
  return isOurs ? hub.derived.getMade(btf.digest, `compat:${compat}`, make) : memoryContent(await make())
}

function lower(bytes: Uint8Array, level: CompatLevel): Uint8Array {
  try {
    return lowerBtf(parseBtf(bytes), level)
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new RegistryError('NOT_FOUND', `not to be had at compat ${level}: ${err.message}`, { cause: err })
  }
}
