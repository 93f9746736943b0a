import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { politeHosts } from '../core/hosts.ts'
import { createHttp, type HttpClient, hubUserAgent } from '../core/http-client.ts'
import type { Arch } from '../core/kernel.ts'
import { silentLog } from '../core/log.ts'
import { createSources, type IndexCache, type Listing, memoryIndexCache } from '../crawler/index.ts'
import { SourceFile } from '../crawler/schema.ts'
import {
  addPackage,
  filesBelow,
  makeKey,
  type TestKey,
  type TestKeyOptions,
  type TestSuite,
  writeSuite,
} from './apt-repository.ts'
import { type Loopback, sendStatic, serveLoopback } from './loopback.ts'

/** True where it answered the request itself. */
export type Fault = (req: IncomingMessage, res: ServerResponse, nth: number) => boolean

export interface ListOptions {
  readonly arches?: readonly Arch[]
  readonly suites?: readonly {
    readonly archive: string
    readonly suite: string
    readonly frozen?: boolean
  }[]
  readonly given?: readonly string[]
  readonly cache?: IndexCache
  readonly aptRoot?: string
  readonly signal?: AbortSignal
}

export interface Measured extends Listing {
  readonly bytes: number
  readonly requests: number
}

export const MAIN: TestSuite = { suite: 'bookworm', pool: 'pool/main', arches: ['amd64', 'arm64'] }
export const SECURITY: TestSuite = { suite: 'bookworm-security', pool: 'pool/updates', arches: ['amd64'] }
export const BOTH = [
  { archive: 'main', suite: 'bookworm' },
  { archive: 'security', suite: 'bookworm-security' },
] as const
export const FROZEN = [{ archive: 'main', suite: 'bookworm', frozen: true }] as const

/** What {@link MAIN} offers for amd64: release, version, image, debug package. */
export const BUILDS = [
  '6.1.0-48-amd64 6.1.140-1 linux-image-6.1.0-48-amd64 -',
  '6.1.0-48-amd64 6.1.140-2 linux-image-6.1.0-48-amd64 -',
  '6.1.0-49-rt-amd64 6.1.160-1 linux-image-6.1.0-49-rt-amd64 -',
  '6.1.0-50-amd64 6.1.170-3 linux-image-6.1.0-50-amd64-unsigned linux-image-6.1.0-50-amd64-dbg',
  '6.1.0-50-cloud-amd64 6.1.170-3 - linux-image-6.1.0-50-cloud-amd64-dbg',
]

/** A listing's builds in the form of {@link BUILDS}. */
export function builds(listing: Listing): string[] {
  return listing.packages.map(({ kernel, packageVersion, images, debugs }) =>
    [kernel.release, packageVersion, images[0]?.name ?? '-', debugs[0]?.name ?? '-'].join(' '),
  )
}

/** Small archives by the real tools, loopback mirrors that serve them, and a crawler that lists them. */
export class AptLab {
  readonly work = mkdtempSync(join(tmpdir(), 'btfhub-apt-'))
  readonly root = join(this.work, 'archive')
  readonly #keysDir = join(this.work, 'keys')
  readonly #keys: TestKey[] = []
  readonly #servers: Loopback[] = []
  readonly #clients: HttpClient[] = []
  #key: TestKey | null = null

