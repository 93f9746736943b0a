import { createReadStream } from 'node:fs'
import { lstat, readdir, readlink, realpath } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { openIndex, SeenVersions } from '../../client/index.ts'
import { DigestTap, type Sha256 } from '../../core/digest.ts'
import { describeError } from '../../core/errors.ts'
import {
  checkFresh,
  checkTreePath,
  IndexError,
  type PublicKeyText,
  requireTrusted,
} from '../../core/signed-index/index.ts'
import { ToolList } from '../../registry/api.ts'
import { blobPath } from '../../registry/index.ts'
import { eachAtOnce } from './each.ts'
import { folderSource } from './folder-source.ts'
import { INDEX_PATH, NEXT_INDEX_PATH, PRIVATE_DIR } from './tree-paths.ts'
import { readTreeStates, type TreeState, type TreeStates } from './tree-state.ts'

export interface TreeReport {
  readonly sound: boolean
  readonly version: number
  readonly expires_at: string
  /** Keys that signed it, and the one of those that was given; null where none was given. */
  readonly signed_by: readonly string[]
  readonly trusted: string | null
  readonly checked: number
  readonly problems: readonly { readonly path: string; readonly message: string }[]
}

export interface VerifyTreeOptions {
  /** With keys the index has to be signed by one of them and not expired. */
  readonly keys: readonly PublicKeyText[]
  readonly now: Date
  readonly signal: AbortSignal
  readonly onProgress: (done: number, total: number) => void
}

/**
 * Reads every file of an export and compares it with the signed index; what is there besides is a problem too, because
 * the web server would send it. Where an export was broken off, a file may also be what the index says that is to come.
 * Throws IndexError where the index itself is not to be believed, `BAD_INDEX` where there is none.
 */
export async function verifyTree(dir: string, options: VerifyTreeOptions): Promise<TreeReport> {
  const root = await realpath(dir)
  const states = await readTreeStates(root)
  const { current } = states
  if (current === null) throw new IndexError('BAD_INDEX', `${dir}: no ${INDEX_PATH}, so no finished export`)
  const trusted = options.keys.length === 0 ? null : requireTrusted(current.opened, options.keys)
  if (trusted !== null) checkFresh(current.index, 0, options.now)

  const problems: { path: string; message: string }[] = []
  const tree: Tree = {
    root,
    states,
    current,
    problem: (path, message) => void problems.push({ path, message }),
  }
  const checked = await checkFiles(tree, options)
  await checkLinks(tree)
  await findStrangers(tree)
  await checkDocuments(tree)
  problems.sort((a, b) => (a.path < b.path ? -1 : 1))
  const { version, expires_at } = current.index
  const signed_by = current.opened.signedBy
  return { sound: problems.length === 0, version, expires_at, signed_by, trusted, checked, problems }
}

interface Tree {
  readonly root: string
  readonly states: TreeStates
  readonly current: TreeState
  readonly problem: (path: string, message: string) => void
}

/** Each file once, whatever many names it has. */
async function checkFiles(
  { root, states, current, problem }: Tree,
  options: VerifyTreeOptions,
): Promise<number> {
  const paths = new Set([...current.files.keys(), ...(states.next?.files.keys() ?? [])])
  const hashed = new Map<string, Promise<Sha256>>()
  let done = 0
  await eachAtOnce(paths, availableParallelism(), async (path) => {
    options.signal.throwIfAborted()
    const allowed = [current.files.get(path), states.next?.files.get(path)]
    try {
      const stats = await lstat(join(root, path), { bigint: true })
      if (!stats.isFile()) problem(path, 'expected a regular file')
      else {
        const inode = `${stats.dev}:${stats.ino}`
        const hashing = hashed.get(inode) ?? hashFile(join(root, path))
        hashed.set(inode, hashing)
        const digest = await hashing
        if (!allowed.includes(digest))
          problem(path, `sha256 is ${digest}, expected ${allowed[0] ?? allowed[1]}`)
      }
    } catch (err) {
      const isMissing = (err as NodeJS.ErrnoException).code === 'ENOENT'
      // What is only to come may not be there yet.
      if (!isMissing || allowed[0] !== undefined) problem(path, isMissing ? 'is missing' : describeError(err))
    }
    options.onProgress(++done, paths.size)
  })
  return paths.size
}

async function hashFile(path: string): Promise<Sha256> {
  const tap = new DigestTap()
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) tap.update(chunk as Buffer)
  return tap.digest()
}

async function checkLinks({ root, states, current, problem }: Tree): Promise<void> {
  for (const [path, target] of Object.entries(current.index.links)) {
    const actual = await readlink(join(root, checkTreePath(path))).catch(() => null)
    if (actual === target || actual === states.next?.index.links[path]) continue
    problem(path, actual === null ? 'the symbolic link is missing' : `leads to ${actual}, expected ${target}`)
  }
}

/** What no index in the folder knows of; what the last one but this knew is just not removed yet. */
async function findStrangers({ root, states, problem }: Tree): Promise<void> {
  const known = new Set([INDEX_PATH, NEXT_INDEX_PATH])
  for (const state of [states.current, states.next, states.previous]) {
    if (state === null) continue
    for (const path of state.files.keys()) known.add(path)
    for (const path of Object.keys(state.index.links)) known.add(path)
    if (state.index.manifest !== null) known.add(blobPath(state.index.manifest).slice(1))
  }
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = relative(root, join(entry.parentPath, entry.name))
    if (entry.isDirectory() || known.has(path) || path.startsWith(`${PRIVATE_DIR}/`)) continue
    problem(path, 'is none of this export')
  }
}

/** Every document can be read, and what it names is in the tree. */
async function checkDocuments({ root, current, problem }: Tree): Promise<void> {
  const trust = { keys: [], seen: new SeenVersions(root), now: () => new Date() }
  const documents = await openIndex(folderSource(root), trust)
  const check = async (name: string, digests: () => Promise<readonly string[]>): Promise<void> => {
    try {
      for (const digest of await digests()) {
        if (!current.files.has(blobPath(digest).slice(1)))
          problem(name, `names blob ${digest}, which is not there`)
      }
    } catch (err) {
      problem(name, describeError(err))
    }
  }
  if (documents === null) return
  for (const i of documents.index.release_shards.keys()) {
    const modulesOf: { readonly key: string; readonly modules: string | null }[] = []
    await check(INDEX_PATH, async () =>
      (await documents.shard(i)).flatMap(({ btf, min, key, modules }) => {
        modulesOf.push({ key, modules })
        return [btf.digest, ...min.filter((each) => each !== null).map((each) => each.digest)]
      }),
    )
    for (const build of modulesOf) {
      await check(`${INDEX_PATH}: modules of ${build.key}`, async () => {
        const list = await documents.modules(build)
        return list === null ? [] : [list.merged.digest, ...list.modules.map(({ digest }) => digest)]
      })
    }
  }
  await check(INDEX_PATH, async () =>
    (await documents.document(documents.index.tool_list, ToolList)).tools.flatMap((tool) =>
      tool.objects.map((object) => object.digest),
    ),
  )
}
