import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EVERY_KIND } from '../test/helpers/btf-bytes.ts'
import { havePrograms } from '../test/helpers/machine.ts'
import { buildIdOf, findSection, parseElf, readElf, readNotes, sectionBytes } from './elf.ts'
import { encodeBtf } from './encode.ts'
import { BtfError } from './errors.ts'
import { loadBtf, rawBtf } from './load.ts'

interface Section {
  readonly name: string
  readonly type?: number
  readonly data?: Uint8Array
  /** Where the header is to say something else than is true. */
  readonly offset?: number
  readonly size?: number
}

/** Puts an ELF file together: header, section data, names, section headers. */
function assembleElf(
  bits: 32 | 64,
  little: boolean,
  sections: readonly Section[],
  patch: Readonly<Record<number, number>> = {},
): Uint8Array {
  const wide = bits === 64
  const [headerBytes, entryBytes] = wide ? [64, 64] : [52, 40]
  const all: Section[] = [{ name: '', type: 0 }, ...sections, { name: '.shstrtab', type: 3 }]
  const names = Buffer.from(all.map((s) => s.name).join('\0') + '\0', 'latin1')
  const data = all.map((s) => (s.name === '.shstrtab' ? names : (s.data ?? new Uint8Array(0))))
  const dataBytes = data.reduce((sum, d) => sum + d.byteLength, 0)
  const out = new Uint8Array(headerBytes + dataBytes + all.length * entryBytes)
  const view = new DataView(out.buffer)
  const u16 = (at: number, value: number): void => view.setUint16(at, value, little)
  const u32 = (at: number, value: number): void => view.setUint32(at, value, little)
  const word = (at: number, value: number): void =>
    wide ? view.setBigUint64(at, BigInt(value), little) : u32(at, value)
  out.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1])
  u16(16, 1)
  u16(18, 247)
  word(wide ? 40 : 32, headerBytes + dataBytes)
  const counts = wide ? 58 : 46
  u16(counts, entryBytes)
  u16(counts + 2, all.length)
  u16(counts + 4, all.length - 1)
  let [at, nameAt] = [headerBytes, 0]
  all.forEach((section, i) => {
    const bytes = data[i] as Uint8Array
    out.set(bytes, at)
    const header = headerBytes + dataBytes + i * entryBytes
    u32(header, nameAt)
    u32(header + 4, section.type ?? 1)
    word(header + (wide ? 24 : 16), section.offset ?? at)
    word(header + (wide ? 32 : 20), section.size ?? bytes.byteLength)
    at += bytes.byteLength
    nameAt += section.name.length + 1
  })
  for (const [offset, byte] of Object.entries(patch)) out[Number(offset)] = byte
  return out
}

const btf = encodeBtf(EVERY_KIND)

describe.each([
  [64, true],
  [64, false],
  [32, true],
  [32, false],
] as [32 | 64, boolean][])('an ELF file of %i bits, little-endian %s', (bits, little) => {
  const file = assembleElf(bits, little, [
    { name: '.text', data: Uint8Array.of(1, 2, 3) },
    { name: '.BTF', data: btf },
    { name: '.bss', type: 8, size: 1 << 20 },
  ])

  it('is read with its sections', () => {
    const elf = parseElf(file)
    expect(elf).toMatchObject({
      bits,
      endian: little ? 'little' : 'big',
      type: 1,
      machine: 247,
      segments: [],
    })
    expect(elf.sections.map((s) => [s.name, s.type, s.sizeBytes])).toEqual([
      ['', 0, 0],
      ['.text', 1, 3],
      ['.BTF', 1, btf.byteLength],
      ['.bss', 8, 0],
      ['.shstrtab', 3, 27],
    ])
    expect(sectionBytes(file, elf, '.text')).toEqual(Uint8Array.of(1, 2, 3))
    expect([
      sectionBytes(file, elf, '.bss'),
      sectionBytes(file, elf, '.data'),
      findSection(elf, '.data'),
    ]).toEqual([null, null, null])
  })

  it('gives its BTF', () => {
    expect(Buffer.from(rawBtf(file)).equals(btf)).toBe(true)
    expect(loadBtf(file).idCount).toBe(EVERY_KIND.length + 1)
  })

  it('cut anywhere gives an error', () => {
    for (let length = 0; length < file.byteLength; length += 7) {
      expect(() => parseElf(file.subarray(0, length))).toThrow(BtfError)
    }
  })
})

