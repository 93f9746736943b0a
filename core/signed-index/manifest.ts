import { parseSha256, type Sha256 } from '../digest.ts'
import { IndexError } from './errors.ts'

/** A file of a tree. */
export interface ManifestEntry {
  /** Below the tree's root, with `/` between its parts. */
  readonly path: string
  readonly digest: Sha256
}

const MAX_PATH_LENGTH = 4096
/** Parts of paths are names of core/kernel.checkName, `NAME@VERSION` of tools, and debuginfod's `.BTF`. */
const PART = /^(?:\.BTF|[A-Za-z0-9][A-Za-z0-9._+~:@-]{0,440})$/

/** Refuses a path that could lead anywhere but below a tree's root. Throws IndexError `BAD_INDEX`. */
export function checkTreePath(path: string): string {
  const parts = path.split('/')
  if (path.length <= MAX_PATH_LENGTH && parts.every((part) => PART.test(part) && !part.includes('..'))) {
    return path
  }
  throw new IndexError('BAD_INDEX', `path ${JSON.stringify(path.slice(0, 200))}: not one of an export`)
}

/** Lines as `sha256sum -c` reads them, in the order of the entries. */
export function* manifestLines(entries: Iterable<ManifestEntry>): Generator<string> {
  for (const { digest, path } of entries) yield `${digest}  ${path}\n`
}

/** Reads the whole text of a manifest, paths in strictly growing order. Throws IndexError `BAD_INDEX`. */
export function* parseManifest(text: string): Generator<ManifestEntry> {
  if (text !== '' && !text.endsWith('\n')) throw new IndexError('BAD_INDEX', 'the manifest is cut off')
  let last = ''
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\n', at)
    const line = text.slice(at, end)
    at = end + 1
    const digest = parseSha256(line.slice(0, 64))
    if (digest === null || digest !== line.slice(0, 64) || line.slice(64, 66) !== '  ') {
      throw new IndexError(
        'BAD_INDEX',
        `manifest line ${JSON.stringify(line.slice(0, 80))}: no checksum line`,
      )
    }
    const path = checkTreePath(line.slice(66))
    if (path <= last) throw new IndexError('BAD_INDEX', `manifest: ${path} is out of order`)
    last = path
    yield { path, digest }
  }
}
