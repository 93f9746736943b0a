/** How a host wants to be treated. */
export interface HostPolicy {
  /** Requests at one time. */
  readonly concurrency: number
  /** Pause between the starts of two requests. */
  readonly delayMs: number
}

export interface HostPolicies {
  readonly others: HostPolicy
  /** By `host` or `host:port` as in a URL. */
  readonly byHost: Readonly<Record<string, HostPolicy>>
}

/** For hosts that no source says anything about: what a person with a browser would do. */
export const politeHosts: HostPolicies = { others: { concurrency: 4, delayMs: 0 }, byHost: {} }

interface HostState {
  readonly policy: HostPolicy
  readonly waiting: (() => void)[]
  active: number
  nextStartMs: number
  failedInRow: number
  stopped: string | null
}

/**
 * Who may talk to which host when, and which hosts are left alone for the rest of the run. One of these is one run's
 * memory.
 */
export class Hosts {
  readonly #states = new Map<string, HostState>()
  readonly #policies: HostPolicies
  readonly #maxFailedInRow: number

  constructor(policies: HostPolicies, maxFailedInRow: number) {
    this.#policies = policies
    this.#maxFailedInRow = maxFailedInRow
  }

  /** Waits for a place in the host's queue and for its delay. Gives the function that frees the place, once. */
  async enter(host: string, signal: AbortSignal): Promise<() => void> {
    const state = this.#state(host)
    await this.#place(state, signal)
    let entered = true
    const leave = (): void => {
      if (!entered) return
      entered = false
      // The place is handed over, so that nobody slips in between.
      const next = state.waiting.shift()
      if (next === undefined) state.active--
      else next()
    }
    try {
      // Not the wall clock: somebody may set it.
      const startMs = Math.max(performance.now(), state.nextStartMs)
      state.nextStartMs = startMs + state.policy.delayMs
      await sleep(startMs - performance.now(), signal)
    } catch (err) {
      leave()
      throw err
    }
    return leave
  }

  /** Leaves a host alone from now on. */
  stop(host: string, reason: string): void {
    this.#state(host).stopped ??= reason
  }

  /** Why a host is left alone; null where it is not. */
  stopped(host: string): string | null {
    return this.#state(host).stopped
  }

  /** The host gave a whole answer, whatever it said. */
  answered(host: string): void {
    this.#state(host).failedInRow = 0
  }

  /** All tries of a request failed; too many such requests in a row stop the host. */
  failed(host: string, reason: string): void {
    const state = this.#state(host)
    if (++state.failedInRow >= this.#maxFailedInRow) this.stop(host, reason)
  }

  async #place(state: HostState, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (state.active < state.policy.concurrency) {
      state.active++
      return
    }
    await new Promise<void>((resolve, reject) => {
      const proceed = (): void => {
        signal.removeEventListener('abort', abort)
        resolve()
      }
      const abort = (): void => {
        const at = state.waiting.indexOf(proceed)
        if (at >= 0) state.waiting.splice(at, 1)
        reject(signal.reason as Error)
      }
      state.waiting.push(proceed)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  #state(host: string): HostState {
    let state = this.#states.get(host)
    if (state === undefined) {
      const policy = this.#policies.byHost[host] ?? this.#policies.others
      state = { policy, waiting: [], active: 0, nextStartMs: 0, failedInRow: 0, stopped: null }
      this.#states.set(host, state)
    }
    return state
  }
}

/** Waits, unless the signal is or gets aborted: then its reason is thrown. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  if (ms <= 0) return
  await new Promise<void>((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer)
      reject(signal.reason as Error)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    signal.addEventListener('abort', abort, { once: true })
  })
}
