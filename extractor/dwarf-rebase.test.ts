import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Form, formSize, type UnitShape } from './dwarf-forms.ts'
import { type Moves, Rebase } from './dwarf-rebase.ts'
import { unitBytes } from './dwarf-unit.ts'
import { ExtractError } from './types.ts'

interface Shape extends UnitShape {
  readonly isLittle: boolean
}
const SHAPES: readonly Shape[] = [2, 3, 4, 5].flatMap((version) =>
  ([4, 8] as const).flatMap((offsetBytes) =>
    [true, false].map((isLittle) => ({ version, offsetBytes, addressBytes: 8, isLittle })),
  ),
)

function uleb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...uleb(value >>> 7)]
}

function word(value: number, sizeBytes: number, isLittle: boolean): number[] {
  const bytes = Array.from({ length: sizeBytes }, (_, i) => (i < 4 ? (value >>> (8 * i)) & 0xff : 0))
  return isLittle ? bytes : bytes.reverse()
}

/** A unit that uses the abbreviations at `abbrevOffset`, with `entries` behind its head. */
function unitOf(shape: Shape, entries: readonly number[], { abbrevOffset = 0, type = 1 } = {}): Uint8Array {
  const { version, offsetBytes, addressBytes, isLittle } = shape
  const offset = word(abbrevOffset, offsetBytes, isLittle)
  const extra = type === 2 ? 8 + offsetBytes : type === 4 ? 8 : 0
  const head =
    version < 5 ? [...offset, addressBytes] : [type, addressBytes, ...offset, ...word(0, extra, isLittle)]
  const body = [...word(version, 2, isLittle), ...head, ...entries]
  const length =
    offsetBytes === 8
      ? [255, 255, 255, 255, ...word(body.length, 8, isLittle)]
      : word(body.length, 4, isLittle)
  return Uint8Array.from([...length, ...body])
}

/** Abbreviation 1 with attributes of these forms. */
const abbrevOf = (forms: readonly number[]): Uint8Array =>
  Uint8Array.from([
    1,
    0x34,
    0,
    ...forms.flatMap((form) => [0x03, ...uleb(form), ...(form === Form.implicit_const ? [0x7f] : [])]),
    0,
    0,
    0,
  ])

const MOVES: Moves = {
  byForm: new Map([
    [Form.GNU_ref_alt, { as: Form.ref_addr, by: 0x1000, below: 0x100 }],
    [Form.GNU_strp_alt, { as: Form.strp, by: 0x2000, below: 0x100 }],
  ]),
  refused: new Set([Form.strx]),
  abbreviationsBy: 0,
}

/** A value of each form that is passed over, with what tells whether that went well. */
function valueOf(form: number, shape: Shape): number[] | null {
  const size = formSize(form, shape)
  const filler = [0x11, 0x22, 0x33]
  switch (size) {
    case null:
    case 'indirect':
      return null
    case 'leb':
      return [0x80, 0x80, 0x01]
    case 'string':
      return [0x61, 0x62, 0]
    case 'block1':
      return [3, ...filler]
    case 'block2':
      return [...word(3, 2, shape.isLittle), ...filler]
    case 'block4':
      return [...word(3, 4, shape.isLittle), ...filler]
    case 'block':
      return [3, ...filler]
    default:
      return new Array<number>(size).fill(0x44)
  }
}

const isMoved = (form: number): boolean => MOVES.byForm.has(form) || form === Form.strx

describe.each(SHAPES)(
  'a unit of DWARF $version, offsets of $offsetBytes bytes, little-endian $isLittle',
  (shape) => {
    const { offsetBytes, isLittle } = shape
    const strp = (value: number): number[] => word(value, offsetBytes, isLittle)

    it('has its values moved behind values of every other form', () => {
      const others = Array.from({ length: 0x2d }, (_, form) => form).filter(
        (form) => !isMoved(form) && valueOf(form, shape) !== null,
      )
      expect(others.length).toBe(41)
      const abbrev = abbrevOf([...others, Form.GNU_strp_alt])
      const values = others.flatMap((form) => valueOf(form, shape) as number[])
      const entry = (value: number): number[] => [1, ...values, ...strp(value)]
      const unit = unitOf(shape, [...entry(7), 0, ...entry(0xff), 0, 0])
      const rebase = new Rebase(abbrev, isLittle, MOVES, 'sample')
      rebase.unit(unit, '.debug_info')
      expect(unit).toEqual(unitOf(shape, [...entry(0x2007), 0, ...entry(0x20ff), 0, 0]))
      expect(formsIn(rebase.finish())).toEqual([...others, Form.strp])
    })

    it('has references to another file made such to itself, where they are as wide', () => {
      const abbrev = abbrevOf([Form.GNU_ref_alt, 0x0b])
      const unit = unitOf(shape, [1, ...strp(0x10), 9, 0])
      const rebase = new Rebase(abbrev, isLittle, MOVES, 'sample')
      const act = (): void => rebase.unit(unit, '.debug_info')
      if (shape.version === 2 && offsetBytes === 4) {
        // Only DWARF 2 has addresses there, of 8 bytes.
        expect(act).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
        return
      }
      act()
      expect(unit).toEqual(unitOf(shape, [1, ...strp(0x1010), 9, 0]))
      expect([...rebase.finish().subarray(3, 7)]).toEqual([0x03, 0x90, 0x00, 0x03])
    })

    it('has its abbreviations elsewhere where they are moved', () => {
      const unit = unitOf(shape, [1, 5], { abbrevOffset: 0 })
      const rebase = new Rebase(abbrevOf([0x0b]), isLittle, { ...MOVES, abbreviationsBy: 0x345 }, 'sample')
      rebase.unit(unit, '.debug_info')
      expect(unit).toEqual(unitOf(shape, [1, 5], { abbrevOffset: 0x345 }))
    })

    it('that does not hold is refused', () => {
      const cases: [string, number[], number[], ExtractError['code']][] = [
        ['a value at the end of the other section', [Form.GNU_strp_alt], [1, ...strp(0x100)], 'MALFORMED'],
        ['a value that is cut', [Form.GNU_strp_alt], [1, 1, 2], 'MALFORMED'],
        ['an entry without abbreviation', [Form.GNU_strp_alt], [2], 'MALFORMED'],
        ['a string without end', [Form.GNU_strp_alt, 0x08], [1, ...strp(0), 1], 'MALFORMED'],
        ['a block longer than the unit', [Form.GNU_strp_alt, 0x0a], [1, ...strp(0), 200], 'MALFORMED'],
        ['a number without end', [Form.GNU_strp_alt, 0x0f], [1, ...strp(0), 0x80], 'MALFORMED'],
        ['a form that nobody knows', [0x2d], [1], 'UNSUPPORTED'],
        ['a form that may not be', [Form.strx], [1, 1], 'UNSUPPORTED'],
        [
          'a moved form behind its value',
          [Form.GNU_strp_alt, 0x16],
          [1, ...strp(0), ...uleb(Form.GNU_strp_alt), ...strp(0)],
          'UNSUPPORTED',
        ],
      ]
      for (const [what, forms, entries, code] of cases) {
        const rebase = new Rebase(abbrevOf(forms), isLittle, MOVES, 'sample')
        const act = (): void => rebase.unit(unitOf(shape, entries), '.debug_info')
        expect(act, what).toThrow(expect.objectContaining({ code }))
      }
    })
  },
)

