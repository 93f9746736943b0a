import { type FileHandle, open } from 'node:fs/promises'
import { BtfError, type Elf, findSection } from '../btf/index.ts'
import { limits } from '../core/limits.ts'
import { LINK_SECTIONS, readAltLink } from './alt-link.ts'
import { ByteStream } from './byte-stream.ts'
import { type Move, type Moves, Rebase } from './dwarf-rebase.ts'
import { Form } from './dwarf-forms.ts'
import { UNIT_LENGTH_BYTES, unitBytes } from './dwarf-unit.ts'
import { changeSection, elfAt, piecesOf, renameSection } from './elf-file.ts'
import { type Unpacking, unpackDebugSections } from './plain-sections.ts'
import { type Reservation, TempSpace } from './temp-space.ts'
import { ExtractError } from './types.ts'

const ET_REL = 1

/** A file's DWARF, as far as it is moved. */
interface Part {
  readonly file: FileHandle
  readonly elf: Elf
  readonly name: string
}

/** Sections that get the other file's bytes behind their own. */
const MERGED = ['.debug_info', '.debug_abbrev', '.debug_str', '.debug_line_str'] as const
type Merged = (typeof MERGED)[number]

/**
 * Makes one of two files that `dwz -m` shared the DWARF of: the other file's units, abbreviations and strings go behind
 * those of `vmlinux`, whose references to them become references within the section, of the same width (in DWARF 5:
 * DW_FORM_ref_addr and DW_FORM_strp, 7.5.6). Both files are ours to change. The new sections are at the end of
 * `vmlinux`, and nothing in it leads to another file any more: pahole up to 1.30 takes what the references say for
 * places in the file that it reads, and libdwfl would look for the other one by itself.
 * Line tables stay where they are: types have no use for them.
 * Throws ExtractError `MALFORMED`, `UNSUPPORTED`, `LIMIT` and `NO_SPACE`.
 */
export async function mergeAlt(vmlinux: string, alt: string, how: Unpacking): Promise<void> {
  await unpackDebugSections(vmlinux, 'all', how)
  const otherName = `${how.name}: the file that its DWARF goes on in`
  await unpackDebugSections(alt, 'all', { ...how, name: otherName })
  if ((await readAltLink(alt, otherName)) !== null) {
    throw new ExtractError('MALFORMED', `${otherName} goes on in a third one`)
  }
  const [file, otherFile] = [await open(vmlinux, 'r+'), await open(alt, 'r')]
  try {
    const main = { file, elf: headers(vmlinux, how.name), name: how.name }
    const other = { file: otherFile, elf: headers(alt, otherName), name: otherName }
    check(main, other)
    await merge(main, other, how)
  } finally {
    await file.close()
    await otherFile.close()
  }
}

function headers(path: string, name: string): Elf {
  try {
    return elfAt(path)
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new ExtractError('MALFORMED', `${name}: truncated or damaged`, { cause: err })
  }
}

function check(main: Part, other: Part): void {
  if (main.elf.type === ET_REL) {
    throw new ExtractError('UNSUPPORTED', `${main.name}: relocatable, and its DWARF goes on in another file`)
  }
  if (main.elf.endian !== other.elf.endian) {
    throw new ExtractError('MALFORMED', `${other.name} has the other byte order`)
  }
  for (const name of MERGED) {
    // Where all strings are shared, dwz leaves the section out, and one with the link becomes it.
    const hasPlace = name === '.debug_str' || findSection(main.elf, name) !== null
    if (hasPlace || sizeOf(other, name) === 0) continue
    throw new ExtractError('UNSUPPORTED', `${main.name}: has no ${name}, the file that it goes on in has`)
  }
}

