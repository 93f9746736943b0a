import { randomBytes } from 'node:crypto'
import { link, mkdir, rename, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import PQueue from 'p-queue'
import { sha256Of } from '../../core/digest.ts'
import { writeFileAtomic } from '../../core/temp-file.ts'
import {
  type BundleFile,
  bundleFiles,
  type BundleItem,
  type BundleLayout,
  encodeCompact,
  type LeftOut,
  ustar,
} from '../../minimize/index.ts'
import { xz } from '../../store/index.ts'

export interface WrittenBundle {
  readonly layout: BundleLayout
  /** Names in the bundle; a kernel can have several. */
  readonly names: number
  /** Different contents. */
  readonly contents: number
  /** Of the file that was written; of a folder, of its different contents. */
  readonly sizeBytes: number
  readonly leftOut: readonly LeftOut[]
}

const TAR = /\.(tar|tar\.gz|tgz|tar\.xz)$/

/**
 * Writes min BTFs as one bundle. `tree` and `flat` become a tar where `output` ends in `.tar`, `.tar.gz` or `.tar.xz`,
 * else a folder; equal contents are hard links in both. The same items give the same bytes. Throws XzError,
 * MinimizeError `UNSUPPORTED` for a name that no tar can hold.
 */
export async function writeBundle(
  layout: BundleLayout,
  items: readonly BundleItem[],
  output: string,
  signal: AbortSignal,
): Promise<WrittenBundle> {
  if (layout === 'compact') {
    const { bytes, contents, leftOut } = encodeCompact(items)
    await writeFileAtomic(output, bytes)
    const names = items.length - leftOut.reduce((sum, { kernels }) => sum + kernels.length, 0)
    return { layout, names, contents, sizeBytes: bytes.byteLength, leftOut }
  }
  const { files, leftOut } = bundleFiles(layout, items)
  const distinct = new Map(files.map(({ bytes }) => [sha256Of(bytes), bytes.byteLength]))
  const facts = { layout, names: files.length, contents: distinct.size, leftOut }
  const isFolder = (layout === 'tree' || layout === 'flat') && !TAR.test(output)
  if (isFolder) {
    await writeFolder(files, output, signal)
    return { ...facts, sizeBytes: [...distinct.values()].reduce((sum, size) => sum + size, 0) }
  }
  const bytes = await pack(layout, files, output, signal)
  await writeFileAtomic(output, bytes)
  return { ...facts, sizeBytes: bytes.byteLength }
}

async function pack(
  layout: Exclude<BundleLayout, 'compact'>,
  files: readonly BundleFile[],
  output: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  switch (layout) {
    case 'bcc':
    case 'gadget':
      // Neither reader follows links; gzip makes little of what comes twice.
      return gzip(ustar(files, { hardLinks: false }))
    case 'datadog':
      return xz(ustar(await compressEach(files, signal), { hardLinks: false }), { level: 9, signal })
    case 'tree':
    case 'flat': {
      const tar = ustar(files, { hardLinks: true })
      if (output.endsWith('.xz')) return xz(tar, { level: 9, signal })
      return output.endsWith('.tar') ? tar : gzip(tar)
    }
  }
}

/** Each file as a compressed tar of its own: Datadog's agent unpacks twice. */
async function compressEach(files: readonly BundleFile[], signal: AbortSignal): Promise<BundleFile[]> {
  const queue = new PQueue({ concurrency: availableParallelism() })
  return queue.addAll(
    files.map(({ name, bytes }) => async () => {
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

function gzip(bytes: Uint8Array): Uint8Array {
  const compressed = gzipSync(bytes, { level: 9 })
  compressed[GZIP_OS] = GZIP_UNIX
  return compressed
}

async function writeFolder(files: readonly BundleFile[], dir: string, signal: AbortSignal): Promise<void> {
  const firsts = new Map<string, string>()
  for (const { name, bytes } of files) {
    signal.throwIfAborted()
    const path = join(dir, name)
    const digest = sha256Of(bytes)
    const first = firsts.get(digest)
    if (first === undefined) await writeFileAtomic(path, bytes)
    else await replaceByLink(first, path)
    if (first === undefined) firsts.set(digest, path)
  }
}

/** A link beside the place, then renamed: what was there stays until then. */
async function replaceByLink(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temp = join(dirname(path), `.${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
  try {
    await link(target, temp)
    await rename(temp, path)
  } finally {
    // Renaming a link onto another one of the same file does nothing and leaves it (rename(2)).
    await rm(temp, { force: true })
  }
}
