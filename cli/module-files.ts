import { mkdir, mkdtemp, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { syncDirectory } from '../core/temp-file.ts'
import type { ModuleBtf } from '../extractor/index.ts'
import { UsageError } from './exit.ts'

/** Throws UsageError where there is something at the path of a folder that is to be made. */
export async function refuseFullFolder(dir: string): Promise<void> {
  const names = await readdir(dir).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return []
    throw err
  })
  if (names.length > 0) throw new UsageError(`${dir}: has files already, expected a new or an empty folder`)
}

/**
 * Writes a kernel's BTF and its modules' as `/sys/kernel/btf` has them: `vmlinux`, and a file for each module. The folder
 * appears whole or not at all; it must not be there, or be empty.
 */
export async function writeModules(
  dir: string,
  base: Uint8Array,
  modules: readonly Pick<ModuleBtf, 'name' | 'btf'>[],
): Promise<void> {
  const target = resolve(dir)
  await mkdir(dirname(target), { recursive: true })
  const temp = await mkdtemp(join(dirname(target), `.${basename(target)}-`))
  try {
    await writeFile(join(temp, 'vmlinux'), base)
    for (const { name, btf } of modules) await writeFile(join(temp, name), btf)
    await syncDirectory(temp)
    await rmdir(target).catch((err: NodeJS.ErrnoException) => {
      if (err.code !== 'ENOENT') throw err
    })
    await rename(temp, target)
    await syncDirectory(dirname(target))
  } finally {
    await rm(temp, { recursive: true, force: true })
  }
}
