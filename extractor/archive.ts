/** One entry of an archive. Its body can be read until the next one is asked for. */
export interface ArchiveEntry {
  /** As the archive has it: any bytes, `..` and a leading slash included. Nothing is ever written by this name. */
  readonly path: string
  /** Other names of the same file (hard links) that came before it without its bytes. */
  readonly aliases: readonly string[]
  /** `file` alone has a body that is its content. */
  readonly kind: 'file' | 'link' | 'other'
  readonly sizeBytes: number
  body(): AsyncIterable<Uint8Array>
}
