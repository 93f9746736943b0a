import { bannerRelease } from '../core/kernel.ts'
import type { Tracker } from './scan.ts'

const START = 'Linux version '
/** Longer than any: compilers print a line of their own into it, of up to 200 bytes. */
const MAX_BYTES = 1024
/**
 * init/version.c: release, builder, compiler, then UTS_VERSION, which starts with `#` and the build's number, and a
 * newline. The format string that /proc/version is printed with, and what drivers say about Linux versions, is unlike it.
 */
const BANNER = /^Linux version \S+ \([^\n]*\) [^\n]*#\d[^\n]*\n$/

/** Finds `linux_banner`, the text of /proc/version, in an unpacked kernel. */
export class BannerTracker implements Tracker {
  readonly #release: string | null
  #from = 0
  /** Without the newline. */
  banner: string | null = null
  /** A well-formed banner that names another release than the wanted one. */
  stranger: string | null = null

  /** Where a release is given, only its own banner counts. */
  constructor(release: string | null) {
    this.#release = release
  }

  get settled(): boolean {
    return this.banner !== null
  }

  scan(bytes: Buffer, base: number, isLast: boolean): number {
    for (;;) {
      const at = bytes.indexOf(START, Math.max(this.#from - base, 0), 'latin1')
      if (at < 0) return base + bytes.byteLength - (START.length - 1)
      const end = bytes.subarray(at, at + MAX_BYTES).indexOf(0)
      if (end < 0 && at + MAX_BYTES > bytes.byteLength && !isLast) return base + at
      this.#from = base + at + Math.max(end, START.length)
      if (end > 0) this.#take(bytes.toString('utf8', at, at + end))
      if (this.settled) return base + bytes.byteLength
    }
  }

  #take(text: string): void {
    if (!BANNER.test(text)) return
    const line = text.slice(0, -1)
    if (this.#release === null || bannerRelease(line) === this.#release) this.banner = line
    else this.stranger = line
  }
}
