import { isElf } from '../btf/index.ts'
import type { ByteStream } from './byte-stream.ts'
import { readElfHead } from './elf-head.ts'
import { BannerTracker } from './scan-banner.ts'
import { BtfTracker } from './scan-btf.ts'
import { ElfBuildIdTracker, FlatBuildIdTracker } from './scan-build-id.ts'
import { soundBtf } from './sound-btf.ts'
import type { Expected } from './types.ts'

/** Looks for one thing in a stream that is shown piece by piece. */
export interface Tracker {
  /** Found, or known not to be there. */
  readonly settled: boolean
  /**
   * Looks at the bytes from offset `base` of the stream on; `isLast` where no more will come. Gives the offset from
   * which it has to see the bytes again, together with what follows.
   */
  scan(bytes: Buffer, base: number, isLast: boolean): number
}

/** What an unpacked kernel says about itself. */
export interface KernelFacts {
  /** Parsed whole and checked; null where the kernel has none, or it was not looked for. */
  readonly btf: Uint8Array | null
  /** What its check found odd. */
  readonly warnings: readonly string[]
  /** Why BTF of a kernel's size was refused. */
  readonly refused: readonly string[]
  readonly buildId: string | null
  readonly banner: string | null
  /** Well-formed banner of another release than the wanted one, where its own was not found. */
  readonly stranger: string | null
}

/** What is looked for in a kernel. */
export interface Wanted {
  readonly release: string | null
  readonly btf: boolean
  readonly expected: Expected | null
}

/** The header and the program headers of an ELF kernel. */
export const SCAN_HEAD_BYTES = 4096

/**
 * Looks for BTF, banner and build-id in an unpacked kernel as it streams by, in one pass; nothing is kept but what is
 * found. Section headers are not needed: compressed kernels may lack them, and they come last.
 */
export class KernelScanner {
  readonly #btf: BtfTracker | null
  readonly #banner: BannerTracker
  readonly #buildId: ElfBuildIdTracker | FlatBuildIdTracker
  #carry: Buffer = Buffer.alloc(0)
  /** Offset of the carry's first byte. */
  #base = 0

  /** `head`: the kernel's first {@link SCAN_HEAD_BYTES}, which are to be pushed as well. */
  constructor(head: Uint8Array, wanted: Wanted) {
    this.#btf = wanted.btf ? new BtfTracker((bytes) => soundBtf(bytes, wanted.expected)) : null
    this.#banner = new BannerTracker(wanted.release)
    const elf = isElf(head) ? readElfHead(head) : null
    this.#buildId = elf === null ? new FlatBuildIdTracker() : new ElfBuildIdTracker(elf)
  }

  get #trackers(): Tracker[] {
    const all = [this.#btf, this.#banner, this.#buildId]
    return all.filter((tracker) => tracker !== null && !tracker.settled) as Tracker[]
  }

  /** True when there is nothing left to look for. */
  get complete(): boolean {
    return this.#trackers.length === 0
  }

  /** Looks at the next bytes. They must not change afterwards. */
  push(chunk: Uint8Array, isLast = false): void {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const bytes = this.#carry.byteLength === 0 ? fresh : Buffer.concat([this.#carry, fresh])
    const end = this.#base + bytes.byteLength
    let keep = end
    for (const tracker of this.#trackers) keep = Math.min(keep, tracker.scan(bytes, this.#base, isLast))
    keep = Math.max(keep, this.#base)
    // A copy: the few bytes that are kept must not hold a buffer of megabytes.
    this.#carry = Buffer.from(bytes.subarray(keep - this.#base))
    this.#base = keep
  }

  /** What was found, after the last push. */
  facts(): KernelFacts {
    return {
      btf: this.#btf?.btf ?? null,
      warnings: this.#btf?.warnings ?? [],
      refused: this.#btf?.refused ?? [],
      buildId: this.#buildId.buildId,
      banner: this.#banner.banner,
      stranger: this.#banner.settled ? null : this.#banner.stranger,
    }
  }
}

/** Reads an unpacked kernel until all is found, or to its end.  */
export async function scanKernel(kernel: ByteStream, wanted: Wanted): Promise<KernelFacts> {
  const scanner = new KernelScanner(await kernel.peek(SCAN_HEAD_BYTES), wanted)
  for await (const chunk of kernel.rest()) {
    scanner.push(chunk)
    if (scanner.complete) return scanner.facts()
  }
  scanner.push(new Uint8Array(0), true)
  return scanner.facts()
}
