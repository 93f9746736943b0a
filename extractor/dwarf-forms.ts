/** What the size of a value depends on besides its form. */
export interface UnitShape {
  readonly version: number
  /** Bytes of an offset into a section: 4 in 32-bit DWARF, 8 in 64-bit DWARF. */
  readonly offsetBytes: 4 | 8
  readonly addressBytes: number
}

/**
 * How a value of some form is passed over: so many bytes; a LEB128; bytes up to NUL; a block behind its length, which
 * has 1, 2 or 4 bytes or is a LEB128; or a form and a value of that.
 */
export type FormSize = number | 'leb' | 'string' | 'block1' | 'block2' | 'block4' | 'block' | 'indirect'

/** Forms by their codes (DWARF 5, 7.5.6, table 7.6; the GNU extensions in binutils' include/dwarf2.def). */
export const Form = {
  strp: 0x0e,
  ref_addr: 0x10,
  strx: 0x1a,
  ref_sup4: 0x1c,
  strp_sup: 0x1d,
  line_strp: 0x1f,
  implicit_const: 0x21,
  ref_sup8: 0x24,
  strx1: 0x25,
  strx2: 0x26,
  strx3: 0x27,
  strx4: 0x28,
  GNU_str_index: 0x1f02,
  GNU_ref_alt: 0x1f20,
  GNU_strp_alt: 0x1f21,
} as const

const FIXED: ReadonlyMap<number, FormSize> = new Map<number, FormSize>([
  [0x03, 'block2'],
  [0x04, 'block4'],
  [0x05, 2], // data2
  [0x06, 4], // data4
  [0x07, 8], // data8
  [0x08, 'string'],
  [0x09, 'block'],
  [0x0a, 'block1'],
  [0x0b, 1], // data1
  [0x0c, 1], // flag
  [0x0d, 'leb'], // sdata
  [0x0f, 'leb'], // udata
  [0x11, 1], // ref1
  [0x12, 2], // ref2
  [0x13, 4], // ref4
  [0x14, 8], // ref8
  [0x15, 'leb'], // ref_udata
  [0x16, 'indirect'],
  [0x18, 'block'], // exprloc
  [0x19, 0], // flag_present
  [Form.strx, 'leb'],
  [0x1b, 'leb'], // addrx
  [Form.ref_sup4, 4],
  [0x1e, 16], // data16
  [0x20, 8], // ref_sig8
  [Form.implicit_const, 0],
  [0x22, 'leb'], // loclistx
  [0x23, 'leb'], // rnglistx
  [Form.ref_sup8, 8],
  [Form.strx1, 1],
  [Form.strx2, 2],
  [Form.strx3, 3],
  [Form.strx4, 4],
  [0x29, 1], // addrx1
  [0x2a, 2], // addrx2
  [0x2b, 3], // addrx3
  [0x2c, 4], // addrx4
  [0x1f01, 'leb'], // GNU_addr_index
  [Form.GNU_str_index, 'leb'],
])

const OFFSETS: ReadonlySet<number> = new Set([
  Form.strp,
  0x17, // sec_offset
  Form.strp_sup,
  Form.line_strp,
  Form.GNU_ref_alt,
  Form.GNU_strp_alt,
])

/** How a value of `form` is passed over in such a unit; null where nobody knows the form. */
export function formSize(form: number, { version, offsetBytes, addressBytes }: UnitShape): FormSize | null {
  if (OFFSETS.has(form)) return offsetBytes
  if (form === 0x01) return addressBytes
  // DWARF 2 has addresses there, all later ones offsets (DWARF 3, 7.5.4). dwz's forms are offsets in DWARF 2 too.
  if (form === Form.ref_addr) return version === 2 ? addressBytes : offsetBytes
  return FIXED.get(form) ?? null
}
