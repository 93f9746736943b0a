import { describeError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'

/** Work that nobody waits for but the end of the program. */
export class Background {
  readonly #log: Log
  readonly #underWay = new Set<Promise<void>>()

  constructor(log: Log) {
    this.#log = log
  }

  /** A failure is logged under `what`. */
  run(what: string, work: Promise<void>): void {
    const done = work
      .catch((err: unknown) => this.#log.warn({ err: describeError(err) }, what))
      .finally(() => this.#underWay.delete(done))
    this.#underWay.add(done)
  }

  async settle(): Promise<void> {
    await Promise.all(this.#underWay)
  }
}
