import { BtfError, checkOnBase, parseBtf, validateBtf } from '../btf/index.ts'
import { ClientError } from './errors.ts'

/** Throws ClientError `UNVERIFIED` where bytes are not a whole and sound BTF, split from `base` where one is given. */
export function checkBtf(from: string, bytes: Uint8Array, base: Uint8Array | null = null): void {
  try {
    const btf = parseBtf(bytes, base === null ? {} : { base: parseBtf(base) })
    if (base !== null) checkOnBase(btf)
    validateBtf(btf)
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new ClientError('UNVERIFIED', `${from}: what it gave is no sound BTF`, { cause: err })
  }
}