async function merge(main: Part, other: Part, how: Unpacking): Promise<void> {
  const { size } = await main.file.stat()
  const wanted = MERGED.reduce((sum, name) => sum + sizeOf(main, name) + sizeOf(other, name) + ALIGN, 0)
  if (size + wanted > limits.vmlinux.maxBytes) {
    const text = `${size + wanted} bytes with the other file’s DWARF, vmlinux may have ${limits.vmlinux.maxBytes}`
    throw new ExtractError('LIMIT', `${how.name}: ${text}`)
  }
  const room = await (how.space ?? new TempSpace(how.tempDir)).reserve(wanted, how.signal)
  try {
    const tail = new Tail(main, size, room, how.signal)
    const [ours, theirs] = [
      await rebaseOf(main, movesToOther(main, other)),
      await rebaseOf(other, movesBehind(main, other)),
    ]
    await endLink(main)
    await tail.section('.debug_info', units(main, '.debug_info', ours), units(other, '.debug_info', theirs))
    await rebaseInPlace(main, '.debug_types', ours)
    await tail.section('.debug_abbrev', [ours.finish()], [theirs.finish()])
    for (const name of ['.debug_str', '.debug_line_str'] as const) {
      if (sizeOf(other, name) > 0) await tail.section(name, bytesOf(main, name), bytesOf(other, name))
    }
  } finally {
    room.release()
  }
}

/** What refers to the other file, of one whose bytes that file's come behind. */
function movesToOther(main: Part, other: Part): Moves {
  const entry = { as: Form.ref_addr, by: sizeOf(main, '.debug_info'), below: sizeOf(other, '.debug_info') }
  const text = { as: Form.strp, by: sizeOf(main, '.debug_str'), below: sizeOf(other, '.debug_str') }
  const byForm = new Map<number, Move>([
    [Form.GNU_ref_alt, entry],
    [Form.ref_sup4, entry],
    [Form.ref_sup8, entry],
    [Form.GNU_strp_alt, text],
    [Form.strp_sup, text],
  ])
  return { byForm, refused: new Set(), abbreviationsBy: 0 }
}

/** What refers to places in the other file itself, which come behind `main`'s. */
function movesBehind(main: Part, other: Part): Moves {
  const within = (as: number, name: Merged): [number, Move] => [
    as,
    { as, by: sizeOf(main, name), below: sizeOf(other, name) },
  ]
  return {
    byForm: new Map([
      within(Form.ref_addr, '.debug_info'),
      within(Form.strp, '.debug_str'),
      within(Form.line_strp, '.debug_line_str'),
    ]),
    refused: NOT_IN_OTHER,
    abbreviationsBy: sizeOf(main, '.debug_abbrev'),
  }
}

/** Forms that lead to a third file, or through tables of strings that are not moved: dwz writes none. */
const NOT_IN_OTHER: ReadonlySet<number> = new Set([
  Form.GNU_ref_alt,
  Form.GNU_strp_alt,
  Form.ref_sup4,
  Form.ref_sup8,
  Form.strp_sup,
  Form.strx,
  Form.strx1,
  Form.strx2,
  Form.strx3,
  Form.strx4,
  Form.GNU_str_index,
])

async function rebaseOf(part: Part, moves: Moves): Promise<Rebase> {
  const sizeBytes = sizeOf(part, '.debug_abbrev')
  if (sizeBytes > limits.dwarf.maxAbbrevBytes) {
    const text = `.debug_abbrev of ${sizeBytes} bytes, ${limits.dwarf.maxAbbrevBytes} are allowed`
    throw new ExtractError('LIMIT', `${part.name}: ${text}`)
  }
  const chunks: Uint8Array[] = []
  for await (const piece of bytesOf(part, '.debug_abbrev')) chunks.push(piece)
  return new Rebase(Buffer.concat(chunks), part.elf.endian === 'little', moves, part.name)
}

