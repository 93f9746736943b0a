import { rm } from 'node:fs/promises'
import { BtfError, PT_LOAD } from '../btf/index.ts'
import { readAltLink } from './alt-link.ts'
import type { ByteStream } from './byte-stream.ts'
import { readElfHead } from './elf-head.ts'
import { KernelScanner, SCAN_HEAD_BYTES } from './scan.ts'
import { type Found, foundIn, type Job } from './found.ts'
import { ExtractError } from './types.ts'
import { hasDwarf, VmlinuxFile } from './vmlinux-file.ts'

/** What waits in memory for the BTF to appear; the loaded part of a vmlinux has some 45 MB. */
const MAX_HELD_BYTES = 128 << 20

/**
 * Looks for BTF in an ELF as it streams by, and keeps it in case that there is none: first in memory, where the
 * loaded segments are, which have the BTF; then, as DWARF wants to be seeked in, in the job's temporary file.
 */
export async function searchElf(file: ByteStream, job: Job, sizeBytes: number | null): Promise<Found | null> {
  const head = await file.peek(SCAN_HEAD_BYTES)
  const scanner = new KernelScanner(head, { ...job, btf: !job.forceDwarf })
  const vmlinux = new Spill(job, sizeBytes, job.forceDwarf ? 0 : loadedBytes(head))
  try {
    for await (const chunk of file.rest()) {
      if (!scanner.complete) scanner.push(chunk)
      if (scanner.facts().btf === null) await vmlinux.write(chunk)
      else if (scanner.complete) break
    }
    if (!scanner.complete) scanner.push(new Uint8Array(0), true)
    const facts = scanner.facts()
    if (facts.btf !== null || facts.stranger !== null) return foundIn(file.name, facts, job)
    await vmlinux.finish()
    if (dwarfIn(job.tempPath, file.name)) {
      const altLink = await readAltLink(job.tempPath, file.name)
      return { kind: 'vmlinux', path: job.tempPath, altLink, ...facts, warnings: facts.refused }
    }
    await rm(job.tempPath)
    return foundIn(file.name, facts, job)
  } finally {
    await vmlinux.close()
  }
}

function loadedBytes(head: Uint8Array): number {
  const segments = readElfHead(head)?.segments.filter((segment) => segment.type === PT_LOAD) ?? []
  const ends = segments.map((segment) => segment.offset + segment.sizeBytes)
  return Math.min(MAX_HELD_BYTES, Math.max(0, ...ends))
}

function dwarfIn(path: string, name: string): boolean {
  try {
    return hasDwarf(path)
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new ExtractError('MALFORMED', `${name}: truncated or damaged`, { cause: err })
  }
}

/** Bytes that are held in memory up to a limit, and written from then on. */
class Spill {
  readonly #job: Job
  readonly #sizeBytes: number | null
  readonly #heldLimit: number
  #held: Uint8Array[] = []
  #heldBytes = 0
  #file: VmlinuxFile | null = null

  constructor(job: Job, sizeBytes: number | null, heldLimit: number) {
    this.#job = job
    this.#sizeBytes = sizeBytes
    this.#heldLimit = heldLimit
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#file !== null) return await this.#file.write(chunk)
    this.#held.push(chunk)
    this.#heldBytes += chunk.byteLength
    if (this.#heldBytes > this.#heldLimit) await this.#spill()
  }

  /** All that was written is in the file, which is closed. */
  async finish(): Promise<void> {
    if (this.#file === null) await this.#spill()
    await this.#file?.finish()
  }

  async close(): Promise<void> {
    this.#held = []
    await this.#file?.close()
  }

  async #spill(): Promise<void> {
    const held = this.#held
    this.#held = []
    const { tempPath, tempSpace, signal } = this.#job
    this.#file = await VmlinuxFile.create(tempPath, this.#sizeBytes, tempSpace, signal)
    for (const chunk of held) await this.#file.write(chunk)
  }
}
