import { setTimeout as sleep } from 'node:timers/promises'
import type { z } from 'zod'
import { ClientError, type HubConnection } from '../../client/index.ts'
import { sha256Of } from '../../core/digest.ts'
import { formatKernel, type Kernel, makeKernel, parseBuildId } from '../../core/kernel.ts'
import { limits } from '../../core/limits.ts'
import {
  type Build,
  KernelDetail,
  KernelPage,
  type ResolveAnswer,
  type ResolveRequest,
} from '../../registry/api.ts'
import { type KernelFacts, type Supply, SupplyError } from '../../registry/index.ts'
import { extractBytes } from '../input.ts'
import type { BringDeps } from './deps.ts'
import { takeIn } from '../hub/take-in.ts'

/** Longest pause that another hub may ask for while it fetches itself. */
const MAX_PAUSE_MS = 30_000

/** What another hub says, by its word or by its signature. */
export interface HubAnswers {
  /** Throws ClientError, as HubConnection does. */
  resolve(request: ResolveRequest): Promise<ResolveAnswer>
  /** All builds of a release on an architecture. Throws the same, and SupplyError. */
  named(release: string, arch: string): Promise<readonly Build[]>
}

/** What a hub says that nobody vouches for. */
export function byWord(hub: HubConnection, signal: AbortSignal): HubAnswers {
  return {
    resolve: (request) => hub.resolve(request, signal),
    named: (release, arch) => buildsNamed(hub, release, arch, signal),
  }
}

/**
 * Brings what another hub has under the name that facts mean: every build of that release, not only the one that it
 * resolves to, so that what is ambiguous there is so here. Each BTF is what its digest says, and validated like any
 * other. Throws {@link SupplyError} `ILL` where the hub is ill or lies.
 */
export async function bringFromHub(
  hub: HubConnection,
  says: HubAnswers,
  facts: KernelFacts,
  deps: BringDeps,
  signal: AbortSignal,
): Promise<Supply> {
  const kernels = await kernelsMeant(hub, says, facts, signal)
  const names = new Map(kernels.map((kernel) => [`${kernel.release} ${kernel.arch}`, kernel]))
  let brought = false
  for (const { release, arch } of names.values()) {
    for (const build of await says.named(release, arch)) {
      await bring(hub, build, deps, signal)
      brought = true
    }
  }
  return brought ? { kind: 'added' } : { kind: 'absent', why: null }
}

/** The kernels that the hub finds for the facts; none where it has none. */
async function kernelsMeant(
  hub: HubConnection,
  says: HubAnswers,
  facts: KernelFacts,
  signal: AbortSignal,
): Promise<readonly { readonly release: string; readonly arch: string }[]> {
  const request = toRequest(facts)
  for (;;) {
    try {
      const { kernel } = (await says.resolve(request)).build
      if (facts.release === null || facts.release === kernel.release) return [kernel]
      throw new SupplyError('ILL', `${hub.url}: asked for ${facts.release}, got ${kernel.release}`)
    } catch (err) {
      if (!(err instanceof ClientError)) throw err
      switch (err.code) {
        case 'AMBIGUOUS':
          return err.choices.map(({ kernel }) => kernel)
        case 'NOT_FOUND':
        case 'BAD_REQUEST':
          return []
        case 'PENDING':
          await sleep(Math.min(MAX_PAUSE_MS, err.retryAfterMs ?? MAX_PAUSE_MS), undefined, { signal })
          continue
        default:
          throw err
      }
    }
  }
}

