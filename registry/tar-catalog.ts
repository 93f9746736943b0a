import { setImmediate } from 'node:timers/promises'
import { describeError } from '../core/errors.ts'
import { archiveArch, type Kernel } from '../core/kernel.ts'
import type { Sha256 } from '../core/digest.ts'
import type { KernelEntry } from '../core/resolve/kernel-index.ts'
import type { Build } from '../store/types.ts'
import { derivedFormOf } from './forms.ts'
import type { Hub } from './hub.ts'
import type { Snapshot } from './snapshots.ts'

/** Datadog's schema: architecture, distribution, version, release. */
export type TarTree = Record<string, Record<string, Record<string, Record<string, { sha256: Sha256 }>>>>

export interface TarCatalogAnswer {
  readonly tree: TarTree
  /** Kernels that are not in it because their `tar.xz` is still to be made. */
  readonly pending: number
}

/** What of a hub this needs. */
type Parts = Pick<Hub, 'catalog' | 'derived' | 'snapshots' | 'log' | 'draining'>

/** Lookups between which requests are answered. */
const LOOKUPS_AT_ONCE = 100
/** A catalog that is not complete yet is put together again at most once in this while. */
const FRESH_MS = 5_000

/**
 * The digests of all kernels' `tar.xz`. Making one takes seconds, so a catalog has those that are made already, and from
 * the first time that somebody asks for it, the others are made in the background, one at a time. A kernel whose path
 * answers "ambiguous" is not in it.
 */
export class TarCatalog {
  readonly #hub: Parts
  #answer: {
    readonly snapshotId: number
    readonly at: number
    readonly value: Promise<TarCatalogAnswer>
  } | null = null
  #making: Promise<void> | null = null

  constructor(hub: Parts) {
    this.#hub = hub
  }

  /** Throws what the catalog throws. */
  async get(): Promise<TarCatalogAnswer> {
    const snapshot = await this.#hub.snapshots.get()
    const known = this.#answer
    if (known !== null && known.snapshotId === snapshot.id && performance.now() < known.at + FRESH_MS) {
      return known.value
    }
    const answer = { snapshotId: snapshot.id, at: performance.now(), value: this.#look(snapshot) }
    this.#answer = answer
    answer.value.catch(() => {
      if (this.#answer === answer) this.#answer = null
    })
    return answer.value
  }

  /** Waits until what was being made is made; a hub that is draining makes no more. */
  async settle(): Promise<void> {
    await this.#making
  }

  async #look(snapshot: Snapshot): Promise<TarCatalogAnswer> {
    const tree: TarTree = { x86_64: {}, arm64: {} }
    const missing: KernelEntry<Build>[] = []
    let looked = 0
    for (const entry of snapshot.kernels.entries) {
      if (new Set(entry.builds.map((build) => build.layoutDigest)).size > 1) continue
      if (++looked % LOOKUPS_AT_ONCE === 0) await setImmediate()
      const [build] = entry.builds
      const form = derivedFormOf(entry.kernel, 'tar.xz')
      const made = build === undefined ? null : await this.#hub.catalog.derived(build.btf.digest, form)
      if (made === null) missing.push(entry)
      else putTar(tree, entry.kernel, made.digest)
    }
    if (missing.length > 0) this.#making ??= this.#make(missing).finally(() => (this.#making = null))
    return { tree, pending: missing.length }
  }

  async #make(entries: readonly KernelEntry<Build>[]): Promise<void> {
    for (const { kernel, builds } of entries) {
      if (this.#hub.draining) return
      const [build] = builds
      if (build === undefined) continue
      try {
        await this.#hub.derived.get(build.btf.digest, derivedFormOf(kernel, 'tar.xz'))
      } catch (err) {
        this.#hub.log.warn({ kernel, err: describeError(err) }, 'a tar.xz could not be made')
      }
    }
  }
}

/** Adds a kernel's `tar.xz` to a catalog. */
export function putTar(tree: TarTree, kernel: Kernel, sha256: Sha256): void {
  const distros = (tree[archiveArch(kernel.arch)] ??= {})
  const versions = (distros[kernel.distro] ??= {})
  const releases = (versions[kernel.version] ??= {})
  releases[kernel.release] = { sha256 }
}

/** A catalog as text, with Datadog's four blanks. */
export function formatTarTree(tree: TarTree): string {
  return `${JSON.stringify(tree, null, 4)}\n`
}
