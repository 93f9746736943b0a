import { parseSha256, sha256Of, type Sha256 } from '../core/digest.ts'
import { describeError } from '../core/errors.ts'
import { formatKernel, parseArch } from '../core/kernel.ts'
import { limits } from '../core/limits.ts'
import type { Match, ResolveAnswer } from '../registry/api.ts'
import { BtfCache, type Remembered } from './cache.ts'
import { ClientError } from './errors.ts'
import { type Form, formPath, unpackForm } from './forms.ts'
import { HubConnection, type HubOptions } from './hub.ts'
import { type KernelQuery, toRequest } from './query.ts'
import { checkBtf } from './verify.ts'

export interface ClientOptions extends HubOptions {
  /** Asked in this order. */
  readonly hubs: readonly string[]
  readonly cacheDir: string
  /** Told of hubs that are ill and files that are damaged; nothing by default. */
  readonly log?: Pick<Console, 'warn'>
  /** Aborts everything that this client does. */
  readonly signal?: AbortSignal
}

/** A verified BTF in a file. */
export interface Fetched {
  readonly path: string
  readonly digest: Sha256
  /** `debian/12/x86_64/6.1.0-47-amd64`. */
  readonly kernel: string
  readonly match: Match
  readonly origin: string
  readonly hub: string
  /** `hub`: downloaded now. `cache`: a hub said which, it was here. `offline`: no hub could be asked. */
  readonly from: 'hub' | 'cache' | 'offline'
}

/** Finds and fetches BTF. Three outcomes: a value; `NOT_FOUND`; any other ClientError, from which nothing follows. */
export interface Client {
  /** Which build a kernel is, as the first hub says that knows. */
  resolve(query: KernelQuery): Promise<{ readonly hub: string; readonly answer: ResolveAnswer }>
  /** A BTF, verified: its digest is what the hub said, and it is a sound BTF. Never a path of anything else. */
  fetchBtf(query: KernelQuery): Promise<Fetched>
  /** The same in another form, which holds exactly that BTF. */
  fetchForm(query: KernelQuery, form: Form): Promise<Fetched>
  close(): Promise<void>
}

