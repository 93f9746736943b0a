import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseSha256, sha256Of, type Sha256 } from '../../core/digest.ts'
import {
  IndexError,
  open,
  type Opened,
  parseManifest,
  type PublicKeyText,
} from '../../core/signed-index/index.ts'
import { SignedIndex } from '../../registry/api.ts'
import { blobPath } from '../../registry/index.ts'
import { INDEX_PATH, NEXT_INDEX_PATH, PREVIOUS_INDEX_PATH, PRIVATE_DIR } from './tree-paths.ts'
import { ExportError } from './types.ts'

/** One index of a tree, with what it says of the tree's files. */
export interface TreeState {
  readonly text: string
  readonly opened: Opened
  readonly index: SignedIndex
  readonly files: ReadonlyMap<string, Sha256>
}

/** What an earlier export, or one that was broken off, left in a folder. */
export interface TreeStates {
  readonly current: TreeState | null
  /** Of an export that was broken off before its index took its place: its files may be there or not. */
  readonly next: TreeState | null
  /** Of an export that was broken off while the files of the one before were removed. */
  readonly previous: TreeState | null
}

/**
 * Reads the indexes in a folder, each null where it is not there. Throws IndexError where one is damaged, ENOTDIR and its
 * like.
 */
export async function readTreeStates(root: string): Promise<TreeStates> {
  return {
    current: await readState(root, INDEX_PATH),
    next: await readState(root, NEXT_INDEX_PATH),
    // Its manifest goes last of what it names: where that is gone, so is the rest.
    previous: await readState(root, PREVIOUS_INDEX_PATH).catch(() => null),
  }
}

/**
 * Throws ExportError where a folder must not be exported into, because what would be changed or removed there is somebody
 * else's.
 */
export async function checkOwn(
  root: string,
  states: TreeStates,
  keys: readonly PublicKeyText[],
): Promise<void> {
  const known = [states.current, states.next].filter((state) => state !== null)
  for (const { opened } of known) {
    if (opened.signedBy.some((key) => keys.includes(key))) continue
    throw new ExportError(
      'FOREIGN',
      `${root}: has an export of ${opened.signedBy.join(' ')}, not of this hub`,
    )
  }
  const others = known.length > 0 ? [] : (await readdir(root)).filter((name) => name !== PRIVATE_DIR)
  if (others.length > 0) {
    throw new ExportError('NOT_EMPTY', `${root}: expected an empty folder or an export, found ${others[0]}`)
  }
}

async function readState(root: string, path: string): Promise<TreeState | null> {
  const text = await readOrNull(join(root, path))
  if (text === null) return null
  const opened = open(text)
  const index = parseIndex(opened.payload)
  return { text, opened, index, files: new Map(filesOf(await readManifest(root, index))) }
}

/** The payload of a signed index. Throws IndexError `BAD_INDEX`. */
export function parseIndex(payload: string): SignedIndex {
  let value: unknown
  try {
    value = JSON.parse(payload)
  } catch (err) {
    throw new IndexError('BAD_INDEX', 'the index is no JSON', { cause: err })
  }
  const parsed = SignedIndex.safeParse(value)
  if (parsed.success) return parsed.data
  throw new IndexError('BAD_INDEX', `not an index of a hub: ${parsed.error.issues[0]?.path.join('.')}`)
}

async function readManifest(root: string, index: SignedIndex): Promise<string> {
  const digest = index.manifest === null ? null : parseSha256(index.manifest)
  if (digest === null) throw new IndexError('BAD_INDEX', 'the index is not of a tree of files')
  const text = await readOrNull(join(root, blobPath(digest)))
  if (text === null || sha256Of(text) !== digest) {
    throw new IndexError(
      'BAD_SIGNATURE',
      `the manifest ${digest} is ${text === null ? 'missing' : 'damaged'}`,
    )
  }
  return text
}

function* filesOf(manifest: string): Generator<[string, Sha256]> {
  for (const { path, digest } of parseManifest(manifest)) yield [path, digest]
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw err
  }
}
