import type { ArchiveEntry } from './archive.ts'
import type { ByteStream } from './byte-stream.ts'
import { limits } from '../core/limits.ts'
import { ExtractError } from './types.ts'

/** What an RPM's header says of a file, for archives that leave it out. */
export interface ListedFile {
  readonly path: string
  readonly sizeBytes: number
  readonly mode: number
  /** Equal for names of one file. */
  readonly inode: string
  /** In the header alone; the payload does not have it. */
  readonly isGhost: boolean
}

const NEWC = '070701'
const NEWC_WITH_CHECKSUM = '070702'
/** lib/cpio.c of RPM: instead of a header only the file's number in the package's list, for files beyond 4 GiB. */
const STRIPPED = '07070X'
const MAGIC_BYTES = 6
const NEWC_BYTES = 110
const STRIPPED_BYTES = 14
const TRAILER = 'TRAILER!!!'

const FORMAT_MASK = 0o170000
const REGULAR = 0o100000
const SYMLINK = 0o120000

/** True where bytes start like a cpio archive of the kind that packages have. */
export function isCpio(head: Uint8Array): boolean {
  return [NEWC, NEWC_WITH_CHECKSUM, STRIPPED].includes(latin1(head.subarray(0, MAGIC_BYTES)))
}

/**
 * The entries of a cpio archive in their order (cpio(5), "New ASCII Format" and "New CRC Format"; RPM's stripped
 * format, whose names and sizes are those of `list`). Of the names of one file only the last comes with its bytes:
 * it alone is given, with the others as `aliases`. Throws ExtractError `MALFORMED` or `LIMIT`.
 */
export async function* readCpio(
  stream: ByteStream,
  list: readonly ListedFile[] = [],
): AsyncGenerator<ArchiveEntry, void, undefined> {
  const links = new HardLinks(list)
  for (let count = 0; ; count++) {
    if (count > limits.package.maxMembers) {
      throw new ExtractError('LIMIT', `${stream.name}: more than ${limits.package.maxMembers} cpio entries`)
    }
    const entry = await readEntry(stream, list, links)
    if (entry === null) return
    const { path, sizeBytes, mode } = entry
    const end = stream.position + padded(sizeBytes)
    const format = mode & FORMAT_MASK
    if (links.isWaiting(entry)) links.keep(entry)
    else {
      const kind = format === REGULAR ? 'file' : format === SYMLINK ? 'link' : 'other'
      const aliases = links.takeAliases(entry)
      yield { path, aliases, kind, sizeBytes, body: () => stream.take(sizeBytes, path) }
    }
    await stream.skip(end - stream.position, 'cpio data')
  }
}

interface CpioEntry {
  readonly path: string
  /** Of what follows. */
  readonly sizeBytes: number
  readonly mode: number
  readonly inode: string
  readonly linkCount: number
  /** Its number in the package's list; -1 where the archive does not say. */
  readonly index: number
}

async function readEntry(
  stream: ByteStream,
  list: readonly ListedFile[],
  links: HardLinks,
): Promise<CpioEntry | null> {
  const at = stream.position
  const magic = latin1(await stream.peek(MAGIC_BYTES))
  if (magic === STRIPPED) {
    const header = latin1(await stream.read(padded(STRIPPED_BYTES), 'a stripped cpio header'))
    const index = hex(header, MAGIC_BYTES, stream, at)
    const listed = list[index]
    if (listed === undefined) {
      throw malformed(stream, at, `file ${index} of a list of ${list.length}`)
    }
    const format = listed.mode & FORMAT_MASK
    const hasBytes = format === SYMLINK || (format === REGULAR && links.isLast(index))
    return {
      ...listed,
      index,
      sizeBytes: hasBytes ? listed.sizeBytes : 0,
      linkCount: links.count(listed.inode),
    }
  }
  if (magic !== NEWC && magic !== NEWC_WITH_CHECKSUM) {
    throw malformed(stream, at, `expected a cpio header, got ${JSON.stringify(magic)}`)
  }
  const header = latin1(await stream.read(NEWC_BYTES, 'a cpio header'))
  const field = (index: number): number => hex(header, MAGIC_BYTES + index * 8, stream, at)
  const nameBytes = field(11)
  if (nameBytes === 0 || nameBytes > limits.package.maxHeaderBytes) {
    throw malformed(stream, at, `name of ${nameBytes} bytes`)
  }
  const rest = padded(NEWC_BYTES + nameBytes) - NEWC_BYTES
  const path = Buffer.from(await stream.read(rest, 'a cpio name')).toString('utf8', 0, nameBytes - 1)
  if (path === TRAILER) return null
  const inode = [field(7), field(8), field(0)].join(':')
  return { path, sizeBytes: field(6), mode: field(1), inode, linkCount: field(4), index: -1 }
}

/** Names of files that have several: which of them comes with the bytes, and which came before it. */
class HardLinks {
  readonly #counts = new Map<string, number>()
  readonly #last = new Map<string, number>()
  readonly #waiting = new Map<string, string[]>()
  readonly #list: readonly ListedFile[]

  constructor(list: readonly ListedFile[]) {
    this.#list = list
    list.forEach(({ inode, isGhost }, index) => {
      if (isGhost) return
      this.#counts.set(inode, this.count(inode) + 1)
      this.#last.set(inode, index)
    })
  }

  count(inode: string): number {
    return this.#counts.get(inode) ?? 0
  }

  isLast(index: number): boolean {
    const inode = this.#list[index]?.inode
    return inode !== undefined && this.#last.get(inode) === index
  }

  /** True for a name whose bytes come with another one. */
  isWaiting(entry: CpioEntry): boolean {
    if ((entry.mode & FORMAT_MASK) !== REGULAR || entry.linkCount < 2) return false
    return entry.index < 0 ? entry.sizeBytes === 0 : !this.isLast(entry.index)
  }

  keep(entry: CpioEntry): void {
    const paths = this.#waiting.get(entry.inode)
    if (paths === undefined) this.#waiting.set(entry.inode, [entry.path])
    else paths.push(entry.path)
  }

  takeAliases(entry: CpioEntry): readonly string[] {
    if (entry.linkCount < 2) return []
    const paths = this.#waiting.get(entry.inode) ?? []
    this.#waiting.delete(entry.inode)
    return paths
  }
}

/** Headers with names, and data, fill up to a multiple of four. */
function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4
}

function hex(header: string, at: number, stream: ByteStream, headerAt: number): number {
  const digits = header.slice(at, at + 8)
  if (!/^[0-9A-Fa-f]{8}$/.test(digits)) {
    throw malformed(stream, headerAt, `${JSON.stringify(digits)} where eight hex digits are expected`)
  }
  return parseInt(digits, 16)
}

function malformed(stream: ByteStream, at: number, problem: string): ExtractError {
  return new ExtractError('MALFORMED', `${stream.name}: cpio entry at byte ${at}: ${problem}`)
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
