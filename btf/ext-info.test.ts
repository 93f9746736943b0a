import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { havePrograms } from '../test/helpers/machine.ts'
import { parseElf, sectionBytes } from './elf.ts'
import { BtfError } from './errors.ts'
import { parseBtfExt } from './ext-info.ts'
import { loadBtf } from './load.ts'
import { StringTable } from './strings.ts'

const strings = new StringTable(Buffer.from('\0tp/a\0' + '0:1:2\0' + 'tp/b\0'), null)
const [TP_A, ACCESS, TP_B] = [1, 6, 12]

interface Parts {
  readonly little?: boolean
  readonly version?: number
  readonly hdrLen?: number
  readonly func?: readonly number[]
  readonly core?: readonly number[]
  readonly coreLength?: number
}

function assembleExt(parts: Parts): Uint8Array {
  const { little = true, func = [], core } = parts
  const headerBytes = core === undefined ? 24 : 32
  const fields = [parts.hdrLen ?? headerBytes, 0, func.length * 4, func.length * 4, 0]
  if (core !== undefined) fields.push(func.length * 4, parts.coreLength ?? core.length * 4)
  const words = [...fields, ...func, ...(core ?? [])]
  const bytes = new Uint8Array(4 + words.length * 4)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 0xeb9f, little)
  bytes[2] = parts.version ?? 1
  words.forEach((word, i) => view.setUint32(4 + i * 4, word, little))
  return bytes
}

const FUNC = [8, TP_A, 2, 0, 7, 64, 8, TP_B, 1, 0, 9]
const CORE = [16, TP_A, 1, 24, 3, ACCESS, 0, TP_B, 2, 8, 4, ACCESS, 5, 16, 4, ACCESS, 2]

describe.each([true, false])('.BTF.ext, little-endian %s', (little) => {
  it('is read section by section', () => {
    expect(parseBtfExt(assembleExt({ little, func: FUNC, core: CORE }), strings)).toEqual({
      funcInfos: [
        { section: 'tp/a', insnOffset: 0, typeId: 7 },
        { section: 'tp/a', insnOffset: 64, typeId: 8 },
        { section: 'tp/b', insnOffset: 0, typeId: 9 },
      ],
      coreRelos: [
        { section: 'tp/a', insnOffset: 24, typeId: 3, access: '0:1:2', kind: 0 },
        { section: 'tp/b', insnOffset: 8, typeId: 4, access: '0:1:2', kind: 5 },
        { section: 'tp/b', insnOffset: 16, typeId: 4, access: '0:1:2', kind: 2 },
      ],
    })
  })

  it('without the part for CO-RE is read', () => {
    expect(parseBtfExt(assembleExt({ little, func: FUNC }), strings).coreRelos).toEqual([])
    expect(parseBtfExt(assembleExt({ little }), strings)).toEqual({ funcInfos: [], coreRelos: [] })
  })

  it('may have longer records than we know', () => {
    const core = [20, TP_A, 1, 24, 3, ACCESS, 0, 0xdead]
    expect(parseBtfExt(assembleExt({ little, core }), strings).coreRelos).toEqual([
      { section: 'tp/a', insnOffset: 24, typeId: 3, access: '0:1:2', kind: 0 },
    ])
  })

  it.each<[string, Parts, string, string]>([
    ['another version', { version: 2 }, 'UNSUPPORTED', '.BTF.ext: version 2, expected 1'],
    ['a short header', { hdrLen: 20 }, 'MALFORMED', '.BTF.ext: hdr_len 20, expected 24 or more'],
    ['a header longer than all', { hdrLen: 1000 }, 'MALFORMED', 'hdr_len 1000'],
    [
      'records that are too short',
      { core: [12, TP_A, 1, 0, 0, 0] },
      'MALFORMED',
      'core_relo: records of 12 bytes, expected 16 or more',
    ],
    ['records of an odd size', { core: [18, TP_A, 1, 0, 0, 0] }, 'MALFORMED', 'records of 18 bytes'],
    [
      'no records where a section is named',
      { core: [16, TP_A, 0] },
      'MALFORMED',
      'core_relo: 0 records at byte 44 of section tp/a do not fit',
    ],
    [
      'more records than there are',
      { core: [16, TP_A, 2, 0, 0, 0, 0] },
      'MALFORMED',
      '2 records at byte 44 of section tp/a do not fit',
    ],
    [
      'a part behind the end',
      { core: CORE, coreLength: 4096 },
      'MALFORMED',
      '4096 bytes wanted at byte 32, 100 are there',
    ],
    ['a section whose name is nowhere', { core: [16, 99, 1, 0, 0, 0, 0] }, 'MALFORMED', 'string offset 99'],
  ])('is refused with %s', (_, parts, code, message) => {
    expect(() => parseBtfExt(assembleExt({ little, ...parts }), strings)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) as unknown }),
    )
  })
})

it('of any bytes is read or refused', () => {
  const seed = assembleExt({ func: FUNC, core: CORE })
  const edits = fc.array(fc.tuple(fc.nat(seed.byteLength - 1), fc.nat(255)), { maxLength: 6 })
  fc.assert(
    fc.property(edits, fc.nat(seed.byteLength), (changes, length) => {
      const bytes = seed.slice(0, length)
      for (const [at, byte] of changes) if (at < length) bytes[at] = byte
      try {
        parseBtfExt(bytes, strings)
      } catch (err) {
        expect(err).toBeInstanceOf(BtfError)
      }
    }),
    { numRuns: 3000 },
  )
})

describe.skipIf(!havePrograms('clang'))('of a real object (skipped without clang)', () => {
  it.each(['bpfel', 'bpfeb'])('has the relocations that clang wrote for %s', (target) => {
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-ext-'))
    try {
      writeFileSync(
        join(dir, 'a.c'),
        `struct task { int pid; long flags; } __attribute__((preserve_access_index));
         __attribute__((section("tp/x"))) long prog(struct task *t) { return t->pid; }
         __attribute__((section("tp/y"))) long other(struct task *t) { return t->flags; }`,
      )
      execFileSync('clang', ['-target', target, '-g', '-O2', '-c', join(dir, 'a.c'), '-o', join(dir, 'a.o')])
      const file = readFileSync(join(dir, 'a.o'))
      const btf = loadBtf(file)
      const ext = parseBtfExt(sectionBytes(file, parseElf(file), '.BTF.ext') as Uint8Array, btf.strings)
      expect(ext.funcInfos.map((f) => [f.section, f.insnOffset, btf.name(f.typeId)])).toEqual([
        ['tp/x', 0, 'prog'],
        ['tp/y', 0, 'other'],
      ])
      expect(ext.coreRelos.map((r) => [r.section, btf.name(r.typeId), r.access, r.kind])).toEqual([
        ['tp/x', 'task', '0:0', 0],
        ['tp/y', 'task', '0:1', 0],
      ])
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})
