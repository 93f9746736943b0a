import { compressWith } from './compressor.ts'

/**
 * Compresses with the `xz` program. The bytes depend on the input and the version of liblzma alone: one thread, because
 * threads cut the stream into blocks, and no options from the environment. Throws `TOOL` where xz is missing or fails, and the signal's
 * reason.
 */
export function xz(
  bytes: Uint8Array,
  options: { readonly level?: 6 | 9; readonly signal?: AbortSignal } = {},
): Promise<Uint8Array> {
  const args = ['--compress', '--stdout', `-${options.level ?? 6}`, '--threads=1', '--check=crc64']
  return compressWith({ program: 'xz', args, ignores: ['XZ_OPT', 'XZ_DEFAULTS'] }, bytes, options.signal)
}