  /** The key that the crawler knows. */
  get key(): TestKey {
    return (this.#key ??= this.makeKey())
  }

  makeKey(options?: TestKeyOptions): TestKey {
    const key = makeKey(options)
    this.#keys.push(key)
    return key
  }

  /** Makes the crawler know exactly these keys. */
  trust(...keys: readonly TestKey[]): void {
    mkdirSync(this.#keysDir, { recursive: true })
    writeFileSync(join(this.#keysDir, 'test.asc'), keys.map((key) => key.publicKey).join('\n'))
  }

  buildPools(): void {
    const deb = (pool: string, name: string, version: string, ballast = 1, arch = 'amd64'): void =>
      addPackage(this.root, pool, { name, version, arch, ballast })
    deb('pool/main', 'linux-image-6.1.0-50-amd64', '6.1.170-3', 200)
    deb('pool/main', 'linux-image-6.1.0-50-amd64-unsigned', '6.1.170-3', 100)
    deb('pool/main', 'linux-image-6.1.0-50-amd64-dbg', '6.1.170-3', 400)
    deb('pool/main', 'linux-image-6.1.0-50-cloud-amd64-dbg', '6.1.170-3')
    deb('pool/main', 'linux-image-6.1.0-49-rt-amd64', '6.1.160-1')
    deb('pool/main', 'linux-image-6.1.0-48-amd64', '6.1.140-1')
    deb('pool/main', 'linux-image-6.1.0-48-amd64', '6.1.140-2')
    deb('pool/main', 'linux-image-amd64', '6.1.170-3')
    deb('pool/main', 'linux-image-6.1-amd64-dbg', '6.1.170-3')
    deb('pool/main', 'linux-image-6.12.107+deb12-arm64-16k', '6.12.107-1~deb12u1', 1, 'arm64')
    const hello = { name: 'hello', version: '1', arch: 'amd64', depends: 'linux-image-6.1.0-50-amd64' }
    addPackage(this.root, 'pool/main', hello)
    deb('pool/updates', 'linux-image-6.1.0-50-amd64', '6.1.170-3', 200)
    deb('pool/updates', 'linux-image-6.1.0-51-amd64', '6.1.171-1')
  }

  /** The files of an archive with one suite, under `prefix`. */
  archive(prefix: string, suite: TestSuite, signer = this.key): Map<string, Buffer> {
    writeSuite(this.root, suite, signer)
    return new Map([...filesBelow(this.root)].map(([path, bytes]) => [prefix + path, bytes]))
  }

  /** {@link MAIN} and {@link SECURITY} under `/debian` and `/debian-security`. */
  bothArchives(): Map<string, Buffer> {
    return new Map([...this.archive('/debian', MAIN), ...this.archive('/debian-security', SECURITY)])
  }

  /** A mirror that serves these files, but for what `fault` takes over. */
  async mirror(files: ReadonlyMap<string, Buffer>, fault: Fault = () => false): Promise<Loopback> {
    const server = await serveLoopback((req, res, nth) => {
      if (fault(req, res, nth)) return
      const bytes = files.get(decodeURIComponent(req.url ?? ''))
      if (bytes === undefined) res.writeHead(404).end()
      else sendStatic(req, res, bytes)
    })
    this.#servers.push(server)
    return server
  }

  /** Lists what the mirrors offer, as the source's own mirrors. */
  async list(mirrors: readonly Loopback[], options: ListOptions = {}): Promise<Measured> {
    const http = createHttp({
      userAgent: hubUserAgent('https://example.org'),
      hosts: politeHosts,
      log: silentLog,
      env: {},
      files: true,
      bounds: { tries: 2, backoffBaseMs: 5, backoffMaxMs: 10, idleTimeoutMs: 300, maxRedirects: 3 },
    })
    this.#clients.push(http)
    const deps = {
      keysDir: this.#keysDir,
      aptRoot: options.aptRoot ?? null,
      tempDir: this.work,
      now: () => new Date(),
    }
    const [source] = createSources([sourceFile(mirrors, options)], deps)
    if (source === undefined) throw new Error('no source')
    const scope = { versions: [], arches: options.arches ?? ['x86_64'], mirrors: options.given ?? [] }
    const signal = options.signal ?? new AbortController().signal
    const cache = options.cache ?? memoryIndexCache()
    const listing = await source.list(scope, { http, cache, log: silentLog, signal })
    const { bytes, requests } = http.stats()
    return { ...listing, bytes, requests }
  }

  async stopServers(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.close()
    for (const server of this.#servers.splice(0)) await server.close()
  }

  remove(): void {
    for (const key of this.#keys) key.remove()
    rmSync(this.work, { recursive: true, force: true })
  }
}

/** A lab for the tests of one `describe`. */
export function useAptLab(): AptLab {
  const lab = new AptLab()
  beforeAll(() => lab.buildPools())
  beforeAll(() => lab.trust(lab.key))
  afterEach(() => lab.stopServers())
  afterAll(() => lab.remove())
  return lab
}

function sourceFile(mirrors: readonly Loopback[], options: ListOptions): SourceFile {
  const bases = mirrors.length === 0 ? ['http://unused.invalid'] : mirrors.map((server) => server.url)
  return SourceFile.parse({
    id: 'debian',
    distro: 'debian',
    arches: { x86_64: 'amd64', aarch64: 'arm64' },
    politeness: { concurrency: 2, delayMs: 0, because: 'test' },
    indexes: [
      {
        format: 'apt',
        origins: ['Debian'],
        keyrings: { system: [], shipped: ['test.asc'] },
        archives: [
          { id: 'main', name: 'debian', mirrors: bases.map((base) => `${base}/debian`) },
          {
            id: 'security',
            name: 'debian-security',
            mirrors: bases.map((base) => `${base}/debian-security`),
          },
        ],
        components: ['main'],
        versions: { '12': options.suites ?? [{ archive: 'main', suite: 'bookworm' }] },
        names: {
          package: 'linux-image-{release}',
          image: ['linux-image-{release}', 'linux-image-{release}-unsigned'],
          debug: ['linux-image-{release}-dbg'],
          releases: [
            '(?<series>\\d+\\.\\d+)\\.\\d+\\S*?-(?:(?<flavour>[a-z]+)-)?{arch}(?:-(?<variant>\\d+k))?',
          ],
        },
      },
    ],
  })
}
