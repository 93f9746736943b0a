import type { Sha256 } from '../../core/digest.ts'
import { sha256Of } from '../../core/digest.ts'
import type { Http } from '../../core/http.ts'
import type { KernelPackage, PackageFile } from '../../core/kernel-package.ts'
import { silentLog } from '../../core/log.ts'
import { TempSpace } from '../../extractor/index.ts'
import { chunks } from '../../extractor/run.fixture.ts'
import type { TestStore } from './store.ts'
import { type Ingested, ingest, type IngestOptions } from '../../cli/hub/ingest.ts'

/** Packages on a mirror that is memory, and builds made of them. */
export class IngestLab {
  readonly store: TestStore
  readonly #files = new Map<string, Uint8Array>()
  /** URLs in the order in which they were asked for. */
  readonly asked: string[] = []

  constructor(store: TestStore) {
    this.store = store
  }

  /** A package that the mirror has; `indexed` is what its index says of the bytes, where that is not the truth. */
  file(name: string, bytes: Uint8Array, indexed: Uint8Array | null = bytes): PackageFile {
    const url = `https://kernels.example/${name}`
    this.#files.set(url, bytes)
    const sha256: Sha256 | null = indexed === null ? null : sha256Of(indexed)
    return { name, version: '1', urls: [url], sizeBytes: bytes.byteLength, sha256, signed: true }
  }

  remove(file: PackageFile): void {
    for (const url of file.urls) this.#files.delete(url)
  }

  pkg(release: string, parts: Partial<KernelPackage>): KernelPackage {
    return {
      kernel: { distro: 'ol', version: '7', arch: 'x86_64', release },
      source: 'ol',
      packageName: `kernel-uek-${release}`,
      packageVersion: '1',
      flavour: 'uek',
      series: 'ol/7/4.14',
      images: [],
      debugs: [],
      ...parts,
    }
  }

  ingest(pkg: KernelPackage, options: Partial<IngestOptions> = {}): Promise<Ingested> {
    const http: Http = {
      document: () => Promise.resolve(null),
      stream: (url) => {
        this.asked.push(url)
        const bytes = this.#files.get(url)
        if (bytes === undefined) return Promise.resolve(null)
        const facts = { url, etag: null, lastModified: null, sizeBytes: bytes.byteLength }
        return Promise.resolve({ ...facts, bytes: chunks(bytes), discard: () => Promise.resolve() })
      },
    }
    const deps = {
      http,
      catalog: this.store.catalog,
      blobs: this.store.blobs,
      tempDir: this.store.tempDir,
      tempSpace: new TempSpace(this.store.tempDir),
      log: silentLog,
      now: () => new Date(),
    }
    const { signal } = new AbortController()
    const all = { forceDwarf: false, verify: true, jobs: 2, signal, onProgress: () => undefined, ...options }
    return ingest(pkg, all, deps)
  }
}
