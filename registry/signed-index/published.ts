import type { Sha256 } from '../../core/digest.ts'
import type { Content } from '../content.ts'

/** A signed index as it is now. */
export interface SignedText {
  readonly text: Uint8Array
  readonly createdAt: Date
}

/** A document of an index; `gzip` is the same compressed. */
export interface IndexDocument {
  readonly plain: Content
  readonly gzip: Content
}

/** A signed index that somebody else keeps up to date. */
export interface PublishedIndex {
  /** `unsigned`: this hub has no key. `making`: the first one is not there yet. */
  current(): SignedText | 'unsigned' | 'making'
  /** A document that an index names, or named a moment ago; null where there is none. Throws where it cannot be read. */
  document(digest: Sha256): Promise<IndexDocument | null>
}
