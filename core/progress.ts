/** What long work tells about itself; a bar on a terminal and plain lines elsewhere are made of it. */
export interface Progress {
  /** A unit of work begins; `total` in the unit's own measure, null where nobody knows. */
  start(id: string, label: string, total: number | null): void
  /** `done` so far of the unit's total, and what is being done just now. */
  update(id: string, done: number, phase?: string): void
  /** The unit is over; `outcome` is one line for people. */
  finish(id: string, outcome: string): void
}

export const noProgress: Progress = {
  start() {},
  update() {},
  finish() {},
}
