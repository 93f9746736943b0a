import { type FileHandle, open } from 'node:fs/promises'
import { findSection } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { elfAt } from './elf-file.ts'
import type { Reservation, TempSpace } from './temp-space.ts'
import { ExtractError } from './types.ts'

/** Writes gathered, so that a vmlinux in pipe-sized pieces does not cost ten thousand calls. */
const GATHER_BYTES = 1 << 20

/** A vmlinux on its way to a temporary file, where pahole can seek in it. */
export class VmlinuxFile {
  readonly path: string
  readonly #file: FileHandle
  readonly #reservation: Reservation | null
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #sizeBytes = 0

  private constructor(path: string, file: FileHandle, reservation: Reservation | null) {
    this.path = path
    this.#file = file
    this.#reservation = reservation
  }

  /**
   * Begins a file that will have `sizeBytes` (null where nobody knows), in a folder that exists, when there is room
   * for it. Throws ExtractError `LIMIT` where that is more than a vmlinux has, or than there will be room for.
   */
  static async create(
    path: string,
    sizeBytes: number | null,
    space: TempSpace,
    signal: AbortSignal,
  ): Promise<VmlinuxFile> {
    if (sizeBytes !== null) checkSize(sizeBytes)
    const reservation = sizeBytes === null ? null : await space.reserve(sizeBytes, signal)
    try {
      return new VmlinuxFile(path, await open(path, 'wx', 0o600), reservation)
    } catch (err) {
      reservation?.release()
      throw err
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    checkSize((this.#sizeBytes += chunk.byteLength))
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.byteLength
    if (this.#waitingBytes >= GATHER_BYTES) await this.#flush()
  }

  /** Writes what waits and closes the file, which stays. */
  async finish(): Promise<void> {
    await this.#flush()
    await this.close()
  }

  async close(): Promise<void> {
    this.#reservation?.release()
    await this.#file.close()
  }

  async #flush(): Promise<void> {
    const chunks = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    if (chunks.length === 0) return
    const whole = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
    try {
      const { bytesWritten } = await this.#file.writev(chunks)
      // A disk that fills up takes a part, and says so only at the next write.
      if (bytesWritten < whole) await this.#file.appendFile(Buffer.concat(chunks).subarray(bytesWritten))
      this.#reservation?.wrote(whole)
    } catch (err) {
      throw new ExtractError('NO_SPACE', `${this.path}: cannot be written`, { cause: err })
    }
  }
}

/** True where the ELF file at `path` has DWARF, plain or compressed. Throws BtfError where its headers do not hold. */
export function hasDwarf(path: string): boolean {
  const elf = elfAt(path)
  return ['.debug_info', '.zdebug_info'].some((name) => (findSection(elf, name)?.sizeBytes ?? 0) > 0)
}

function checkSize(sizeBytes: number): void {
  if (sizeBytes > limits.vmlinux.maxBytes) {
    throw new ExtractError(
      'LIMIT',
      `vmlinux of ${sizeBytes} bytes or more, ${limits.vmlinux.maxBytes} are allowed`,
    )
  }
}