async function buildsNamed(
  hub: HubConnection,
  release: string,
  arch: string,
  signal: AbortSignal,
): Promise<readonly Build[]> {
  const most = limits.request.maxSupplied
  const query = new URLSearchParams({ release, arch, limit: String(most + 1) })
  const { kernels } = await json(hub, `/v1/kernels?${query.toString()}`, KernelPage, signal)
  const builds: Build[] = []
  for (const kernel of kernels) {
    const path = [kernel.distro, kernel.version, kernel.arch, kernel.release]
      .map(encodeURIComponent)
      .join('/')
    builds.push(...(await json(hub, `/v1/kernels/${path}`, KernelDetail, signal)).builds)
  }
  if (kernels.length > most || builds.length > most * most) {
    throw new SupplyError(
      'ILL',
      `${hub.url}: ${release} is there ${builds.length} times, too often to be fetched`,
    )
  }
  const odd = builds.find(({ kernel }) => kernel.release !== release || kernel.arch !== arch)
  if (odd === undefined) return builds
  throw new SupplyError('ILL', `${hub.url}: asked for ${release}, got ${odd.kernel.release}`)
}

async function bring(hub: HubConnection, build: Build, deps: BringDeps, signal: AbortSignal): Promise<void> {
  const kernel = kernelOf(hub, build)
  const { digest, size_bytes } = build.btf
  const key = `upstream/${formatKernel(kernel)}/${digest}`
  if ((await deps.store.catalog.buildByKey(key)) !== null) return
  if (size_bytes > limits.btf.maxBytes) {
    throw new SupplyError(
      'ILL',
      `${hub.url}: a BTF of ${size_bytes} bytes; ${limits.btf.maxBytes} are allowed`,
    )
  }
  const path = `/v1/blobs/sha256/${digest}`
  const { bytes } = await hub.bytes(path, { exactly: size_bytes }, signal)
  const got = sha256Of(bytes)
  if (got !== digest)
    throw new SupplyError('ILL', `${hub.url}: sha256 of a BTF is ${got}, expected ${digest}`)
  const { btf } = await extractBytes(
    `${hub.url}${path}`,
    bytes,
    { release: kernel.release, tempDir: deps.store.tempDir },
    { log: deps.log, signal },
  )
  const from = build.provenance
  const { build: taken, isNew } = await takeIn(
    deps.store,
    {
      kernel,
      btf,
      source: 'upstream',
      url: `${hub.url}${path}`,
      fileSha256: got,
      flavour: build.flavour,
      series: build.series,
      facts: {
        packageName: from.package_name,
        packageVersion: from.package_version,
        buildId: from.build_id === null ? null : parseBuildId(from.build_id),
        debugBuildId: from.debug_build_id === null ? null : parseBuildId(from.debug_build_id),
        banner: from.banner,
        paholeVersion: from.pahole_version,
        paholeFlags: from.pahole_flags,
      },
      warnings: [...from.warnings, `${hub.url} says: ${from.origin}, from ${from.url ?? from.source}`],
    },
    deps.now(),
  )
  if (isNew) deps.onNew(taken)
}

function kernelOf(hub: HubConnection, { kernel }: Build): Kernel {
  try {
    return makeKernel(kernel.distro, kernel.version, kernel.arch, kernel.release)
  } catch (err) {
    throw new SupplyError('ILL', `${hub.url}: a kernel with a name that cannot be`, { cause: err })
  }
}

async function json<T extends z.ZodType>(
  hub: HubConnection,
  path: string,
  schema: T,
  signal: AbortSignal,
): Promise<z.infer<T>> {
  const { bytes } = await hub.bytes(path, { atMost: limits.upstream.maxJsonBytes }, signal)
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (err) {
    throw new SupplyError('ILL', `${hub.url}${path}: the answer is no JSON`, { cause: err })
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new SupplyError('ILL', `${hub.url}${path}: the answer is not one of a hub`)
  return parsed.data
}

/** A build-id or banner names its architecture; an assumed one could only contradict it. */
function toRequest(facts: KernelFacts): ResolveRequest {
  const isNamed = facts.buildId !== null || facts.banner !== null
  const all = {
    release: facts.release,
    arch: facts.archAssumed && isNamed ? null : facts.arch,
    distro: facts.distro,
    version: facts.version,
    build_id: facts.buildId,
    banner: facts.banner,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null))
}
