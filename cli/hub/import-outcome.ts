/** What became of one thing that was to be imported. */
export interface ImportOutcome {
  readonly path: string
  readonly kernel: string | null
  readonly outcome: 'imported' | 'known' | 'failed' | 'skipped'
  readonly digest: string | null
  readonly reason: string | null
}