describe('ELF files that are wrong', () => {
  const plain: Section[] = [{ name: '.BTF', data: btf }]
  it.each<[string, Uint8Array, string, string]>([
    [
      'another magic',
      Buffer.from('!<arch>\n'),
      'NOT_ELF',
      'ELF header: expected magic 7f454c46, got 213c6172',
    ],
    ['nothing', new Uint8Array(0), 'NOT_ELF', 'got (nothing)'],
    [
      'an unknown class',
      assembleElf(64, true, plain, { 4: 3 }),
      'MALFORMED',
      'class 3 and data 1, expected 1 or 2 for both',
    ],
    ['an unknown byte order', assembleElf(64, true, plain, { 5: 0 }), 'MALFORMED', 'class 2 and data 0'],
    [
      'section headers of another size',
      assembleElf(64, true, plain, { 58: 40 }),
      'MALFORMED',
      'section headers of 40 bytes, expected 64',
    ],
    [
      'more section headers than bytes',
      assembleElf(64, true, plain, { 60: 9 }),
      'MALFORMED',
      '9 section headers at byte',
    ],
    [
      'section headers behind the end',
      assembleElf(64, true, plain, { 46: 1 }),
      'MALFORMED',
      '1 section headers at byte',
    ],
    [
      'section headers at no offset',
      assembleElf(64, true, plain, { 47: 1 }),
      'MALFORMED',
      'is no offset or size',
    ],
    [
      'a section behind the end',
      assembleElf(64, true, [{ name: '.BTF', offset: 1 << 20, size: 8 }]),
      'MALFORMED',
      'ELF section 1: ends at byte 1048584',
    ],
    [
      'a section larger than the file',
      assembleElf(32, true, [{ name: '.BTF', size: 0xffffffff }]),
      'MALFORMED',
      'ELF section 1: ends at byte',
    ],
    ['no .BTF', assembleElf(64, true, []), 'NO_SECTION', 'ELF file without .BTF'],
    ['an empty .BTF', assembleElf(64, true, [{ name: '.BTF' }]), 'NO_SECTION', 'ELF file without .BTF'],
    [
      'DWARF alone',
      assembleElf(64, true, [{ name: '.debug_info', data: btf }]),
      'NO_SECTION',
      'it has DWARF: encode it with pahole',
    ],
  ])('with %s are refused', (_, file, code, message) => {
    const act = (): unknown => (code === 'NO_SECTION' ? rawBtf(file) : parseElf(file))
    expect(act).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) as unknown }),
    )
  })

  it('of a million sections are refused before they are read', () => {
    const file = assembleElf(64, true, plain, { 60: 0, 61: 0 })
    // gABI: the count is in the size of the first section then.
    const view = new DataView(file.buffer)
    const first = Number(view.getBigUint64(40, true))
    view.setBigUint64(first + 32, 1_000_000n, true)
    expect(() => parseElf(file)).toThrow(expect.objectContaining({ code: 'LIMIT' }))
  })

  it('what is neither BTF nor ELF is told by its first bytes', () => {
    expect(() => rawBtf(Buffer.from('PK..'))).toThrow('neither BTF nor ELF: the first bytes are 504b2e2e')
    expect(() => rawBtf(new Uint8Array(0))).toThrow('the first bytes are (none)')
  })

  it('a name without end is cut, and not read again for each section', () => {
    const long = Buffer.alloc(5000, 'n')
    const elf = parseElf(assembleElf(64, true, [{ name: long.toString() }]))
    expect(elf.sections[1]?.name.length).toBe(1024)
  })

  it('of any bytes are read or refused', () => {
    const seed = assembleElf(64, true, plain)
    const mutated = fc
      .array(fc.tuple(fc.nat(seed.byteLength - 1), fc.nat(255)), { maxLength: 12 })
      .map((edits) => {
        const file = seed.slice()
        // The headers are where it hurts: most edits go there.
        for (const [at, byte] of edits) file[at % 3 === 0 ? at : at % 64] = byte
        return file
      })
    fc.assert(
      fc.property(mutated, (file) => {
        try {
          const elf = parseElf(file)
          for (const section of elf.sections) sectionBytes(file, elf, section.name)
        } catch (err) {
          expect(err).toBeInstanceOf(BtfError)
        }
      }),
      { numRuns: 3000 },
    )
  })
})

