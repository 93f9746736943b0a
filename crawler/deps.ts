/** What sources need of the machine, passed in. */
export interface ListDeps {
  /** The folder of keyrings, `data/keys`. */
  readonly keysDir: string
  /** Files of keys, named by the user, that sign mirrors besides the distributions' own. */
  readonly keyFiles?: readonly string[]
  /** Where the `/` is whose apt configuration names mirrors; null asks no configuration. */
  readonly aptRoot: string | null
  /** Where an index that has to be a file (SQLite) is while it is read. */
  readonly tempDir: string
  readonly now: () => Date
}
