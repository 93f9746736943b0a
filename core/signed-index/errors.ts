import { HubError } from '../errors.ts'

/**
 * `BAD_INDEX`: not a signed index or a document of one. `BAD_KEY`: not a key. `BAD_SIGNATURE`: a signature that does not fit, or none of a
 * key that is trusted. `EXPIRED`: older than its maker wanted it to be believed. `ROLLBACK`: older than one seen before.
 */
export type IndexErrorCode = 'BAD_INDEX' | 'BAD_KEY' | 'BAD_SIGNATURE' | 'EXPIRED' | 'ROLLBACK'
export class IndexError extends HubError<IndexErrorCode> {}
