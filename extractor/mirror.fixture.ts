import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { sha256Of } from '../core/digest.ts'
import { writeFileAtomic } from '../core/temp-file.ts'
import { run } from './run.fixture.ts'

/** Downloads stay here between runs. */
const cacheDir = process.env['BTFHUB_TEST_CACHE'] ?? join(tmpdir(), 'btfhub-test-cache')

/** A busy machine is not to be taken for one without a mirror, and one without is not to wait long for each test. */
const ANSWER_MS = 15_000

/** A package as the mirror's index has it. */
export interface Offer {
  readonly name: string
  readonly filename: string
  readonly sizeBytes: number
  readonly sha256: string
}

/** The Debian archive that this machine's apt is configured for; null where there is none, or it does not answer. */
export async function findMirror(): Promise<string | null> {
  const parts = '/etc/apt/sources.list.d'
  const files = [
    '/etc/apt/sources.list',
    ...(await readdir(parts).catch(() => [])).map((name) => join(parts, name)),
  ]
  for (const file of files.filter((name) => /\.(list|sources)$/.test(name))) {
    const text = await readFile(file, 'utf8').catch(() => '')
    for (const [uri] of text.matchAll(/https?:\/\/\S+\/debian(?=[/\s])/g)) {
      const answer = await fetch(`${uri}/dists/bookworm/InRelease`, {
        signal: AbortSignal.timeout(ANSWER_MS),
      }).catch(() => null)
      await answer?.body?.cancel()
      if (answer?.ok === true) return uri
    }
  }
  return null
}

/** The kernel packages of a suite, by their names. */
export async function kernelOffers(mirror: string, suite: string, arch: string): Promise<readonly Offer[]> {
  const cached = join(cacheDir, `offers-${suite}-${arch}.json`)
  const age = Date.now() - ((await stat(cached).catch(() => null))?.mtimeMs ?? 0)
  if (age > 24 * 3600_000) {
    const offers = await stanzas(mirror, suite, arch, /^Package: linux-(?:image|binary)-/)
    await writeFileAtomic(cached, JSON.stringify(offers.map(offerOf)))
  }
  return JSON.parse(await readFile(cached, 'utf8')) as Offer[]
}

/** The stanzas of a suite's index that match, as text. */
export async function stanzas(
  mirror: string,
  suite: string,
  arch: string,
  which: RegExp,
): Promise<readonly string[]> {
  const text = run('xz', ['-dc', await packagesIndex(mirror, suite, arch)]).toString('utf8')
  return text.split('\n\n').filter((stanza) => which.test(stanza))
}

/** One run's tests share an index; a suite that moves takes the packages of an older one away. */
const INDEX_KEPT_MS = 3600_000

async function packagesIndex(mirror: string, suite: string, arch: string): Promise<string> {
  const cached = join(cacheDir, `Packages-${suite}-${arch}.xz`)
  const age = Date.now() - ((await stat(cached).catch(() => null))?.mtimeMs ?? 0)
  if (age <= INDEX_KEPT_MS) return cached
  const answer = await fetch(`${mirror}/dists/${suite}/main/binary-${arch}/Packages.xz`)
  if (!answer.ok) throw new Error(`Packages.xz of ${suite} ${arch}: HTTP ${answer.status}`)
  await writeFileAtomic(cached, new Uint8Array(await answer.arrayBuffer()))
  return cached
}

/** The offer with the highest version of those whose name matches, and that are no empty meta packages. */
export function newest(offers: readonly Offer[], name: RegExp): Offer {
  const found = offers.filter((offer) => name.test(offer.name) && offer.sizeBytes > 1_000_000)
  found.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  const last = found.at(-1)
  if (last === undefined) throw new Error(`the mirror has no package like ${String(name)}`)
  return last
}

/** The release that a kernel package is called after. */
export function releaseOf(offer: Offer): string {
  return offer.name.replace(/^linux-(?:image|binary)-(?:unsigned-)?/, '').replace(/-(?:dbg|unsigned)$/, '')
}

/** The path of a downloaded package whose digest is right. What an earlier run had of it is not fetched again. */
export async function download(mirror: string, offer: Offer): Promise<string> {
  await mkdir(cacheDir, { recursive: true })
  const path = join(cacheDir, basename(offer.filename))
  if ((await sizeOf(path)) === offer.sizeBytes) return path
  const part = await takePart(path)
  await fetchRest(`${mirror}/${offer.filename}`, part, offer.sizeBytes)
  if (sha256Of(await readFile(part)) !== offer.sha256) {
    await rm(part)
    throw new Error(`${offer.filename}: wrong digest`)
  }
  await rename(part, path)
  return path
}

/** The file that this process alone downloads to, with what one that is no more left of it. */
async function takePart(path: string): Promise<string> {
  const mine = `${path}.${process.pid}.part`
  for (const name of await readdir(dirname(path))) {
    const pid = name.startsWith(basename(path)) ? /\.(\d+)\.part$/.exec(name)?.[1] : undefined
    if (pid === undefined || isRunning(Number(pid))) continue
    // Another process may have been quicker to take it.
    await rename(join(dirname(path), name), mine).catch(() => undefined)
  }
  return mine
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (err) {
    return (err as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

async function fetchRest(url: string, path: string, sizeBytes: number): Promise<void> {
  const have = await sizeOf(path)
  if (have === sizeBytes) return
  const isPart = have > 0 && have < sizeBytes
  const answer = await fetch(url, isPart ? { headers: { range: `bytes=${have}-` } } : {})
  if (!answer.ok || answer.body === null) throw new Error(`${url}: HTTP ${answer.status}`)
  const flags = answer.status === 206 ? 'a' : 'w'
  await pipeline(Readable.fromWeb(answer.body), createWriteStream(path, { flags }))
}

/** 0 where there is no such file. */
async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0
}

/** What to download for a stanza. */
export function offerOf(stanza: string): Offer {
  return {
    name: fieldOf(stanza, 'Package'),
    filename: fieldOf(stanza, 'Filename'),
    sizeBytes: Number(fieldOf(stanza, 'Size')),
    sha256: fieldOf(stanza, 'SHA256'),
  }
}

/** A one-line field of a stanza; empty where it has none. */
export function fieldOf(stanza: string, key: string): string {
  return new RegExp(`^${key}: (.*)$`, 'm').exec(stanza)?.[1] ?? ''
}
