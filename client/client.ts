import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseSha256, sha256Of, type Sha256 } from '../core/digest.ts'
import { describeError } from '../core/errors.ts'
import { sleep } from '../core/hosts.ts'
import { formatKernel, parseArch } from '../core/kernel.ts'
import { limits } from '../core/limits.ts'
import { parsePublicKey } from '../core/signed-index/index.ts'
import type { Match, ResolveAnswer } from '../registry/api.ts'
import type { IndexAnswer } from './ask-index.ts'
import { BtfCache, type Remembered } from './cache.ts'
import { ClientError } from './errors.ts'
import { filePath, type Form, formPath, unpackForm } from './forms.ts'
import { defaultTimeouts, HubConnection, type HubOptions } from './hub.ts'
import type { NamedObject } from './minimize.ts'
import { type KernelQuery, toRequest } from './query.ts'
import { SeenVersions } from './seen-versions.ts'
import { checkBtf } from './verify.ts'

export interface ClientOptions extends HubOptions {
  /** Asked in this order. */
  readonly hubs: readonly string[]
  readonly cacheDir: string
  /**
   * Public keys of hubs (`ed25519:…`). Where there are any, nothing is believed but what the signed index of a hub says
   * that one of them signed.
   */
  readonly keys?: readonly string[]
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
  /** With match `predicted`: the kernels before and after the one that was asked for, the BTF being the former's. */
  readonly predictedFrom?: readonly string[]
  /** Of split BTF: the path of what it is split from. */
  readonly base?: string
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
  /** The min BTF of BPF objects that the hub does not know, which it cuts: verified as a sound BTF that came whole. */
  minimize(query: KernelQuery, objects: readonly NamedObject[]): Promise<Fetched>
  close(): Promise<void>
}

