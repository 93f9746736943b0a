import { limits } from '../core/limits.ts'
import { MinimizeError } from './errors.ts'

/**
 * What comparing types may cost: an object and a kernel that were made to hurt could otherwise have every one of
 * their types compared with every other.
 */
export class StepBudget {
  #left: number = limits.object.maxCompareSteps

  /** Throws MinimizeError `LIMIT` when nothing is left. */
  spend(): void {
    if (--this.#left < 0) {
      throw new MinimizeError(
        'LIMIT',
        `comparing types takes more than ${limits.object.maxCompareSteps} steps: no real object does`,
      )
    }
  }
}
