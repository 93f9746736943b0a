import { constants } from 'node:fs'
import { open, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ClientError, type IndexSource } from '../../client/index.ts'
import type { Http } from '../../core/http.ts'
import { isUrl } from '../input.ts'
import { INDEX_PATH } from './tree-paths.ts'

/** Where an export's files come from: a folder by its path, or a web server by its URL. */
export async function openSource(root: string, http: Http, signal: AbortSignal): Promise<IndexSource> {
  if (!isUrl(root)) return folderSource(await realpath(root))
  const base = root.replace(/\/+$/, '')
  return {
    name: base,
    read: async (path, maxBytes) => {
      const found = await http.document(base + path, { signal, maxBytes })
      return found === null || found === 'not-modified' ? null : found.bytes
    },
  }
}

/** Whether a folder has an export in it. */
export async function isExport(root: string): Promise<boolean> {
  return stat(join(root, INDEX_PATH)).then(
    () => true,
    () => false,
  )
}

/** Regular files below a folder that is a real path; nothing is read by way of a symbolic link, and no device ever. */
export function folderSource(root: string): IndexSource {
  return {
    name: root,
    async read(path, maxBytes) {
      const place = join(root, path)
      const real = await realpath(place).catch((err: NodeJS.ErrnoException) => {
        if (err.code === 'ENOENT') return null
        throw err
      })
      if (real === null) return null
      if (real !== place) throw new ClientError('UNVERIFIED', `${place}: leads elsewhere by a symbolic link`)
      const file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      try {
        const stats = await file.stat()
        if (!stats.isFile() || stats.size > maxBytes) {
          throw new ClientError('UNVERIFIED', `${place}: expected a file of at most ${maxBytes} bytes`)
        }
        return await file.readFile()
      } finally {
        await file.close()
      }
    },
  }
}
