/** What sources need of the machine, passed in. */
export interface ListDeps {
  /** The folder of keyrings, `data/keys`. */
  readonly keysDir: string
  /** Where the `/` is whose apt configuration names mirrors; null asks no configuration. */
  readonly aptRoot: string | null
  readonly now: () => Date
}
