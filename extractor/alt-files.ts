import { createReadStream } from 'node:fs'
import { mkdir, realpath, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { BtfError } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { type AltLink, altIdsOf } from './alt-link.ts'
import type { TempSpace } from './temp-space.ts'
import { ExtractError } from './types.ts'
import { VmlinuxFile } from './vmlinux-file.ts'

/** Where find-debuginfo and dh_dwz put what `dwz -m` took out of a package's files: a folder of that name. */
const ALT_PATH = /(?:^|\/)\.dwz\/./

/** True for the path of a file in a package that others' DWARF may go on in. */
export function isAltPath(path: string): boolean {
  return ALT_PATH.test(path)
}

export interface AltSearch {
  /** For messages. */
  readonly name: string
  /** A folder for copies, which is made when there is one. */
  readonly dir: string
  readonly space: TempSpace
  readonly signal: AbortSignal
  /** Where the input is on this machine's disk; null where only what comes with it counts. */
  readonly localPath: string | null
}

interface Seen {
  readonly path: string
  /** What links call it. */
  readonly ids: readonly string[]
}

/** The files that a kernel's DWARF may go on in, as they are come by: copies, which are ours to change. */
export class AltFiles {
  readonly #search: AltSearch
  readonly #kept: (Seen & { readonly copy: string })[] = []
  #keptBytes = 0
  /** Where else it was looked for, and what was there. */
  readonly #seen: Seen[] = []

  constructor(search: AltSearch) {
    this.#search = search
  }

  /** Keeps a file of the package. Throws ExtractError `LIMIT` and `NO_SPACE`. */
  async keep(path: string, sizeBytes: number, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const { name, dir, space, signal } = this.#search
    this.#keptBytes += sizeBytes
    const { maxAltFiles, maxAltBytes } = limits.dwarf
    if (this.#kept.length >= maxAltFiles || this.#keptBytes > maxAltBytes) {
      const text = `shared debug information in more than ${maxAltFiles} files, or ${maxAltBytes} bytes`
      throw new ExtractError('LIMIT', `${name}: ${text}`)
    }
    await mkdir(dir, { recursive: true })
    const copy = join(dir, String(this.#kept.length))
    const file = await VmlinuxFile.create(copy, sizeBytes, space, signal)
    try {
      for await (const chunk of bytes) await file.write(chunk)
      await file.finish()
    } finally {
      await file.close()
    }
    this.#kept.push({ path, copy, ids: await idsOf(copy) })
  }

  /** True where the file is there that a link names. */
  has(link: AltLink): boolean {
    return this.#keptFor(link) !== undefined
  }

  /**
   * The path of a copy of the file that a link names; its id decides, wherever it was. Throws ExtractError `UNSUPPORTED`
   * where there is none, and that says what is missing and what was there instead.
   */
  async fileFor(link: AltLink): Promise<string> {
    if (!this.has(link)) await this.#lookAround(link)
    const kept = this.#keptFor(link)
    if (kept !== undefined) return kept.copy
    const what = `${link.path} with build-id ${link.id}`
    throw new ExtractError(
      'UNSUPPORTED',
      `${this.#search.name}: the DWARF goes on in another file (dwz -m), ${what}, which is not here: ${this.#found()}`,
    )
  }

  #keptFor({ id }: AltLink): { readonly copy: string } | undefined {
    return this.#kept.find(({ ids }) => ids.includes(id))
  }

  #found(): string {
    const described = [...this.#kept, ...this.#seen].map(({ path, ids }) => {
      return ids.length === 0 ? `${path} is no ELF file with one` : `${path} has ${ids.join(' and ')}`
    })
    if (described.length > 0) return described.slice(0, 5).join('; ')
    return this.#search.localPath === null
      ? 'the package has no .dwz folder'
      : 'nor is it beside the file or in /usr/lib/debug/.build-id; unpack the package that has it there'
  }

  /** Looks where debuggers do (gdb, "Debug Files"): by the link's path, and by the id. */
  async #lookAround(link: AltLink): Promise<void> {
    const { localPath } = this.#search
    if (localPath === null) return
    for (const path of await placesOf(link, localPath)) {
      // Not a pipe or a device: to open one may take for ever.
      const found = await stat(path).catch(() => null)
      if (found?.isFile() !== true) continue
      const ids = await idsOf(path)
      if (!ids.includes(link.id)) this.#seen.push({ path, ids })
      else return await this.keep(path, found.size, createReadStream(path, { highWaterMark: 1 << 20 }))
    }
  }
}

/** Places on this machine's disk that a file may have that the one at `localPath` links to. */
async function placesOf({ path, id }: AltLink, localPath: string): Promise<string[]> {
  const folder = dirname(await realpath(localPath))
  const byId = join('usr/lib/debug/.build-id', id.slice(0, 2), `${id.slice(2)}.debug`)
  // A package that was unpacked into a folder has what an absolute path means below that.
  const inner = folder.lastIndexOf('/usr/lib/debug')
  const roots = inner > 0 ? [folder.slice(0, inner), '/'] : ['/']
  const byPath = isAbsolute(path) ? roots.map((root) => join(root, path)) : [resolve(folder, path)]
  return [...byPath, ...roots.map((root) => join(root, byId))]
}

async function idsOf(path: string): Promise<readonly string[]> {
  try {
    return await altIdsOf(path, path)
  } catch (err) {
    if (err instanceof ExtractError || err instanceof BtfError) return []
    throw err
  }
}
