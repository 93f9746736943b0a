import { BtfError, parseBtf, validateBtf } from '../btf/index.ts'
import { ClientError } from './errors.ts'

/** Throws ClientError `UNVERIFIED` where bytes are not a whole and sound BTF. */
export function checkBtf(from: string, bytes: Uint8Array): void {
  try {
    validateBtf(parseBtf(bytes))
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new ClientError('UNVERIFIED', `${from}: what it gave is no sound BTF`, { cause: err })
  }
}
