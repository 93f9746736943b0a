import { readAbbreviation } from './dwarf-abbrev.ts'
import { formSize, type FormSize, type UnitShape } from './dwarf-forms.ts'
import { readUnitHead, type UnitHead } from './dwarf-unit.ts'
import { ExtractError } from './types.ts'

/** What becomes of the values of one form. */
export interface Move {
  /** The form that they have afterwards, of the same width. */
  readonly as: number
  /** Added to each. */
  readonly by: number
  /** Bytes of the section that they point into: each is less before it is moved. */
  readonly below: number
}

/** Which values of a file's DWARF point to other places from now on, and which forms it may not have. */
export interface Moves {
  readonly byForm: ReadonlyMap<number, Move>
  readonly refused: ReadonlySet<number>
  /** Added to the offset of each unit's abbreviations. */
  readonly abbreviationsBy: number
}

/** Steps of passing over an entry; each is followed by its operand. */
const SKIP = 0
const LEB = 1
const STRING = 2
const BLOCK1 = 3
const BLOCK2 = 4
const BLOCK4 = 5
const BLOCK = 6
const INDIRECT = 7
/** Operand: an index of a move. */
const MOVE4 = 8
const MOVE8 = 9

const STEPS: Readonly<Record<Exclude<FormSize, number>, number>> = {
  leb: LEB,
  string: STRING,
  block1: BLOCK1,
  block2: BLOCK2,
  block4: BLOCK4,
  block: BLOCK,
  indirect: INDIRECT,
}

/** How the entries of a unit are passed over, by the codes of their abbreviations. */
interface Table {
  readonly steps: ReadonlyMap<number, Int32Array>
  readonly moves: readonly Move[]
}

/** Abbreviations are read once for each shape of unit that uses them, of which a file has one or two. */
const MAX_READS = 16

/**
 * Moves the values of units that are given one after the other, and in the end the forms in their abbreviations.
 * Passing over an entry takes the forms of its attributes alone: what they mean does not matter.
 * All is changed in place. Time is in proportion to the bytes, whatever they are.
 */
export class Rebase {
  readonly #abbrev: Uint8Array
  readonly #moves: Moves
  readonly #isLittle: boolean
  readonly #name: string
  readonly #tables = new Map<string, Table>()
  readonly #changes = new Map<number, { readonly sizeBytes: number; readonly form: number }>()
  #abbrevBytesRead = 0

  /** `abbrev` is the whole section of the file that messages call `name`. */
  constructor(abbrev: Uint8Array, isLittle: boolean, moves: Moves, name: string) {
    this.#abbrev = abbrev
    this.#moves = moves
    this.#isLittle = isLittle
    this.#name = name
  }

  /**
   * Moves the values of one whole unit of `section`. Throws ExtractError `MALFORMED` where its bytes contradict their
   * abbreviations or a value is out of range, `UNSUPPORTED` where a form is unknown or cannot be moved.
   */
  unit(bytes: Uint8Array, section: string): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const head = readUnitHead(view, this.#isLittle, section, this.#name)
    const table = this.#table(head)
    if (this.#moves.abbreviationsBy > 0) {
      const { abbrevOffset, abbrevOffsetAt, offsetBytes } = head
      this.#put(view, abbrevOffsetAt, offsetBytes, abbrevOffset + this.#moves.abbreviationsBy)
    }
    if (table.moves.length > 0) this.#entries(bytes, view, head, table, section)
  }

  /** The abbreviations with the new forms where the old ones were, as long as they: a LEB128 may be padded. */
  finish(): Uint8Array {
    for (const [at, { sizeBytes, form }] of this.#changes) {
      for (let i = 0; i < sizeBytes; i++) {
        const isLast = i === sizeBytes - 1
        this.#abbrev[at + i] = ((form >> (7 * i)) & 0x7f) | (isLast ? 0 : 0x80)
      }
    }
    return this.#abbrev
  }