/** The forms of abbreviation 1. */
function formsIn(abbrev: Uint8Array): number[] {
  const forms: number[] = []
  for (let at = 3; abbrev[at] !== 0;) {
    at++
    let form = 0
    for (let shift = 0; ; shift += 7) {
      const byte = abbrev[at++] as number
      form |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    forms.push(form)
    if (form === Form.implicit_const) at++
  }
  return forms
}

describe('units', () => {
  const shape: Shape = { version: 5, offsetBytes: 4, addressBytes: 8, isLittle: true }
  const rebase = (abbrev: Uint8Array): Rebase => new Rebase(abbrev, true, MOVES, 'sample')

  it.each([2, 4, 6])('of types have a longer head (DW_UT %i)', (type) => {
    const [before, after] = [0x10, 0x2010].map((value) =>
      unitOf(shape, [1, ...word(value, 4, true)], { type: type === 6 ? 2 : type }),
    ) as [Uint8Array, Uint8Array]
    rebase(abbrevOf([Form.GNU_strp_alt])).unit(before, '.debug_info')
    expect(before).toEqual(after)
  })

  it('of types in DWARF 4 are in a section of their own', () => {
    const old = { ...shape, version: 4 }
    const signature = new Array<number>(12).fill(0x55)
    const unit = unitOf(old, [...signature, 1, ...word(0x10, 4, true)])
    rebase(abbrevOf([Form.GNU_strp_alt])).unit(unit, '.debug_types')
    expect(unit).toEqual(unitOf(old, [...signature, 1, ...word(0x2010, 4, true)]))
  })

  it.each<[string, Uint8Array, string]>([
    ['cut in their head', Uint8Array.from([3, 0, 0, 0, 5, 0, 1]), 'MALFORMED'],
    ['of DWARF 1', unitOf({ ...shape, version: 1 }, []), 'UNSUPPORTED'],
    ['of DWARF 6', unitOf({ ...shape, version: 6 }, []), 'UNSUPPORTED'],
    ['of a type that is none', unitOf(shape, [], { type: 7 }), 'UNSUPPORTED'],
    ['whose abbreviations are behind the end', unitOf(shape, [], { abbrevOffset: 99 }), 'MALFORMED'],
  ])('%s are refused', (_, unit, code) => {
    expect(() => rebase(abbrevOf([0x0b])).unit(unit, '.debug_info')).toThrow(
      expect.objectContaining({ code }),
    )
  })

  it('that read the same abbreviations from ever other places are refused, before they take long', () => {
    const abbrev = new Uint8Array(100_000).fill(1)
    abbrev.fill(0, -3)
    const many = rebase(abbrev)
    const act = (): void => {
      for (let abbrevOffset = 0; abbrevOffset < 90_000; abbrevOffset += 2) {
        many.unit(unitOf(shape, [], { abbrevOffset }), '.debug_info')
      }
    }
    const started = performance.now()
    expect(act).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
    expect(performance.now() - started).toBeLessThan(2000)
  })

  it('of any bytes are rebased or refused', () => {
    const forms = fc.array(
      fc.constantFrom(...Array.from({ length: 0x2d }, (_, i) => i + 1), 0x1f20, 0x1f21),
      {
        maxLength: 6,
      },
    )
    fc.assert(
      fc.property(fc.constantFrom(...SHAPES), forms, fc.uint8Array({ maxLength: 64 }), (one, list, bytes) => {
        const unit = unitOf(one, [1, ...bytes])
        const length = unit.byteLength
        try {
          new Rebase(abbrevOf(list), one.isLittle, MOVES, 'sample').unit(unit, '.debug_info')
        } catch (err) {
          expect(err).toBeInstanceOf(ExtractError)
        }
        expect(unitBytes(unit, one.isLittle)).toBe(length)
      }),
      { numRuns: 3000 },
    )
  })
})
