import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'

/**
 * A tar with one read-only file of root's from 1970, as GNU tar makes it with `--owner=root:0 --group=root:0
 * --mode=a=r --mtime=@0 --format=ustar` (a name over 100 bytes gets a pax header): the same bytes for the same input.
 */
export async function tarOfOne(name: string, bytes: Uint8Array): Promise<Uint8Array> {
  const tar = pack()
  const header = { name, mode: 0o444, uid: 0, gid: 0, uname: 'root', gname: 'root', mtime: new Date(0) }
  tar.entry(header, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  tar.finalize()
  return buffer(tar)
}
