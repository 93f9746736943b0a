import { compressWith } from './compressor.ts'

/**
 * Compresses with the `zstd` program, for clients that take it over HTTP: they need not have a window of more than 8 MiB
 * (RFC 9659). The bytes depend on the input and the version of zstd alone. Throws `TOOL` where zstd is missing or fails.
 */
export function zstd(bytes: Uint8Array): Promise<Uint8Array> {
  const args = [
    '-q',
    '--stdout',
    '-19',
    '--zstd=wlog=23',
    '--single-thread',
    `--stream-size=${bytes.byteLength}`,
  ]
  return compressWith({ program: 'zstd', args, ignores: ['ZSTD_CLEVEL', 'ZSTD_NBTHREADS'] }, bytes)
}
