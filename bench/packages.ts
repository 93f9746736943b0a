import { existsSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../core/log.ts'
import { politeHosts } from '../core/hosts.ts'
import { createHttp, hubUserAgent } from '../core/http-client.ts'
import type { PackageFile } from '../core/kernel-package.ts'
import { limits } from '../core/limits.ts'
import { packageRoot } from '../core/version.ts'
import { createSources, loadSources, memoryIndexCache } from '../crawler/index.ts'

/** A kernel's two packages as files on this machine. */
export interface PackagePair {
  readonly release: string
  readonly dir: string
  readonly image: string
  readonly debug: string
  readonly imageBytes: number
  readonly debugBytes: number
}

/** Where real packages are kept between runs. */
export function cacheDir(): string {
  return process.env['BTFHUB_TEST_CACHE'] ?? join(tmpdir(), 'btfhub-test-cache')
}

/** The newest kernel of Debian 12, of such releases, that the mirror has with its debug package, downloaded once. */
export async function debianPair(releases = /^6\.1\..*-cloud-amd64$/): Promise<PackagePair> {
  const http = createHttp({ userAgent: hubUserAgent('bench'), hosts: politeHosts, log: silentLog })
  try {
    const files = await loadSources(join(packageRoot, 'data/sources'))
    const deps = {
      keysDir: join(packageRoot, 'data/keys'),
      aptRoot: '/',
      tempDir: tmpdir(),
      now: () => new Date(),
    }
    const sources = createSources(
      files.filter((file) => file.id === 'debian'),
      deps,
    )
    const signal = new AbortController().signal
    const scope = { versions: ['12'], arches: ['x86_64' as const], mirrors: [] }
    const context = { http, cache: memoryIndexCache(), log: silentLog, signal }
    const listings = await Promise.all(sources.map((source) => source.list(scope, context)))
    const pair = listings
      .flatMap((listing) => listing.packages)
      .filter((pkg) => releases.test(pkg.kernel.release) && pkg.images.length > 0 && pkg.debugs.length > 0)
      .at(-1)
    const [image] = pair?.images ?? []
    const [debug] = pair?.debugs ?? []
    if (pair === undefined || image === undefined || debug === undefined)
      throw new Error(`Debian 12 has no kernel ${String(releases)} with debug package`)
    const dir = join(cacheDir(), 'packages')
    await mkdir(dir, { recursive: true })
    const fetchFile = async (file: PackageFile): Promise<string> => {
      const name = `${file.name}_${file.version}.deb`
      if (existsSync(join(dir, name))) return name
      for (const url of file.urls) {
        const stream = await http.stream(url, { signal, maxBytes: limits.package.maxBytes })
        if (stream === null) continue
        const temp = join(dir, `.${name}.${process.pid}`)
        await writeFile(temp, stream.bytes)
        await rename(temp, join(dir, name))
        return name
      }
      throw new Error(`${file.name}: no mirror has it`)
    }
    return {
      release: pair.kernel.release,
      dir,
      image: await fetchFile(image),
      debug: await fetchFile(debug),
      imageBytes: image.sizeBytes ?? 0,
      debugBytes: debug.sizeBytes ?? 0,
    }
  } finally {
    await http.close()
  }
}
