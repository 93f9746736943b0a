import { sha256Of } from '../../core/digest.ts'
import { MinimizeError } from '../errors.ts'
import type { BundleFile } from './types.ts'

const BLOCK = 512
const NAME_BYTES = 100
const PREFIX_BYTES = 155
const REGULAR = '0'
const HARD_LINK = '1'

/**
 * A tar of read-only files of root's from 1970, as GNU tar makes it with `--format=ustar --sort=name --owner=root:0
 * --group=root:0 --mode=a=r --mtime=@0` (POSIX.1-1988, section 10.1.1): the same bytes for the same input. With
 * `hardLinks` files of equal content are links to the first of them; not every reader follows those. Throws
 * MinimizeError `UNSUPPORTED` for names that ustar has no place for.
 */
export function ustar(files: readonly BundleFile[], options: { readonly hardLinks: boolean }): Uint8Array {
  const firsts = new Map<string, string>()
  const parts: Uint8Array[] = []
  for (const { name, bytes } of files) {
    const digest = options.hardLinks ? sha256Of(bytes) : ''
    const first = firsts.get(digest)
    if (options.hardLinks && first !== undefined && Buffer.byteLength(first) <= NAME_BYTES) {
      parts.push(header(name, 0, HARD_LINK, first))
      continue
    }
    if (options.hardLinks && first === undefined) firsts.set(digest, name)
    parts.push(header(name, bytes.byteLength, REGULAR, ''), bytes, new Uint8Array(padding(bytes.byteLength)))
  }
  parts.push(new Uint8Array(2 * BLOCK))
  return Buffer.concat(parts)
}

function padding(length: number): number {
  return (BLOCK - (length % BLOCK)) % BLOCK
}

function header(path: string, sizeBytes: number, type: string, link: string): Uint8Array {
  const [prefix, name] = split(path)
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, width: number): void => {
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1')
  }
  block.write(name, 0)
  octal(0o444, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(sizeBytes, 124, 12)
  octal(0, 136, 12)
  block.write(type, 156, 'latin1')
  block.write(link, 157)
  block.write('ustar\x0000', 257, 'latin1')
  block.write('root', 265, 'latin1')
  block.write('root', 297, 'latin1')
  octal(0, 329, 8)
  octal(0, 337, 8)
  block.write(prefix, 345)
  // The checksum counts its own field as blanks, and ends in NUL and a blank.
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

/** A path in the two fields of a header: cut at the last slash that leaves a prefix short enough, as GNU tar does. */
function split(path: string): readonly [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= NAME_BYTES) return ['', path]
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)]
    if (Buffer.byteLength(name) <= NAME_BYTES && Buffer.byteLength(prefix) <= PREFIX_BYTES)
      return [prefix, name]
  }
  throw new MinimizeError('UNSUPPORTED', `a tar has no place for the name ${path}`)
}
