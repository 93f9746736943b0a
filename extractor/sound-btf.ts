import { BtfError, dedupBtf, parseBtf, withoutKabiNumber } from '../btf/index.ts'
import { checkKernelBtf, isBadlyDeduplicated } from './check-kernel-btf.ts'
import { ExtractError, type Expected } from './types.ts'

/** BTF of a whole kernel that was checked, and what people should know of it. */
export interface SoundBtf {
  readonly btf: Uint8Array
  readonly warnings: readonly string[]
}

/**
 * The bytes themselves where they are the BTF of a kernel; deduplicated first where that was forgotten or went wrong,
 * which the warnings tell. The only cause ever seen are the kABI macros of RHEL's kernels, so their numbers go.
 * Throws ExtractError `INVALID` as {@link checkKernelBtf} does.
 */
export function soundBtf(bytes: Uint8Array, expected: Expected | null = null): SoundBtf {
  if (!isBadlyDeduplicated(bytes)) return { btf: bytes, warnings: checkKernelBtf(bytes, expected) }
  const btf = deduplicate(bytes)
  const odd = checkKernelBtf(btf, expected)
  const types = (of: Uint8Array): number => parseBtf(of).idCount - 1
  return { btf, warnings: [`deduplicated here: of ${types(bytes)} types ${types(btf)} are left`, ...odd] }
}

function deduplicate(bytes: Uint8Array): Uint8Array {
  try {
    return dedupBtf(parseBtf(bytes), { mergeEqual: true, rename: withoutKabiNumber })
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new ExtractError('INVALID', 'badly deduplicated, and cannot be here', { cause: err })
  }
}
