import { HubError } from '../core/errors.ts'
import type { KernelFacts } from '../core/resolve/facts.ts'

/**
 * `BUSY`: too much is being brought already. `ILL`: whoever has it could not be asked, so nobody knows. What a supplier
 * throws besides is logged and counts as `ILL`.
 */
export type SupplyErrorCode = 'BUSY' | 'ILL'
export class SupplyError extends HubError<SupplyErrorCode> {}

/** `added`: the catalog has it now. `absent`: it cannot be had there, and why where there is more to say than that. */
export type Supply = { readonly kind: 'added' } | { readonly kind: 'absent'; readonly why: string | null }

/** Somewhere that BTF comes from while somebody waits for it: a distribution's mirror, another hub, an archive. */
export interface Supplier {
  /** `on-demand`, `upstream`: for logs and metrics. */
  readonly name: string
  /** Requests that wait for their turn, and those that are being worked on. */
  readonly queued: number
  /**
   * Brings every build that the facts may mean into the catalog, not only the likeliest, so that what is ambiguous stays
   * so. Must be cheap where the facts name nothing that it could have. `via` is the `Via` that the question came with.
   * Throws {@link SupplyError}.
   */
  supply(facts: KernelFacts, via?: string): Promise<Supply>
  /** Breaks off what is under way and waits for its end. */
  close(): Promise<void>
}
