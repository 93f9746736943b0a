import { chmod, lstat, mkdir, readFile, rm, stat } from 'node:fs/promises'
import os from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseSha256, sha256Of, type Sha256 } from '../core/digest.ts'
import { writeFileAtomic } from '../core/temp-file.ts'
import type { Match } from '../registry/api.ts'
import { ClientError } from './errors.ts'

/** What a hub once answered to a query. */
export interface Remembered {
  readonly digest: Sha256
  readonly hub: string
  /** ISO 8601, UTC. */
  readonly at: string
  readonly kernel: string
  readonly match: Match
  readonly origin: string
}

/** The formats' versions are in the folders' names, so that another format can live beside them. */
const BLOBS = 'blobs-v1'
const ANSWERS = 'answers-v1'

/**
 * BTF that was verified, as files by digest, and what hubs answered. Any number of processes may use one folder: files
 * appear whole and never change. What is found is hashed again before it is given to anybody.
 */
export class BtfCache {
  readonly dir: string

  constructor(dir: string) {
    this.dir = resolve(dir)
  }

  /**
   * The path of a BTF that is here and still what its digest says; null where it is not. Throws ClientError `FAILED`
   * where others could change it after this.
   */
  async find(digest: Sha256, ending = '.btf'): Promise<string | null> {
    const path = this.#blobPath(digest, ending)
    const bytes = await readFile(path).catch(() => null)
    if (bytes === null) return null
    await this.#own(path)
    if (sha256Of(bytes) === digest && (await lstat(path)).isFile()) return path
    await rm(path, { force: true })
    return null
  }

  /** Keeps bytes whose digest the caller has checked, and gives their path. Throws ClientError `FAILED`. */
  async keep(digest: Sha256, bytes: Uint8Array, ending = '.btf'): Promise<string> {
    const path = this.#blobPath(digest, ending)
    await this.#write(path, bytes)
    return path
  }

  /** Remembers what a hub answered. Throws ClientError `FAILED`. */
  async remember(question: string, answer: Remembered): Promise<void> {
    await this.#write(this.#answerPath(question, answer.hub), `${JSON.stringify({ question, ...answer })}\n`)
  }

  /** What this hub last answered to that question; null where it was not asked, or where the file is damaged. */
  async recall(question: string, hub: string): Promise<Remembered | null> {
    const text = await readFile(this.#answerPath(question, hub), 'utf8').catch(() => null)
    if (text === null) return null
    try {
      const { digest, at, kernel, match, origin, ...rest } = JSON.parse(text) as Record<string, unknown>
      const parsed = typeof digest === 'string' ? parseSha256(digest) : null
      const texts = [at, kernel, match, origin].every((value) => typeof value === 'string')
      if (parsed === null || !texts || rest['question'] !== question || rest['hub'] !== hub) return null
      return { digest: parsed, hub, at, kernel, match, origin } as Remembered
    } catch {
      return null
    }
  }

  /** Makes a folder of the cache for others, writable by its owner only. Throws ClientError `FAILED`. */
  async prepare(name: string): Promise<void> {
    try {
      await this.#own(join(this.dir, name, 'any'))
    } catch (err) {
      if (err instanceof ClientError) throw err
      throw new ClientError('FAILED', `making ${join(this.dir, name)}`, { cause: err })
    }
  }

  #blobPath(digest: Sha256, ending: string): string {
    return join(this.dir, BLOBS, digest.slice(0, 2), digest + ending)
  }

  #answerPath(question: string, hub: string): string {
    return join(this.dir, ANSWERS, `${sha256Of(`${hub} ${question}`)}.json`)
  }

  /** Sees to the folders between the cache and the file. */
  async #own(path: string): Promise<void> {
    const folder = dirname(path)
    const inside = folder.slice(this.dir.length).split('/').filter(Boolean)
    for (let depth = 0; depth <= inside.length; depth++) {
      await makePrivate(join(this.dir, ...inside.slice(0, depth)))
    }
  }

  async #write(path: string, bytes: Uint8Array | string): Promise<void> {
    try {
      await this.#own(path)
      await writeFileAtomic(path, bytes)
    } catch (err) {
      if (err instanceof ClientError) throw err
      throw new ClientError('FAILED', `writing ${path}`, { cause: err })
    }
  }
}

/**
 * Where BTF is kept when nobody says: `BTFHUB_CACHE`, `$XDG_CACHE_HOME/btfhub`, `~/.cache/btfhub`; for who has no home,
 * `/var/cache/btfhub`.
 */
export function defaultCacheDir(env: NodeJS.ProcessEnv): string {
  if (env['BTFHUB_CACHE']) return env['BTFHUB_CACHE']
  if (env['XDG_CACHE_HOME']) return join(env['XDG_CACHE_HOME'], 'btfhub')
  return env['HOME'] ? join(env['HOME'], '.cache', 'btfhub') : '/var/cache/btfhub'
}

/**
 * Makes a folder of the cache, or sees that it is fit. Who else may write to it could swap a file after it was checked
 * (a cache in /tmp, a link that somebody put there), so it has to be this user's or root's and writable by nobody else.
 * Throws ClientError `FAILED`.
 */
async function makePrivate(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o755 })
  const own = os.userInfo().uid
  const link = await lstat(dir)
  if (link.isSymbolicLink() && link.uid !== own && link.uid !== 0) {
    throw new ClientError('FAILED', `cache folder ${dir}: is a link of user ${link.uid}`)
  }
  const { uid, mode } = await stat(dir)
  if (uid !== own && uid !== 0) {
    throw new ClientError('FAILED', `cache folder ${dir}: belongs to user ${uid}, expected ${own} or root`)
  }
  if ((mode & 0o022) === 0) return
  if ((mode & 0o1000) !== 0 || uid !== own) {
    throw new ClientError('FAILED', `cache folder ${dir}: others can write to it; give a folder of your own`)
  }
  await chmod(dir, mode & 0o755)
}
