/** What went over the wire, by host. Bytes are those of bodies as they were read. */
export class Meter {
  readonly hosts = new Map<string, { requests: number; bytes: number }>()

  requested(host: string): void {
    this.#of(host).requests++
  }

  received(host: string, bytes: number): void {
    this.#of(host).bytes += bytes
  }

  #of(host: string): { requests: number; bytes: number } {
    let counts = this.hosts.get(host)
    if (counts === undefined) this.hosts.set(host, (counts = { requests: 0, bytes: 0 }))
    return counts
  }
}
