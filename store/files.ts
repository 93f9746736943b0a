import type { Stats } from 'node:fs'
import { link, rename, stat } from 'node:fs/promises'
import { errnoOf, readError } from './io-errors.ts'

/** What is known of a file; null where there is none. Throws `IO`. */
export async function statOrNull(path: string): Promise<Stats | null> {
  try {
    return await stat(path)
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return null
    throw readError(`looking at ${path}`, err)
  }
}

/** What link(2) says on file systems that have no hard links. */
export const NO_LINKS: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

/**
 * Gives a finished temporary file its name; false, and nothing changed, where the name is taken. The temporary name
 * may stay: its owner removes it. Throws what the system says.
 */
export async function publish(temp: string, path: string): Promise<boolean> {
  try {
    await link(temp, path)
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') return false
    if (!NO_LINKS.includes(errnoOf(err))) throw err
    if ((await statOrNull(path)) !== null) return false
    await rename(temp, path)
  }
  return true
}
