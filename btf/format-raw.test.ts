import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { assembleBtf, EVERY_KIND, info, t } from '../test/helpers/btf-bytes.ts'
import { btfCorpus, corpusBtf } from '../test/helpers/btf-corpus.ts'
import { havePrograms } from '../test/helpers/machine.ts'
import { parseBtf } from './btf.ts'
import { encodeBtf } from './encode.ts'
import { formatJson } from './format-json.ts'
import { formatRaw } from './format-raw.ts'
import { loadBtf, rawBtf } from './load.ts'

/** What bpftool prints of these bytes. */
function bpftool(bytes: Uint8Array, options: readonly string[] = [], base?: Uint8Array): string {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-raw-'))
  try {
    writeFileSync(join(dir, 'btf'), bytes)
    if (base !== undefined) writeFileSync(join(dir, 'base'), base)
    const onBase = base === undefined ? [] : ['-B', join(dir, 'base')]
    const args = [...options, ...onBase, 'btf', 'dump', 'file', join(dir, 'btf'), 'format', 'raw']
    return execFileSync('bpftool', args, { encoding: 'latin1', maxBuffer: 256 * 1024 * 1024 })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The first line that differs, since two lists of 300,000 lines are no message. */
function firstDifference(ours: Iterable<string>, theirs: string): object | null {
  const expected = theirs.trimEnd().split('\n')
  let at = 0
  for (const line of ours) {
    if (line !== expected[at]) return { line: at, ours: line, theirs: expected[at] }
    at++
  }
  return at === expected.length ? null : { line: at, theirs: expected[at] }
}

const REAL = [
  'debian/13/x86_64/6.12.107+deb13-amd64.btf.xz',
  'centos/7/x86_64/3.10.0-1160.el7.x86_64.btf.xz',
  'ubuntu/20.04/arm64/5.4.0-80-generic.btf.xz',
  'mainline/2026-06-25/x86_64/vmlinux.btf.xz',
]

describe('the raw dump', () => {
  it('has a line for each type and each of its parts', () => {
    expect([...formatRaw(parseBtf(encodeBtf(EVERY_KIND)))]).toMatchInlineSnapshot(`
      [
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED",
        "[2] INT 'unsigned char' size=1 bits_offset=0 nr_bits=8 encoding=(none)",
        "[3] INT '_Bool' size=1 bits_offset=0 nr_bits=8 encoding=BOOL",
        "[4] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=CHAR",
        "[5] PTR '(anon)' type_id=0",
        "[6] ARRAY '(anon)' type_id=4 index_type_id=1 nr_elems=16",
        "[7] STRUCT 'pair' size=16 vlen=2",
        "	'first' type_id=5 bits_offset=0",
        "	'second' type_id=1 bits_offset=64",
        "[8] STRUCT 'flags' size=4 vlen=2",
        "	'a' type_id=1 bits_offset=0 bitfield_size=3",
        "	'b' type_id=1 bits_offset=3 bitfield_size=29",
        "[9] UNION 'either' size=8 vlen=2",
        "	'p' type_id=5 bits_offset=0",
        "	'n' type_id=1 bits_offset=0",
        "[10] ENUM 'sign' encoding=SIGNED size=4 vlen=2",
        "	'MINUS' val=-1",
        "	'PLUS' val=1",
        "[11] ENUM 'word' encoding=UNSIGNED size=4 vlen=1",
        "	'ALL' val=4294967295",
        "[12] FWD 'elsewhere' fwd_kind=struct",
        "[13] FWD 'elsewhere_union' fwd_kind=union",
        "[14] TYPEDEF 'pair_t' type_id=7",
        "[15] VOLATILE '(anon)' type_id=1",
        "[16] CONST '(anon)' type_id=1",
        "[17] RESTRICT '(anon)' type_id=5",
        "[18] FUNC_PROTO '(anon)' ret_type_id=1 vlen=2",
        "	'count' type_id=1",
        "	'(anon)' type_id=0",
        "[19] FUNC 'printk' type_id=18 linkage=global",
        "[20] VAR 'jiffies' type_id=15, linkage=static",
        "[21] DATASEC '.data..percpu' size=4 vlen=1",
        "	type_id=20 offset=0 size=4 (VAR 'jiffies')",
        "[22] FLOAT 'double' size=8",
        "[23] DECL_TAG 'bpf_kfunc' type_id=19 component_idx=-1",
        "[24] DECL_TAG 'second' type_id=7 component_idx=1",
        "[25] TYPE_TAG 'rcu' type_id=7",
        "[26] TYPE_TAG 'address_space(1)' type_id=1",
        "[27] ENUM64 'wide' encoding=UNSIGNED size=8 vlen=1",
        "	'TOP' val=18446744073709551615ULL",
        "[28] ENUM64 'wide_signed' encoding=SIGNED size=8 vlen=2",
        "	'LEAST' val=-9223372036854775808LL",
        "	'MOST' val=9223372036854775807LL",
        "[29] STRUCT '(anon)' size=0 vlen=0",
      ]
    `)
  })

  it('tells what is known of unknown kinds', () => {
    const layout: [number, number][] = Array.from({ length: 21 }, (_, kind) =>
      kind === 20 ? [4, 4] : [0, 0],
    )
    layout[1] = [4, 0]
    layout[3] = [12, 0]
    for (const kind of [4, 5, 15, 19]) layout[kind] = [0, 12]
    for (const kind of [6, 13]) layout[kind] = [0, 8]
    for (const kind of [14, 17]) layout[kind] = [4, 0]
    const btf = parseBtf(
      assembleBtf({ records: [[1, info(20, 2, true), 8, 7, 5, 6]], strings: ['', 'loc'], layout }),
    )
    expect([...formatRaw(btf)]).toEqual(["[1] UNKN_20 'loc' size_or_type=8 vlen=2 kind_flag=1 words=7,5,6"])
    expect([...formatJson(btf)]).toEqual([
      '{"id":1,"kind":"UNKN_20","name":"loc","size_or_type":8,"vlen":2,"kind_flag":true,"words":[7,5,6]}',
    ])
  })

  it('comes line by line: nothing is read before it is asked for', () => {
    const btf = parseBtf(
      assembleBtf({
        records: [
          [0, info(2), 0],
          [99, info(7), 0],
        ],
      }),
    )
    const lines = formatRaw(btf)
    expect(lines.next().value).toBe("[1] PTR '(anon)' type_id=0")
    expect(() => lines.next()).toThrow('type id 2 at byte 36: string offset 99')
  })
})

describe.skipIf(!havePrograms('bpftool'))('beside bpftool (skipped without it)', () => {
  it.each(['little', 'big'] as const)('is the same for every kind, %s-endian', (endian) => {
    // bpftool 7.1 does not know that tags can be attributes, and says nothing of it.
    const bytes = encodeBtf(EVERY_KIND, endian)
    expect(firstDifference(formatRaw(parseBtf(bytes)), bpftool(bytes))).toBeNull()
  })

  it('takes what we write with a wide vlen of 16 bits', () => {
    const values = Array.from({ length: 65_535 }, (_, i) => ({ name: `V${i}`, value: BigInt(i) }))
    const bytes = encodeBtf([t.enum('many', values)])
    expect(firstDifference(formatRaw(parseBtf(bytes)), bpftool(bytes))).toBeNull()
  })

  describe.skipIf(btfCorpus === null)('on real BTF (skipped where BTFHUB_CORPUS is not there)', () => {
    it.each(REAL)('%s is the same line by line', (path) => {
      const bytes = rawBtf(corpusBtf(path))
      expect(firstDifference(formatRaw(loadBtf(bytes)), bpftool(bytes))).toBeNull()
    })

    it('a module on its base is the same line by line', () => {
      const base = corpusBtf('split/btf-rs/vmlinux.btf.xz')
      const module = corpusBtf('split/btf-rs/openvswitch.btf.xz')
      const btf = loadBtf(module, { base: loadBtf(base) })
      expect(firstDifference(formatRaw(btf), bpftool(module, [], base))).toBeNull()
    })

    it('written again is read alike', () => {
      const btf = loadBtf(corpusBtf('debian/11/x86_64/5.10.0-30-cloud-amd64.btf.xz'))
      const types = Array.from({ length: btf.idCount - 1 }, (_, i) => btf.type(i + 1))
      const expected = [...formatRaw(btf)].join('\n')
      for (const endian of ['little', 'big'] as const) {
        expect(firstDifference(expected.split('\n'), bpftool(encodeBtf(types, endian)))).toBeNull()
      }
    })

    it('has the JSON that bpftool has, except where that extends the sign of unsigned values', () => {
      const bytes = corpusBtf('debian/13/x86_64/6.12.107+deb13-amd64.btf.xz')
      const theirs = (JSON.parse(bpftool(bytes, ['-j'])) as { types: JsonType[] }).types
      const ours = [...formatJson(loadBtf(bytes))].map((line) => JSON.parse(line) as JsonType)
      expect(ours.length).toBe(theirs.length)
      const without = (types: readonly JsonType[]): string[] =>
        types.map((type) => JSON.stringify(type, (key, value: unknown) => (key === 'values' ? null : value)))
      const [mine, other] = [without(ours), without(theirs)]
      expect(mine.find((line, i) => line !== other[i])).toBeUndefined()
      const values = (types: readonly JsonType[]): string[] =>
        types.flatMap((type) => (type.values ?? []).map((v) => `${type.id} ${v.name} ${v.val}`))
      const isSmall = (line: string): boolean => Number(line.split(' ')[2]) < 2 ** 31
      expect(values(ours).filter(isSmall)).toEqual(values(theirs).filter(isSmall))
      expect(values(ours).length).toBe(values(theirs).length)
    })
  })
})

interface JsonType {
  readonly id: number
  readonly values?: readonly { readonly name: string; readonly val: number }[]
}

describe('the JSON dump', () => {
  it('is one object for each type', () => {
    const lines = [...formatJson(parseBtf(encodeBtf(EVERY_KIND)))]
    expect(lines.length).toBe(EVERY_KIND.length)
    for (const [i, line] of lines.entries()) expect(JSON.parse(line)).toMatchObject({ id: i + 1 })
    expect(lines[7]).toBe(
      '{"id":8,"kind":"STRUCT","name":"flags","size":4,"vlen":2,"members":[{"name":"a","type_id":1,"bits_offset":0,"bitfield_size":3},{"name":"b","type_id":1,"bits_offset":3,"bitfield_size":29}]}',
    )
  })

  it('keeps every digit of values of 64 bits', () => {
    const lines = [...formatJson(parseBtf(encodeBtf(EVERY_KIND)))].join('\n')
    expect(lines).toContain('"val":18446744073709551615}')
    expect(lines).toContain('"val":-9223372036854775808}')
  })

  it('says which tags are attributes', () => {
    const lines = [...formatJson(parseBtf(encodeBtf(EVERY_KIND)))]
    expect(lines[25]).toBe(
      '{"id":26,"kind":"TYPE_TAG","name":"address_space(1)","type_id":1,"kind_flag":true}',
    )
  })

  it('escapes names that JSON would trip over', () => {
    expect(
      [...formatJson(parseBtf(encodeBtf([t.int('a"\\\n\x01ÿ')])))].map((line) => JSON.parse(line) as unknown),
    ).toMatchObject([{ name: 'a"\\\n\x01ÿ' }])
  })
})
