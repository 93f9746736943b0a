import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach } from 'vitest'
import { politeHosts } from '../../core/hosts.ts'
import { createHttp, type HttpClient, hubUserAgent } from '../../core/http-client.ts'
import type { Arch } from '../../core/kernel.ts'
import { silentLog } from '../../core/log.ts'
import { createSources, type IndexCache, type Listing, memoryIndexCache } from '../../crawler/index.ts'
import { SourceFile } from '../../crawler/schema.ts'
import type { TestKey } from '../apt-repository.ts'
import type { Fault } from '../apt-lab.ts'
import { filesBelow } from '../apt-repository.ts'
import { type Loopback, sendStatic, serveLoopback } from '../loopback.ts'

export interface LabListOptions {
  readonly versions?: readonly string[]
  readonly arches?: readonly Arch[]
  readonly given?: readonly string[]
  readonly again?: boolean
  readonly past?: boolean
  readonly now?: Date
  readonly cache?: IndexCache
  readonly signal?: AbortSignal
}

export interface LabListing extends Listing {
  readonly bytes: number
  readonly requests: number
}

/** A source by nobody's keys: mirrors of a test are signed by none of those that distributions have. */
export function withoutKeys(file: SourceFile): SourceFile {
  const none = { system: [], shipped: [] }
  const indexes = file.indexes.map((index) =>
    'keyrings' in index && index.keyrings !== undefined ? { ...index, keyrings: none } : index,
  )
  const { snapshots, packageKeys: _keys, ...rest } = file
  return {
    ...rest,
    indexes,
    ...(snapshots === undefined ? {} : { snapshots: { ...snapshots, keyrings: none } }),
  }
}

/** A source that asks no package to be signed. */
export function withoutSigning(file: SourceFile): SourceFile {
  const indexes = file.indexes.map((index) =>
    'packages' in index ? { ...index, packages: 'optional' as const } : index,
  )
  return { ...file, indexes }
}

/** A listing's builds as text: kernel, package version, images, debug packages. */
export function buildsOf({ packages }: Listing): string[] {
  return packages.map(({ kernel, packageVersion, flavour, images, debugs }) =>
    [
      `${kernel.distro}/${kernel.version}/${kernel.arch}/${kernel.release}`,
      packageVersion,
      flavour,
      images.map(({ name }) => name).join('+') || '-',
      debugs.map(({ name }) => name).join('+') || '-',
    ].join(' '),
  )
}

/** A folder to build mirrors in, servers for it, and a crawler that lists them. */
export class MirrorLab {
  readonly work = mkdtempSync(join(tmpdir(), 'btfhub-mirrors-'))
  readonly keysDir = join(this.work, 'keys')
  readonly #closers: (() => Promise<unknown>)[] = []

  /** Makes the crawler know exactly this key, as `test.asc`. */
  trust(key: TestKey): void {
    mkdirSync(this.keysDir, { recursive: true })
    writeFileSync(join(this.keysDir, 'test.asc'), key.publicKey)
  }

  /** Serves a folder as it is now, but for what `fault` takes over. */
  async serve(root: string, fault: Fault = () => false): Promise<Loopback> {
    const files = filesBelow(root)
    const server = await serveLoopback((req, res, nth) => {
      if (fault(req, res, nth)) return
      const path = decodeURIComponent(new URL(req.url ?? '/', 'http://x').pathname)
      const bytes = files.get(path)
      if (bytes === undefined) res.writeHead(404).end()
      else sendStatic(req, res, bytes, { etag: `"${path.length}-${bytes.byteLength}-${bytes.at(-9) ?? 0}"` })
    })
    this.onClose(() => server.close())
    return server
  }

  onClose(close: () => Promise<unknown>): void {
    this.#closers.push(close)
  }

  http(): HttpClient {
    const client = createHttp({
      userAgent: hubUserAgent('https://example.org'),
      hosts: politeHosts,
      log: silentLog,
      env: {},
      bounds: { tries: 2, backoffBaseMs: 5, backoffMaxMs: 10, idleTimeoutMs: 300, maxRedirects: 3 },
    })
    this.onClose(() => client.close())
    return client
  }

  /** Lists one source. */
  async list(file: unknown, options: LabListOptions = {}): Promise<LabListing> {
    const http = this.http()
    // No keys and no mirrors of the machine that runs the tests.
    const deps = {
      keysDir: this.keysDir,
      aptRoot: this.work,
      tempDir: this.work,
      now: () => options.now ?? new Date(),
    }
    const [source] = createSources([SourceFile.parse(file)], deps)
    if (source === undefined) throw new Error('no source')
    const { versions = [], arches = [], given = [] } = options
    const listing = await source.list(
      { versions, arches, mirrors: given, again: options.again ?? false, past: options.past ?? true },
      {
        http,
        cache: options.cache ?? memoryIndexCache(),
        log: silentLog,
        signal: options.signal ?? new AbortController().signal,
      },
    )
    const { bytes, requests } = http.stats()
    return { ...listing, bytes, requests }
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close()
  }
}

/** A lab for the tests of one `describe`. */
export function useMirrorLab(): MirrorLab {
  const lab = new MirrorLab()
  afterEach(() => lab.close())
  afterAll(() => rmSync(lab.work, { recursive: true, force: true }))
  return lab
}