  #entries(bytes: Uint8Array, view: DataView, head: UnitHead, table: Table, section: string): void {
    const end = bytes.byteLength
    const isLittle = this.#isLittle
    let at = head.entriesAt
    const uleb = (): number => {
      let value = 0
      for (let scale = 1; at < end; scale *= 128) {
        const byte = bytes[at++] as number
        value += (byte & 0x7f) * scale
        if (byte < 0x80) return value
      }
      return Infinity
    }
    while (at < end) {
      const start = at
      const code = uleb()
      if (code === 0) continue
      const steps = table.steps.get(code)
      if (steps === undefined)
        throw this.#malformed(section, `entry ${start} of a unit has no abbreviation ${code}`)
      for (let i = 0; i < steps.length; i += 2) {
        const operand = steps[i + 1] as number
        switch (steps[i]) {
          case SKIP:
            at += operand
            break
          case LEB:
            if (uleb() === Infinity) at = Infinity
            break
          case STRING:
            at = bytes.indexOf(0, at) + 1 || Infinity
            break
          case BLOCK1:
            at += 1 + (bytes[at] ?? Infinity)
            break
          case BLOCK2:
            at += at + 2 <= end ? 2 + view.getUint16(at, isLittle) : Infinity
            break
          case BLOCK4:
            at += at + 4 <= end ? 4 + view.getUint32(at, isLittle) : Infinity
            break
          case BLOCK: {
            const length = uleb()
            at += length
            break
          }
          case INDIRECT:
            at += this.#indirect(bytes, at, head, section)
            break
          default: {
            const move = table.moves[operand] as Move
            const sizeBytes = steps[i] === MOVE8 ? 8 : 4
            if (at + sizeBytes <= end) this.#move(view, at, sizeBytes, move, section)
            at += sizeBytes
          }
        }
      }
      if (at > end) throw this.#malformed(section, `entry ${start} of a unit ends behind its ${end} bytes`)
    }
  }

  #move(view: DataView, at: number, sizeBytes: 4 | 8, { by, below }: Move, section: string): void {
    const value = sizeBytes === 4 ? view.getUint32(at, this.#isLittle) : view.getBigUint64(at, this.#isLittle)
    if (value >= below) {
      throw this.#malformed(section, `a value points to byte ${value} of a section that has ${below}`)
    }
    this.#put(view, at, sizeBytes, Number(value) + by)
  }

  #put(view: DataView, at: number, sizeBytes: 4 | 8, value: number): void {
    if (sizeBytes === 8) view.setBigUint64(at, BigInt(value), this.#isLittle)
    else if (value <= 0xffffffff) view.setUint32(at, value, this.#isLittle)
    else
      throw new ExtractError(
        'LIMIT',
        `${this.#name}: DWARF of 32 bits with sections of more than ${0xffffffff} bytes`,
      )
  }

  /** Bytes of a value whose form is in front of it. */
  #indirect(bytes: Uint8Array, start: number, head: UnitHead, section: string): number {
    let at = start
    let form = 0
    for (let scale = 1; at < bytes.byteLength; scale *= 128) {
      const byte = bytes[at++] as number
      form += (byte & 0x7f) * scale
      if (byte < 0x80) break
    }
    const size = this.#sizeOf(form, head)
    if (typeof size !== 'number' || this.#moves.byForm.has(form)) {
      throw this.#unsupported(section, `values of form 0x${form.toString(16)} by DW_FORM_indirect`)
    }
    return at - start + size
  }

  #sizeOf(form: number, shape: UnitShape): FormSize {
    const size = formSize(form, shape)
    if (size === null || this.#moves.refused.has(form)) {
      throw this.#unsupported('.debug_abbrev', `form 0x${form.toString(16)}`)
    }
    return size
  }

  #table(head: UnitHead): Table {
    const { abbrevOffset, version, offsetBytes, addressBytes } = head
    const key = `${abbrevOffset} ${version} ${offsetBytes} ${addressBytes}`
    const known = this.#tables.get(key)
    if (known !== undefined) return known
    const table = this.#readTable(head)
    this.#tables.set(key, table)
    return table
  }

  #readTable(head: UnitHead): Table {
    const abbrev = this.#abbrev
    const steps = new Map<number, Int32Array>()
    const moves: Move[] = []
    for (let at = head.abbrevOffset; ;) {
      if (at >= abbrev.byteLength) {
        throw this.#malformed('.debug_abbrev', `a table at byte ${head.abbrevOffset} does not end`)
      }
      const { code, attributes, end } = readAbbreviation(abbrev, at)
      this.#abbrevBytesRead += end - at
      if (this.#abbrevBytesRead > MAX_READS * abbrev.byteLength) {
        throw this.#malformed('.debug_abbrev', 'tables lie over each other')
      }
      if (code === 0) return { steps, moves }
      const list: number[] = []
      for (const { form, formAt, formBytes } of attributes) {
        const move = this.#moves.byForm.get(form)
        const size = this.#sizeOf(form, head)
        if (move !== undefined) {
          if ((size !== 4 && size !== 8) || this.#sizeOf(move.as, head) !== size) {
            const text = `form 0x${form.toString(16)} in DWARF ${head.version} with offsets of ${head.offsetBytes} bytes`
            throw this.#unsupported('.debug_abbrev', text)
          }
          list.push(size === 4 ? MOVE4 : MOVE8, moves.push(move) - 1)
          if (move.as !== form) this.#changes.set(formAt, { sizeBytes: formBytes, form: move.as })
        } else if (typeof size !== 'number') {
          list.push(STEPS[size], 0)
        } else if (list.length > 0 && list.at(-2) === SKIP) {
          list[list.length - 1] = (list.at(-1) as number) + size
        } else if (size > 0) {
          list.push(SKIP, size)
        }
      }
      steps.set(code, Int32Array.from(list))
      at = end
    }
  }

  #malformed(section: string, text: string): ExtractError {
    return new ExtractError('MALFORMED', `${this.#name}: ${section}: ${text}`)
  }

  #unsupported(section: string, text: string): ExtractError {
    return new ExtractError('UNSUPPORTED', `${this.#name}: ${section}: ${text}`)
  }
}