describe('notes', () => {
  function note(name: string, type: number, desc: Uint8Array): Uint8Array {
    const pad = (bytes: Uint8Array): Uint8Array =>
      Buffer.concat([bytes, Buffer.alloc((4 - (bytes.byteLength % 4)) % 4)])
    const head = Buffer.alloc(12)
    head.writeUInt32LE(name.length + 1, 0)
    head.writeUInt32LE(desc.byteLength, 4)
    head.writeUInt32LE(type, 8)
    return Buffer.concat([head, pad(Buffer.from(`${name}\0`)), pad(desc)])
  }
  const id = Buffer.from('0123456789abcdef0123456789abcdef01234567', 'hex')
  const notes = Buffer.concat([note('Linux', 257, Uint8Array.of(1, 2, 3)), note('GNU', 3, id)])

  it('are read one after the other', () => {
    expect([...readNotes(notes, 'little')].map((n) => [n.name, n.type, n.desc.byteLength])).toEqual([
      ['Linux', 257, 3],
      ['GNU', 3, 20],
    ])
  })

  it('have the build-id', () => {
    expect(buildIdOf(readNotes(notes, 'little'))).toBe(id.toString('hex'))
    expect(buildIdOf(readNotes(note('GNU', 1, id), 'little'))).toBeNull()
  })

  it('cut short end where the bytes do', () => {
    for (let length = 0; length < notes.byteLength; length++) {
      const found = [...readNotes(notes.subarray(0, length), 'little')]
      expect(found.length).toBeLessThan(2)
    }
  })

  it('that claim more than there is are left', () => {
    const huge = Buffer.from(notes)
    huge.writeUInt32LE(0xffffffff, 0)
    expect([...readNotes(huge, 'little')]).toEqual([])
  })
})

describe.skipIf(!havePrograms('clang', 'readelf'))(
  'beside readelf (skipped without clang and readelf)',
  () => {
    it('a real object has the same sections', () => {
      const dir = mkdtempSync(join(tmpdir(), 'btfhub-elf-'))
      try {
        writeFileSync(join(dir, 'a.c'), 'struct s { int a; } v; int f(struct s *p) { return p->a; }')
        execFileSync('clang', ['-target', 'bpf', '-g', '-O2', '-c', join(dir, 'a.c'), '-o', join(dir, 'a.o')])
        const file = readFileSync(join(dir, 'a.o'))
        const text = execFileSync('readelf', ['-SW', join(dir, 'a.o')], { encoding: 'utf8' })
        // Of a section without bytes in the file, readelf tells what it takes in memory.
        const rows = text.matchAll(/^ *\[ *\d+\] (\S+) +(\S+) +[0-9a-f]{16} ([0-9a-f]+) ([0-9a-f]+) /gm)
        const theirs = [...rows].map(([, name, type, offset = '', size = '']) => [
          name,
          parseInt(offset, 16),
          type === 'NOBITS' ? 0 : parseInt(size, 16),
        ])
        const asked: [number, number][] = []
        const elf = readElf((offset, length) => {
          asked.push([offset, length])
          return file.subarray(offset, offset + length)
        }, file.byteLength)
        expect(elf.sections.slice(1).map((s) => [s.name, s.offset, s.sizeBytes])).toEqual(theirs)
        expect(theirs.length).toBeGreaterThan(5)
        // Headers and names alone are read, which is what makes it fit for a vmlinux of 600 MB.
        expect(asked.reduce((sum, [, length]) => sum + length, 0)).toBeLessThan(file.byteLength / 2 + 2048)
        expect(loadBtf(file).idsByName('s').length).toBe(1)
      } finally {
        rmSync(dir, { recursive: true, force: true })
      }
    })
  },
)
