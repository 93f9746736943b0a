import { randomBytes } from 'node:crypto'
import { link, mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { sha256Of } from '../../core/digest.ts'
import { writeFileAtomic } from '../../core/temp-file.ts'
import {
  type BundleFile,
  bundleFiles,
  type BundleItem,
  type BundleLayout,
  type LeftOut,
} from '../../minimize/index.ts'
import { type BundlePacking, countsOf, packBundle } from '../../registry/index.ts'

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
  const packing = packingOf(output)
  if ((layout === 'tree' || layout === 'flat') && packing === null) {
    const bundle = bundleFiles(layout, items)
    const sizeBytes = await writeFolder(bundle.files, output, signal)
    return { layout, ...countsOf(bundle), sizeBytes }
  }
  const { bytes, ending: _ending, ...counts } = await packBundle(layout, items, packing ?? 'tar.gz', signal)
  await writeFileAtomic(output, bytes)
  return { layout, ...counts, sizeBytes: bytes.byteLength }
}

function packingOf(output: string): BundlePacking | null {
  if (/\.(tar\.gz|tgz)$/.test(output)) return 'tar.gz'
  if (output.endsWith('.tar.xz')) return 'tar.xz'
  return output.endsWith('.tar') ? 'tar' : null
}

/** Gives the size of all different contents. */
async function writeFolder(files: readonly BundleFile[], dir: string, signal: AbortSignal): Promise<number> {
  const firsts = new Map<string, string>()
  let sizeBytes = 0
  for (const { name, bytes } of files) {
    signal.throwIfAborted()
    const path = join(dir, name)
    const digest = sha256Of(bytes)
    const first = firsts.get(digest)
    if (first === undefined) await writeFileAtomic(path, bytes)
    else await replaceByLink(first, path)
    if (first !== undefined) continue
    firsts.set(digest, path)
    sizeBytes += bytes.byteLength
  }
  return sizeBytes
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
