import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'

/** Bytes of one package's entry, about what real ones have with their dependencies. */
const ENTRY_BYTES = 2000

/**
 * Rewrites the `primary.xml.gz` of a repository so that it names so many packages more, as createrepo_c writes them, and
 * with it `repomd.xml`. Gives the bytes of the list unpacked.
 */
export async function addFillers(repo: string, packages: number): Promise<number> {
  const dir = join(repo, 'repodata')
  const name = (await readdir(dir)).find((file) => file.endsWith('primary.xml.gz'))
  if (name === undefined) throw new Error(`${dir}: expected a primary.xml.gz`)
  const plain = hashed()
  const packed = hashed()
  const temp = join(dir, 'new.gz')
  await pipeline(
    Readable.from(grown(join(dir, name), packages)),
    plain.tap,
    createGzip({ level: 1 }),
    packed.tap,
    createWriteStream(temp),
  )
  const [open, whole] = [plain.result(), packed.result()]
  const fresh = `repodata/${whole.sha256}-primary.xml.gz`
  renameSync(temp, join(repo, fresh))
  const repomd = join(dir, 'repomd.xml')
  const text = readFileSync(repomd, 'utf8')
  const data = /<data type="primary">[^]*?<\/data>/.exec(text)?.[0] ?? ''
  const changed = data
    .replace(/href="[^"]*"/, `href="${fresh}"`)
    .replace(/<checksum type="sha256">[^<]*/, `<checksum type="sha256">${whole.sha256}`)
    .replace(/<open-checksum type="sha256">[^<]*/, `<open-checksum type="sha256">${open.sha256}`)
    .replace(/<size>[^<]*/, `<size>${whole.bytes}`)
    .replace(/<open-size>[^<]*/, `<open-size>${open.bytes}`)
  writeFileSync(repomd, text.replace(data, changed))
  return open.bytes
}

/** The list with fillers before its end. */
async function* grown(path: string, packages: number): AsyncGenerator<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of createReadStream(path).pipe(createGunzip())) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  const end = text.lastIndexOf('</metadata>')
  yield Buffer.from(text.slice(0, end))
  for (let at = 0; at < packages; at += 100) {
    yield Buffer.from(Array.from({ length: Math.min(100, packages - at) }, (_, i) => filler(at + i)).join(''))
  }
  yield Buffer.from(text.slice(end))
}

function filler(number: number): string {
  const digest = createHash('sha256').update(String(number)).digest('hex')
  const name = `package-${number}`
  const entry = `<package type="rpm"><name>${name}</name><arch>x86_64</arch><version epoch="0" ver="1.${number}" rel="3.el8"/>
<checksum type="sha256" pkgid="YES">${digest}</checksum><summary>A package among many</summary>
<time file="1700000000" build="1600000000"/><size package="5000" installed="9000" archive="9500"/>
<location href="Packages/${name}-1.${number}-3.el8.x86_64.rpm"/><format><rpm:license>GPL</rpm:license><rpm:requires>`
  const requires: string[] = []
  for (let bytes = entry.length; bytes < ENTRY_BYTES; bytes += 60) {
    requires.push(`<rpm:entry name="libsomething-${requires.length}.so.6(${digest.slice(0, 8)})(64bit)"/>`)
  }
  return `${entry}${requires.join('\n')}</rpm:requires></format></package>\n`
}

/** Passes bytes on, and knows them in the end. */
function hashed(): {
  tap: (chunks: AsyncIterable<Buffer>) => AsyncGenerator<Buffer>
  result: () => { readonly sha256: string; readonly bytes: number }
} {
  const hash = createHash('sha256')
  let bytes = 0
  return {
    async *tap(chunks) {
      for await (const chunk of chunks) {
        hash.update(chunk)
        bytes += chunk.byteLength
        yield chunk
      }
    },
    result: () => ({ sha256: hash.digest('hex'), bytes }),
  }
}

/** Packages that fill a list of so many bytes. */
export function fillersFor(bytes: number): number {
  return Math.ceil(bytes / ENTRY_BYTES)
}
