import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { gzip as gzipCallback } from 'node:zlib'
import PQueue from 'p-queue'
import { sha256Of } from '../core/digest.ts'
import {
  type BundleFile,
  type BundleFiles,
  bundleFiles,
  type BundleItem,
  type BundleLayout,
  encodeCompact,
  type LeftOut,
  ustar,
} from '../minimize/index.ts'
import { xz } from '../store/index.ts'

/** How a `tree` or `flat` bundle is packed; the other layouts have one form each. */
export type BundlePacking = 'tar' | 'tar.gz' | 'tar.xz'

export interface PackedBundle {
  readonly bytes: Uint8Array
  /** `tar.gz`: what the file's name ends in. */
  readonly ending: string
  /** Names in the bundle; a kernel can have several. */
  readonly names: number
  /** Different contents. */
  readonly contents: number
  readonly leftOut: readonly LeftOut[]
}

/**
 * Min BTFs as the one file of a layout. The same items give the same bytes. Throws XzError, MinimizeError `UNSUPPORTED`
 * for a name that no tar can hold.
 */
export async function packBundle(
  layout: BundleLayout,
  items: readonly BundleItem[],
  packing: BundlePacking,
  signal: AbortSignal,
): Promise<PackedBundle> {
  if (layout === 'compact') {
    const { bytes, contents, leftOut } = encodeCompact(items)
    const names = items.length - leftOut.reduce((sum, { kernels }) => sum + kernels.length, 0)
    return { bytes, ending: 'btfs', names, contents, leftOut }
  }
  const bundle = bundleFiles(layout, items)
  return { ...(await pack(layout, bundle.files, packing, signal)), ...countsOf(bundle) }
}

/** What is told of a bundle's files. */
export function countsOf({ files, leftOut }: BundleFiles): Omit<PackedBundle, 'bytes' | 'ending'> {
  return { names: files.length, contents: new Set(files.map(({ bytes }) => sha256Of(bytes))).size, leftOut }
}

async function pack(
  layout: Exclude<BundleLayout, 'compact'>,
  files: readonly BundleFile[],
  packing: BundlePacking,
  signal: AbortSignal,
): Promise<Pick<PackedBundle, 'bytes' | 'ending'>> {
  switch (layout) {
    case 'bcc':
    case 'gadget':
      // Neither reader follows links; gzip makes little of what comes twice.
      return { bytes: await gzip(ustar(files, { hardLinks: false })), ending: 'tar.gz' }
    case 'datadog': {
      const tar = ustar(await compressEach(files, signal), { hardLinks: false })
      return { bytes: await xz(tar, { level: 9, signal }), ending: 'tar.xz' }
    }
    case 'tree':
    case 'flat': {
      const tar = ustar(files, { hardLinks: true })
      if (packing === 'tar') return { bytes: tar, ending: packing }
      return {
        bytes: packing === 'tar.xz' ? await xz(tar, { level: 9, signal }) : await gzip(tar),
        ending: packing,
      }
    }
  }
}

/** Each file as a compressed tar of its own: Datadog's agent unpacks twice. */
async function compressEach(files: readonly BundleFile[], signal: AbortSignal): Promise<BundleFile[]> {
  const queue = new PQueue({ concurrency: availableParallelism() })
  return queue.addAll(
    files.map(({ name, bytes }) => async () => {
      signal.throwIfAborted()
      const inner = (name.split('/').at(-1) ?? name).replace(/\.tar\.xz$/, '')
      return {
        name,
        bytes: await xz(ustar([{ name: inner, bytes }], { hardLinks: false }), { level: 9, signal }),
      }
    }),
  )
}

/** Offset of the byte that names the operating system (RFC 1952, 2.3), and what it is on Unix. */
const GZIP_OS = 9
const GZIP_UNIX = 3

async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const compressed = await promisify(gzipCallback)(bytes, { level: 9 })
  compressed[GZIP_OS] = GZIP_UNIX
  return compressed
}
