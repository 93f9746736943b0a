import { readdir, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { type Kernel, KernelNameError, makeKernel } from '../core/kernel.ts'
import { isUrl } from './input.ts'
import { UsageError } from './exit.ts'

/** A file with BTF, and the kernel that it is of where its path says so. */
export interface KernelFile {
  readonly path: string
  readonly kernel: Kernel | null
}

const BTF_FILE = /^(.+)\.btf(\.xz|\.gz|\.zst|\.tar\.xz|\.tar\.gz)?$/

/**
 * Files as they are given, and of folders every `DISTRO/VERSION/ARCH/RELEASE.btf[.xz|.gz|.zst|.tar.xz]` below. Files of
 * other names in folders are passed over. Throws UsageError where a folder has none, ENOENT.
 */
export async function findKernelFiles(paths: readonly string[]): Promise<KernelFile[]> {
  const found: KernelFile[] = []
  for (const path of paths) {
    if (isUrl(path) || !(await stat(path)).isDirectory()) {
      found.push({ path, kernel: kernelOf(path.split(isUrl(path) ? '/' : sep)) })
      continue
    }
    const names = (await readdir(path, { recursive: true })).sort()
    const below = names.flatMap((name): KernelFile[] => {
      const kernel = kernelOf(join(path, name).split(sep))
      return kernel === null ? [] : [{ path: join(path, name), kernel }]
    })
    if (below.length === 0) throw new UsageError(`${path}: no DISTRO/VERSION/ARCH/RELEASE.btf below it`)
    found.push(...below)
  }
  return found
}

function kernelOf(parts: readonly string[]): Kernel | null {
  const [distro, version, arch, file] = parts.slice(-4)
  const release = BTF_FILE.exec(file ?? '')?.[1]
  if (distro === undefined || version === undefined || arch === undefined || release === undefined)
    return null
  try {
    return makeKernel(distro, version, arch, release)
  } catch (err) {
    if (err instanceof KernelNameError) return null
    throw err
  }
}

/** A file's name without the endings of BTF: `6.1.0-50-amd64.btf.tar.xz` gives `6.1.0-50-amd64`. */
export function baseRelease(path: string): string {
  const name = path.split(/[/\\]/).at(-1) ?? path
  return name.replace(/(\.btf)?(\.tar)?(\.(xz|gz|zst))?$/, '')
}
