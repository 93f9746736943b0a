import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { rawBtf } from '../btf/index.ts'
import { isAbort } from '../core/errors.ts'
import { archiveArch, parseArch } from '../core/kernel.ts'
import type { Kernel } from '../registry/api.ts'
import { ClientError } from './errors.ts'
import { type KernelQuery, toSearch } from './query.ts'

/** Forms of a BTF that a hub makes. */
export const FORMS = ['elf', 'gz', 'xz', 'tar.xz'] as const
export type Form = (typeof FORMS)[number]

const unzip = promisify(gunzip)

/** A tar has a header of 512 bytes, the file, and zeros; what writers add at the end is bounded. */
const TAR_HEADER_BYTES = 512
const TAR_SLACK_BYTES = 64 * 1024

/** Where a hub has the form of what a query finds. */
export function formPath(kernel: Kernel, query: KernelQuery, form: Form): string {
  const name = encodeURIComponent(kernel.release)
  const path =
    query.tool === undefined ? `/v1/btf/${name}` : `/v1/min/${encodeURIComponent(query.tool)}/${name}`
  const search = toSearch(query)
  search.set('arch', kernel.arch)
  search.set('format', form)
  return `${path}?${search.toString()}`
}

/** The same in a tree of plain files, which has forms of full BTF alone. Throws ClientError `BAD_REQUEST`. */
export function filePath(kernel: Kernel, query: KernelQuery, form: Form): string {
  if (query.variant !== undefined || query.module !== undefined) {
    throw new ClientError('BAD_REQUEST', `a server of plain files has BTF of modules raw, not as ${form}`)
  }
  if (query.tool !== undefined) {
    throw new ClientError('BAD_REQUEST', `a server of plain files has min BTF raw, not as ${form}`)
  }
  const { distro, version, arch, release } = kernel
  const folder = `/${distro}/${version}/${archiveArch(parseArch(arch) ?? 'x86_64')}`
  return `${folder}/${encodeURIComponent(release)}${form === 'elf' ? '' : '.btf'}.${form}`
}

/**
 * The raw BTF in a form, at most `sizeBytes` and some. Throws ClientError `UNVERIFIED` where there is none, also
 * where this machine cannot look (no xz).
 */
export async function unpackForm(
  form: Form,
  bytes: Uint8Array,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    switch (form) {
      case 'elf':
        return rawBtf(bytes)
      case 'gz':
        return await unzip(bytes, { maxOutputLength: sizeBytes + 1 })
      case 'xz':
        return await unxz(bytes, sizeBytes + 1, signal)
      case 'tar.xz':
        return onlyFile(await unxz(bytes, sizeBytes + TAR_SLACK_BYTES, signal))
    }
  } catch (err) {
    if (isAbort(err)) throw err
    throw new ClientError('UNVERIFIED', `the ${form} of the BTF cannot be read`, { cause: err })
  }
}

/** Runs `xz -dc`. Throws where it is missing, fails, or gives more than `maxBytes`. */
async function unxz(bytes: Uint8Array, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const running = promisify(execFile)('xz', ['-dc'], { encoding: 'buffer', maxBuffer: maxBytes, signal })
  running.child.stdin?.on('error', () => {})
  running.child.stdin?.end(bytes)
  return (await running).stdout
}

/** The bytes of the first file in a tar (ustar: size in octal at 124). */
function onlyFile(tar: Uint8Array): Uint8Array {
  const size = Number.parseInt(Buffer.from(tar.subarray(124, 136)).toString('latin1').trim(), 8)
  if (!(size <= tar.byteLength - TAR_HEADER_BYTES)) throw new Error(`a tar of a file of ${size} bytes`)
  return tar.subarray(TAR_HEADER_BYTES, TAR_HEADER_BYTES + size)
}