/** Throws ClientError `BAD_REQUEST` where a hub's URL is none, IndexError `BAD_KEY` where a key is none. */
export function createClient(options: ClientOptions): Client {
  const hubs = options.hubs.map((url) => new HubConnection(url, options))
  const cache = new BtfCache(options.cacheDir)
  const keys = (options.keys ?? []).map(parsePublicKey)
  const stop = options.signal ?? new AbortController().signal
  const { wholeMs } = { ...defaultTimeouts, ...options.timeouts }
  const warn = (message: string): void => options.log?.warn(message)

  /**
   * Asks hubs in order. A hub that is ill or sends what it should not is passed over; one that has it not, too. What is
   * ambiguous or makes no sense would be no better elsewhere, and asking on could turn "several" into a wrong one. Hubs
   * that are still fetching it are asked again where no other has it, as long as there is time.
   */
  async function firstOf<T>(ask: (hub: HubConnection, signal: AbortSignal) => Promise<T>): Promise<T> {
    if (hubs.length === 0) throw new ClientError('BAD_REQUEST', 'no hub to ask: expected at least one URL')
    const deadline = performance.now() + wholeMs
    const late = AbortSignal.timeout(wholeMs)
    const signal = AbortSignal.any([stop, late])
    const errors: ClientError[] = []
    for (let asked: readonly HubConnection[] = hubs; ;) {
      const pending = new Map<HubConnection, ClientError>()
      for (const hub of asked) {
        try {
          return await ask(hub, signal)
        } catch (err) {
          stop.throwIfAborted()
          if (late.aborted) throw new ClientError('UNAVAILABLE', `${hub.url}: not done in ${wholeMs} ms`)
          if (!(err instanceof ClientError) || !PASS_OVER.has(err.code)) throw err
          if (err.code !== 'NOT_FOUND') warn(describeError(err))
          if (err.code === 'PENDING') pending.set(hub, err)
          else errors.push(err)
        }
      }
      const pauseMs = Math.max(MIN_PAUSE_MS, ...[...pending.values()].map((err) => err.retryAfterMs))
      if (pending.size === 0 || performance.now() + pauseMs > deadline) {
        throw worstOf([...errors, ...pending.values()])
      }
      await sleep(pauseMs, stop)
      asked = [...pending.keys()]
    }
  }

  /** With keys, by the signed index alone; else as the hub says, or its index where it is but a server of files. */
  async function resolveAt(
    hub: HubConnection,
    query: KernelQuery,
    signal: AbortSignal,
  ): Promise<ResolveAnswer & { readonly fromTree: boolean }> {
    if (keys.length > 0) {
      const found = await fromIndex(hub, query, signal)
      if (found !== null) return { ...found.answer, fromTree: found.isTree }
      throw new ClientError('UNVERIFIED', `${hub.url}: has no signed index, and a key says that it must`)
    }
    try {
      return { ...(await fromHub(hub, query, signal)), fromTree: false }
    } catch (err) {
      if (!(err instanceof ClientError) || !err.isNoRoute) throw err
      const found = await fromIndex(hub, query, signal)
      if (found === null) throw err
      return { ...found.answer, fromTree: found.isTree }
    }
  }

  /** Null where the hub has no index. */
  async function fromIndex(
    hub: HubConnection,
    query: KernelQuery,
    signal: AbortSignal,
  ): Promise<IndexAnswer | null> {
    // Only here: few ask one, and `get` is to start fast.
    const { askIndex } = await import('./ask-index.ts')
    await cache.prepare(SEEN)
    return askIndex(hub, toRequest(query), { keys, seen: new SeenVersions(join(cache.dir, SEEN)), signal })
  }

  async function fromHub(
    hub: HubConnection,
    query: KernelQuery,
    signal: AbortSignal,
  ): Promise<ResolveAnswer> {
    const answer = await hub.resolve(toRequest(query), signal)
    if (answer.match === 'predicted' && query.predict !== true) {
      throw new ClientError('UNVERIFIED', `${hub.url}: a guess, for which nobody asked`)
    }
    if ((answer.base !== null) !== (query.module !== undefined)) {
      throw new ClientError(
        'UNVERIFIED',
        `${hub.url}: a module's BTF is split from a base, and nothing else is`,
      )
    }
    return answer
  }

  async function fetchFrom(hub: HubConnection, query: KernelQuery, signal: AbortSignal): Promise<Fetched> {
    const answer = await resolveAt(hub, query, signal)
    const fetched = await take(hub, answer, signal)
    // A guess is not remembered: who has no hub to ask is not told what may be wrong.
    if (fetched.match !== 'predicted') await remember(questionOf(toRequest(query)), fetched)
    return fetched
  }

  /** What was answered without a signature answers nobody who wants one. */
  function questionOf(question: object): string {
    return JSON.stringify(keys.length === 0 ? question : { ...question, keys })
  }

  async function remember(question: string, { path: _path, from: _from, ...facts }: Fetched): Promise<void> {
    await cache.remember(question, { ...facts, at: new Date().toISOString() })
  }

  async function take(hub: HubConnection, answer: ResolveAnswer, signal: AbortSignal): Promise<Fetched> {
    const digest = digestOf(hub.url, answer.btf)
    const facts = {
      digest,
      kernel: kernelName(hub.url, answer.build.kernel),
      match: answer.match,
      origin: answer.build.provenance.origin,
      ...(answer.predicted_from === undefined
        ? {}
        : { predictedFrom: answer.predicted_from.map((kernel) => kernelName(hub.url, kernel)) }),
      hub: hub.url,
    }
    if (answer.base === null) return { ...facts, ...(await obtain(hub, answer.btf, null, signal)) }
    const { path: base } = await obtain(hub, answer.base, null, signal)
    return { ...facts, base, ...(await obtain(hub, answer.btf, base, signal)) }
  }

  /** A BTF by digest, from the cache or else the hub; `base` is the path of what it is split from. */
  async function obtain(
    hub: HubConnection,
    blob: ResolveAnswer['btf'],
    base: string | null,
    signal: AbortSignal,
  ): Promise<Pick<Fetched, 'path' | 'from'>> {
    const digest = digestOf(hub.url, blob)
    const cached = await cache.find(digest)
    if (cached !== null) return { path: cached, from: 'cache' }
    const bytes = await download(hub, blob, digest, signal)
    checkBtf(hub.url, bytes, base === null ? null : await readFile(base))
    return { path: await cache.keep(digest, bytes), from: 'hub' }
  }

  /** One more try where the bytes are wrong: proxies and disks do that once, a bad hub always. */
  async function download(
    hub: HubConnection,
    blob: ResolveAnswer['btf'],
    digest: Sha256,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const size = blob.size_bytes
    if (size > limits.btf.maxBytes) {
      throw new ClientError(
        'UNVERIFIED',
        `${hub.url}: a BTF of ${size} bytes, ${limits.btf.maxBytes} are allowed`,
      )
    }
    for (let attempt = 1; ; attempt++) {
      const { bytes } = await hub.bytes(`/v1/blobs/sha256/${digest}`, { exactly: size }, signal)
      const got = sha256Of(bytes)
      if (got === digest) return bytes
      const err = new ClientError('UNVERIFIED', `${hub.url}: sha256 is ${got}, expected ${digest}`)
      if (attempt >= DOWNLOADS) throw err
      warn(err.message)
    }
  }

  /** What one of the hubs answered last time, where it cannot be asked now. */
  async function offline(question: string): Promise<Fetched | null> {
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

  /** A guess is asked for only once every hub has said that it has not the kernel itself. */
  async function fetchBtf(query: KernelQuery): Promise<Fetched> {
    const { predict, ...plain } = query
    try {
      return await orOffline(
        questionOf(toRequest(plain)),
        firstOf((hub, signal) => fetchFrom(hub, plain, signal)),
      )
    } catch (err) {
      if (predict !== true || !(err instanceof ClientError) || err.code !== 'NOT_FOUND') throw err
      return firstOf((hub, signal) => fetchFrom(hub, query, signal))
    }
  }

  async function orOffline(question: string, asking: Promise<Fetched>): Promise<Fetched> {
    try {
      return await asking
    } catch (err) {
      if (!(err instanceof ClientError) || err.code !== 'UNAVAILABLE') throw err
      const known = await offline(question)
      if (known === null) throw err
      return known
    }
  }

  async function fetchFormFrom(
    hub: HubConnection,
    query: KernelQuery,
    form: Form,
    signal: AbortSignal,
  ): Promise<Fetched> {
    const answer = await resolveAt(hub, query, signal)
    const btf = await take(hub, answer, signal)
    const path = answer.fromTree
      ? filePath(answer.build.kernel, query, form)
      : formPath(answer.build.kernel, query, form)
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

  async function minimize(query: KernelQuery, objects: readonly NamedObject[]): Promise<Fetched> {
    if (keys.length > 0) {
      throw new ClientError(
        'BAD_REQUEST',
        'what a hub cuts is signed by nobody: cut the full BTF on this machine',
      )
    }
    const digests = objects.map(({ name, bytes }) => `${sha256Of(bytes)} ${name}`)
    const question = JSON.stringify({ ...toRequest(query), objects: digests })
    // Only here: it has zod with it, and `get` is to start fast.
    const { cutByHub } = await import('./minimize.ts')
    const asking = firstOf(async (hub, signal) => {
      const { bytes, ...facts } = await cutByHub(hub, query, objects, signal)
      const path = await cache.keep(facts.digest, bytes)
      const fetched: Fetched = { path, ...facts, hub: hub.url, from: 'hub' }
      await remember(question, fetched)
      return fetched
    })
    return orOffline(question, asking)
  }

  return {
    resolve: (query) =>
      firstOf(async (hub, signal) => ({ hub: hub.url, answer: await resolveAt(hub, query, signal) })),
    fetchBtf,
    fetchForm: (query, form) => firstOf((hub, signal) => fetchFormFrom(hub, query, form, signal)),
    minimize,
    async close() {
      await Promise.all(hubs.map((hub) => hub.close()))
    },
  }
}

/** Versions of indexes that were seen, in the cache; the format's version is in the name. */
const SEEN = 'seen-v1'

/** Tries to download right bytes from one hub. */
const DOWNLOADS = 2

/** Between two questions to hubs that are still fetching what was asked for. */
const MIN_PAUSE_MS = 1000

/** What does not keep the next hub from knowing better. */
const PASS_OVER: ReadonlySet<ClientError['code']> = new Set([
  'NOT_FOUND',
  'UNAVAILABLE',
  'UNVERIFIED',
  'PENDING',
])

/** "Not there" only where all hubs said so: else one that could not be asked may have it. */
function worstOf(errors: readonly ClientError[]): ClientError {
  for (const code of ['UNVERIFIED', 'UNAVAILABLE', 'PENDING', 'NOT_FOUND'] as const) {
    const found = errors.find((err) => err.code === code)
    if (found !== undefined) return found
  }
  throw new Error('no hub was asked')
}

function digestOf(hub: string, blob: ResolveAnswer['btf']): Sha256 {
  const digest = parseSha256(blob.digest)
  if (digest === null) throw new ClientError('UNAVAILABLE', `${hub}: an answer without a digest`)
  return digest
}

function kernelName(hub: string, kernel: ResolveAnswer['build']['kernel']): string {
  const arch = parseArch(kernel.arch)
  if (arch === null) throw new ClientError('UNAVAILABLE', `${hub}: a kernel for ${kernel.arch}`)
  return formatKernel({ ...kernel, arch })
}