/** Throws ClientError `BAD_REQUEST` where a hub's URL is none. */
export function createClient(options: ClientOptions): Client {
  const hubs = options.hubs.map((url) => new HubConnection(url, options))
  const cache = new BtfCache(options.cacheDir)
  const signal = options.signal ?? new AbortController().signal
  const warn = (message: string): void => options.log?.warn(message)

  /**
   * Asks hubs in order. A hub that is ill or sends what it should not is passed over; one that has it not, too. What is
   * ambiguous or makes no sense would be no better elsewhere, and asking on could turn "several" into a wrong one.
   */
  async function firstOf<T>(ask: (hub: HubConnection) => Promise<T>): Promise<T> {
    if (hubs.length === 0) throw new ClientError('BAD_REQUEST', 'no hub to ask: expected at least one URL')
    const errors: ClientError[] = []
    for (const hub of hubs) {
      try {
        return await ask(hub)
      } catch (err) {
        signal.throwIfAborted()
        if (!(err instanceof ClientError) || !PASS_OVER.has(err.code)) throw err
        if (err.code !== 'NOT_FOUND') warn(describeError(err))
        errors.push(err)
      }
    }
    throw worstOf(errors)
  }

  async function fetchFrom(hub: HubConnection, query: KernelQuery): Promise<Fetched> {
    const request = toRequest(query)
    const answer = await hub.resolve(request, signal)
    const fetched = await take(hub, answer)
    const { path: _path, from: _from, ...facts } = fetched
    await cache.remember(JSON.stringify(request), { ...facts, at: new Date().toISOString() })
    return fetched
  }

  async function take(hub: HubConnection, answer: ResolveAnswer): Promise<Fetched> {
    const digest = digestOf(hub.url, answer)
    const facts = {
      digest,
      kernel: kernelOf(hub.url, answer),
      match: answer.match,
      origin: answer.build.provenance.origin,
      hub: hub.url,
    }
    const cached = await cache.find(digest)
    if (cached !== null) return { path: cached, ...facts, from: 'cache' }
    const bytes = await download(hub, answer, digest)
    return { path: await cache.keep(digest, bytes), ...facts, from: 'hub' }
  }

  /** One more try where the bytes are wrong: proxies and disks do that once, a bad hub always. */
  async function download(hub: HubConnection, answer: ResolveAnswer, digest: Sha256): Promise<Uint8Array> {
    const size = answer.btf.size_bytes
    if (size > limits.btf.maxBytes) {
      throw new ClientError(
        'UNVERIFIED',
        `${hub.url}: a BTF of ${size} bytes, ${limits.btf.maxBytes} are allowed`,
      )
    }
    for (let attempt = 1; ; attempt++) {
      const { bytes } = await hub.bytes(`/v1/blobs/sha256/${digest}`, { exactly: size }, signal)
      const got = sha256Of(bytes)
      if (got === digest) {
        checkBtf(hub.url, bytes)
        return bytes
      }
      const err = new ClientError('UNVERIFIED', `${hub.url}: sha256 is ${got}, expected ${digest}`)
      if (attempt >= DOWNLOADS) throw err
      warn(err.message)
    }
  }

  /** What one of the hubs answered last time, where it cannot be asked now. */
  async function offline(query: KernelQuery): Promise<Fetched | null> {
    const question = JSON.stringify(toRequest(query))
    for (const hub of hubs) {
      const known: Remembered | null = await cache.recall(question, hub.url)
      const path = known === null ? null : await cache.find(known.digest)
      if (known === null || path === null) continue
      const { at, ...facts } = known
      warn(`no hub could be asked; ${hub.url} gave this answer at ${at}`)
      return { path, ...facts, from: 'offline' }
    }
    return null
  }

  async function fetchBtf(query: KernelQuery): Promise<Fetched> {
    try {
      return await firstOf((hub) => fetchFrom(hub, query))
    } catch (err) {
      if (!(err instanceof ClientError) || err.code !== 'UNAVAILABLE') throw err
      const known = await offline(query)
      if (known === null) throw err
      return known
    }
  }

  async function fetchFormFrom(hub: HubConnection, query: KernelQuery, form: Form): Promise<Fetched> {
    const answer = await hub.resolve(toRequest(query), signal)
    const btf = await take(hub, answer)
    const path = formPath(answer.build.kernel, query, form)
    const { bytes } = await hub.bytes(path, { atMost: limits.btf.maxBytes }, signal)
    const inside = await unpackForm(form, bytes, answer.btf.size_bytes, signal)
    if (sha256Of(inside) !== btf.digest) {
      throw new ClientError(
        'UNVERIFIED',
        `${hub.url}: what is in the ${form} is not the BTF with sha256 ${btf.digest}`,
      )
    }
    return { ...btf, path: await cache.keep(sha256Of(bytes), bytes, `.btf.${form}`), from: 'hub' }
  }

  return {
    resolve: (query) =>
      firstOf(async (hub) => ({ hub: hub.url, answer: await hub.resolve(toRequest(query), signal) })),
    fetchBtf,
    fetchForm: (query, form) => firstOf((hub) => fetchFormFrom(hub, query, form)),
    async close() {
      await Promise.all(hubs.map((hub) => hub.close()))
    },
  }
}

/** Tries to download right bytes from one hub. */
const DOWNLOADS = 2

/** What does not keep the next hub from knowing better. */
const PASS_OVER: ReadonlySet<ClientError['code']> = new Set(['NOT_FOUND', 'UNAVAILABLE', 'UNVERIFIED'])

/** "Not there" only where all hubs said so: else one that could not be asked may have it. */
function worstOf(errors: readonly ClientError[]): ClientError {
  for (const code of ['UNVERIFIED', 'UNAVAILABLE', 'NOT_FOUND'] as const) {
    const found = errors.find((err) => err.code === code)
    if (found !== undefined) return found
  }
  throw new Error('no hub was asked')
}

function digestOf(hub: string, answer: ResolveAnswer): Sha256 {
  const digest = parseSha256(answer.btf.digest)
  if (digest === null) throw new ClientError('UNAVAILABLE', `${hub}: an answer without a digest`)
  return digest
}

function kernelOf(hub: string, { build }: ResolveAnswer): string {
  const arch = parseArch(build.kernel.arch)
  if (arch === null) throw new ClientError('UNAVAILABLE', `${hub}: a kernel for ${build.kernel.arch}`)
  return formatKernel({ ...build.kernel, arch })
}
