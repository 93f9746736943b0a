/** What went over the wire. Bytes are those of bodies as they were read. */
export interface Traffic {
  readonly requests: number
  readonly bytes: number
}

/** What went over the wire, by host. */
export class Meter {
  readonly hosts = new Map<string, { requests: number; bytes: number }>()
  readonly #others: readonly Meter[]

  /** `others` count the same. */
  constructor(...others: readonly Meter[]) {
    this.#others = others
  }

  requested(host: string): void {
    this.#of(host).requests++
    for (const other of this.#others) other.requested(host)
  }

  received(host: string, bytes: number): void {
    this.#of(host).bytes += bytes
    for (const other of this.#others) other.received(host, bytes)
  }

  /** Over all hosts. */
  total(): Traffic {
    const all = [...this.hosts.values()]
    return {
      requests: all.reduce((sum, host) => sum + host.requests, 0),
      bytes: all.reduce((sum, host) => sum + host.bytes, 0),
    }
  }

  #of(host: string): { requests: number; bytes: number } {
    let counts = this.hosts.get(host)
    if (counts === undefined) this.hosts.set(host, (counts = { requests: 0, bytes: 0 }))
    return counts
  }
}
