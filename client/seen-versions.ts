import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256Of } from '../core/digest.ts'
import type { PublicKeyText } from '../core/signed-index/index.ts'

/**
 * The highest version of an index that was seen of a hub with a key, as a file whose name is the number: the highest wins
 * whoever writes first, so that no lock is needed.
 */
export class SeenVersions {
  readonly #dir: string

  /** `dir` is a folder that nobody else can write to. */
  constructor(dir: string) {
    this.#dir = dir
  }

  /** 0 where none was seen. Throws what the disk throws: not being able to look is not "none". */
  async highest(hub: string, key: PublicKeyText): Promise<number> {
    return Math.max(0, ...(await this.#versions(hub, key)))
  }

  async saw(hub: string, key: PublicKeyText, version: number): Promise<void> {
    const known = await this.#versions(hub, key)
    if (known.includes(version)) return
    const dir = this.#place(hub, key)
    await mkdir(dir, { recursive: true, mode: 0o755 })
    await writeFile(join(dir, String(version)), '')
    for (const old of known.filter((each) => each < version))
      await rm(join(dir, String(old)), { force: true })
  }

  async #versions(hub: string, key: PublicKeyText): Promise<number[]> {
    const names = await readdir(this.#place(hub, key)).catch((err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT') return []
      throw err
    })
    return names.filter((name) => /^\d{1,15}$/.test(name)).map(Number)
  }

  #place(hub: string, key: PublicKeyText): string {
    return join(this.#dir, sha256Of(`${hub} ${key}`))
  }
}