/** The units of a section, whole and rebased. */
async function* units(part: Part, name: string, rebase: Rebase): AsyncGenerator<Uint8Array, void, undefined> {
  const stream = new ByteStream(bytesOf(part, name), `${part.name}: ${name}`)
  for (;;) {
    const head = await stream.peek(UNIT_LENGTH_BYTES)
    if (head.byteLength === 0) return
    const sizeBytes = unitBytes(head, part.elf.endian === 'little')
    if (sizeBytes === null)
      throw new ExtractError('MALFORMED', `${stream.name}: no unit at byte ${stream.position}`)
    if (sizeBytes > limits.dwarf.maxUnitBytes) {
      const text = `a unit of ${sizeBytes} bytes, ${limits.dwarf.maxUnitBytes} are allowed`
      throw new ExtractError('LIMIT', `${stream.name}: ${text}`)
    }
    const unit = await stream.read(sizeBytes, 'a unit')
    rebase.unit(unit, name)
    yield unit
  }
}

async function rebaseInPlace(main: Part, name: string, rebase: Rebase): Promise<void> {
  let at = findSection(main.elf, name)?.offset ?? 0
  for await (const unit of units(main, name, rebase)) {
    await main.file.write(unit, 0, unit.byteLength, at)
    at += unit.byteLength
  }
}

function bytesOf({ file, elf }: Part, name: string): AsyncGenerator<Uint8Array, void, undefined> {
  return piecesOf(file, findSection(elf, name) ?? { offset: 0, sizeBytes: 0 })
}

function sizeOf({ elf }: Part, name: Merged): number {
  return findSection(elf, name)?.sizeBytes ?? 0
}

/** Makes links lead nowhere. */
async function endLink({ file, elf }: Part): Promise<void> {
  for (const [index, { name }] of elf.sections.entries()) {
    if (isLink(name)) await changeSection(file, elf, index, { offset: 0, sizeBytes: 0 })
  }
}

/** The index of a section, of one with a link where there is none of that name. */
async function sectionFor({ file, elf, name: fileName }: Part, name: Merged): Promise<number> {
  const index = elf.sections.findIndex((section) => section.name === name)
  if (index >= 0) return index
  const spare = elf.sections.findIndex((section) => isLink(section.name))
  if (await renameSection(file, elf, spare, name)) return spare
  throw new ExtractError('UNSUPPORTED', `${fileName}: has no ${name}, and no room for its name`)
}

function isLink(name: string): boolean {
  return LINK_SECTIONS.some((link) => link === name)
}

/** Writes gathered: units can be as small as a hundred bytes. */
const GATHER_BYTES = 1 << 20
const ALIGN = 16

/** New sections, one after the other behind the end of a file. */
class Tail {
  readonly #main: Part
  readonly #room: Reservation
  readonly #signal: AbortSignal
  #end: number

  constructor(main: Part, end: number, room: Reservation, signal: AbortSignal) {
    this.#main = main
    this.#end = end
    this.#room = room
    this.#signal = signal
  }

  /** Writes the section `name`, which is that of now on. */
  async section(name: Merged, ...parts: readonly Pieces[]): Promise<void> {
    const offset = Math.ceil(this.#end / ALIGN) * ALIGN
    this.#end = offset
    let waiting: Uint8Array[] = []
    let waitingBytes = 0
    for (const part of parts) {
      for await (const piece of part) {
        waiting.push(piece)
        waitingBytes += piece.byteLength
        if (waitingBytes < GATHER_BYTES) continue
        await this.#write(waiting, waitingBytes)
        ;[waiting, waitingBytes] = [[], 0]
      }
    }
    if (waitingBytes > 0) await this.#write(waiting, waitingBytes)
    await changeSection(this.#main.file, this.#main.elf, await sectionFor(this.#main, name), {
      offset,
      sizeBytes: this.#end - offset,
    })
  }

  async #write(pieces: readonly Uint8Array[], sizeBytes: number): Promise<void> {
    this.#signal.throwIfAborted()
    try {
      const { bytesWritten } = await this.#main.file.writev(pieces, this.#end)
      if (bytesWritten < sizeBytes) throw new Error(`${bytesWritten} of ${sizeBytes} bytes were written`)
    } catch (err) {
      throw new ExtractError('NO_SPACE', `${this.#main.name}: cannot be written`, { cause: err })
    }
    this.#end += sizeBytes
    this.#room.wrote(sizeBytes)
  }
}

type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>
