import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type Btf,
  type BtfType,
  encodeBtf,
  type Endian,
  loadBtf,
  parseBtf,
  skipModifiersAndTypedefs,
  validateBtf,
} from '../btf/index.ts'
import { assembleBtf, info, t } from '../test/helpers/btf-bytes.ts'
import { btfCorpus, corpusBtf } from '../test/helpers/btf-corpus.ts'
import { compileBpf, hasClang, kernelBtf, withRelocationKinds } from '../test/helpers/clang-bpf.ts'
import { coreCase, namesIn, say } from '../test/helpers/core-case.ts'
import { havePrograms } from '../test/helpers/machine.ts'
import { buildRelolog } from '../test/helpers/relolog.ts'
import { minimize, parseBpfObject, ReloKind } from './index.ts'

/*
 * The fourteen known defects and limits of `bpftool gen min_core_btf`, each with an object compiled for it: what
 * bpftool does, what we do, and what libbpf makes of ours.
 */

interface Attempt {
  readonly status: number | null
  readonly signal: string | null
  readonly text: string
  readonly bytes: Uint8Array | null
}

const hasBpftool = havePrograms('bpftool')
const relolog = hasClang ? buildRelolog() : null

/** What bpftool does, where it is installed. */
function bpftool(kernel: Uint8Array, ...objects: readonly Uint8Array[]): Attempt | null {
  if (!hasBpftool) return null
  const dir = mkdtempSync(join(tmpdir(), 'bpftool-'))
  const write = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(dir, name), bytes)
    return join(dir, name)
  }
  const output = join(dir, 'min.btf')
  const paths = objects.map((bytes, i) => write(`${i}.bpf.o`, bytes))
  const run = spawnSync('bpftool', ['gen', 'min_core_btf', write('full.btf', kernel), output, ...paths], {
    encoding: 'utf8',
  })
  const bytes = run.status === 0 ? new Uint8Array(readFileSync(output)) : null
  return { status: run.status, signal: run.signal, text: run.stderr + run.stdout, bytes }
}

/** Where bpftool is not installed there is nothing to compare with; what we do is tested all the same. */
const expectBpftool = (attempt: Attempt | null, check: (attempt: Attempt) => void): void => {
  if (attempt !== null) check(attempt)
}

const ours = (kernel: Uint8Array, ...objects: readonly Uint8Array[]): Btf => {
  const { bytes } = minimize(
    loadBtf(kernel),
    objects.map((object, i) => parseBpfObject(`${i}.bpf.o`, object)),
  )
  const btf = parseBtf(bytes)
  validateBtf(btf)
  return btf
}

const program = (types: string, expression: string): Uint8Array =>
  compileBpf(`${types}
    volatile u64 sink;
    SEC("raw_tp/x") int handler(void *ctx) { sink = (u64)(${expression}); return 0; }`)

const asMatches = (object: Uint8Array): Uint8Array =>
  withRelocationKinds(object, (kind) => (kind === ReloKind.TYPE_EXISTS ? ReloKind.TYPE_MATCHES : kind))

const kernelOf = (types: readonly BtfType[], endian?: Endian): Uint8Array => encodeBtf(types, endian)
const INT = t.int('int')
const structs = (btf: Btf, name: string): BtfType[] => btf.idsByName(name).map((id) => btf.type(id))
const memberNames = (type: BtfType | undefined): string[] =>
  type?.kind === 'struct' ? type.members.map((member) => member.name) : []

/** libbpf with our min BTF does what it does with the full one. */
const expectSameLoad = (object: Uint8Array, kernel: Uint8Array, said: readonly string[]): void => {
  const result = coreCase(object, kernel, relolog)
  expect(result.said).toEqual(said)
  if (result.oracle === null) return
  expect(result.oracle.full).toEqual(result.oracle.ours)
  expect(result.oracle.min).toEqual(result.oracle.full)
}

const TWICE = [
  INT,
  t.struct('s', 8, [t.member('a', 1, 0), t.member('b', 1, 4)]),
  t.struct('s', 16, [t.member('a', 1, 8), t.member('b', 1, 4), t.member('c', 1, 0)]),
]

const without = [hasBpftool ? '' : 'bpftool', relolog === null ? 'libbpf' : ''].filter((name) => name !== '')
const note = without.length > 0 ? ` (not compared with ${without.join(' and ')}: not installed)` : ''

describe.skipIf(!hasClang)(`what bpftool gets wrong, or cannot${note}`, () => {
  it('1: a declaration at the end of a chain aborts it; we keep the declaration', () => {
    const object = program('struct hidden; typedef struct hidden *handle_t;', 'type_exists(handle_t)')
    const kernel = kernelOf([INT, t.fwd('hidden'), t.ptr(2), t.typedef('handle_t', 3)])
    expectBpftool(bpftool(kernel, object), ({ status, text }) => {
      expect(status).not.toBe(0)
      expect(text).toContain('fwd')
    })
    expectSameLoad(object, kernel, ['type_exists = 1'])
  })

  it('2: a type tag in a chain aborts it; we follow it', () => {
    const object = program('struct s { int a; }; typedef struct s *handle_t;', 'type_exists(handle_t)')
    const kernel = kernelOf([INT, t.struct('s', 4), t.tag('rcu', 2), t.ptr(3), t.typedef('handle_t', 4)])
    expectBpftool(bpftool(kernel, object), ({ status }) => expect(status).not.toBe(0))
    expectSameLoad(object, kernel, ['type_exists = 1'])
  })

  it('3: one ambiguous relocation aborts all objects; we keep what each needs, and only that one fails to load', () => {
    const ambiguous = program('struct s { int a; } CORE;', '((struct s *)ctx)->a')
    const fine = program('struct s { int b; } CORE;', '((struct s *)ctx)->b')
    const kernel = kernelOf(TWICE)
    expectBpftool(bpftool(kernel, fine, ambiguous), ({ status, text }) => {
      expect(status).not.toBe(0)
      expect(text).toContain('ambiguity')
    })
    expect(structs(ours(kernel, fine, ambiguous), 's').map(memberNames)).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ])
    expectSameLoad(ambiguous, kernel, ['byte_off failed: ambiguous'])
    expectSameLoad(fine, kernel, ['byte_off = 4'])
  })

  it('4: of types with one name it keeps the first that matches; cilium/ebpf needs the members of every one', () => {
    const object = program('struct s { int b; } CORE;', '((struct s *)ctx)->b')
    expectBpftool(bpftool(kernelOf(TWICE), object), ({ bytes }) => {
      expect(structs(parseBtf(bytes ?? new Uint8Array()), 's').length).toBe(1)
    })
    expect(structs(ours(kernelOf(TWICE), object), 's').map(memberNames)).toEqual([['b'], ['b']])
  })

  it('5: its result depends on the order of relocations; ours does not', () => {
    const types = 'struct s { int b; int c; } CORE; volatile u64 sink;'
    const order = (first: string, second: string): Uint8Array =>
      compileBpf(
        `${types} SEC("raw_tp/x") int handler(struct s *s) { sink = s->${first}; sink = s->${second}; return 0; }`,
      )
    const [bThenC, cThenB] = [order('b', 'c'), order('c', 'b')]
    const kernel = kernelOf(TWICE)
    const [one, two] = [bpftool(kernel, bThenC), bpftool(kernel, cThenB)]
    if (one !== null && two !== null) expect(one.bytes).not.toEqual(two.bytes)
    expect(ours(kernel, bThenC).bytes).toEqual(ours(kernel, cThenB).bytes)
    expectSameLoad(bThenC, kernel, ['byte_off = 4', 'byte_off = 0'])
    expectSameLoad(cThenB, kernel, ['byte_off = 0', 'byte_off = 4'])
  })

  it('6: a callback that takes its own struct by value makes it recurse until it crashes; we end', () => {
    const types = 'struct s { int (*f)(struct s); int a; };'
    const object = asMatches(program(types, 'type_exists(struct s)'))
    const kernel = kernelBtf(`${types} struct s x;`)
    expectBpftool(bpftool(kernel, object), ({ signal, status }) => {
      expect(signal ?? status).toBe('SIGSEGV')
    })
    expectSameLoad(object, kernel, ['type_matches = 1'])
  })

  it('for TYPE_MATCHES we keep all that it keeps: every member by value, structs behind pointers without', () => {
    const kernel = kernelBtf(`struct far { int x; }; struct in { int a; int b; }; enum e { A, B };
      struct s { struct in i; struct far *p; enum e e; int (*f)(struct in, int); union { int u; long l; }; int n[3]; } x;
      struct far y;`)
    const object = asMatches(program('struct s { int n[3]; };', 'type_exists(struct s)'))
    const kept = namesIn(ours(kernel, object))
    expect(kept).toEqual(
      expect.arrayContaining(['struct in.b', 'struct far', 'enum e', 'struct s.p', 'union .l']),
    )
    expect(kept).not.toContain('struct far.x')
    expectBpftool(bpftool(kernel, object), ({ bytes }) => {
      expect(kept).toEqual(expect.arrayContaining(namesIn(parseBtf(bytes ?? new Uint8Array()))))
    })
    expectSameLoad(object, kernel, ['type_matches = 1'])
  })

  it('7: an object without .BTF.ext is an error; for us it needs nothing', () => {
    const bare = compileBpf('int map SEC(".maps");')
    const kernel = kernelOf([INT, t.int('long int', 8)])
    expectBpftool(bpftool(kernel, bare), ({ status }) => expect(status).not.toBe(0))
    expect(parseBpfObject('bare.bpf.o', bare).lacks).toBe('.BTF.ext')
    expect(ours(kernel, bare).idCount).toBe(2)
  })

  it('8: legacy bitfields are an error; we copy them', () => {
    const object = program('struct s { int f; } CORE;', 'byte_offset(((struct s *)ctx)->f)')
    const narrow = { ...INT, bits: 3 }
    const kernel = kernelOf([narrow, t.struct('s', 8, [{ ...t.member('f', 1, 0), offsetBits: 37 }])])
    expectBpftool(bpftool(kernel, object), ({ status, text }) => {
      expect(status).not.toBe(0)
      expect(text).toContain('Invalid argument')
    })
    expectSameLoad(object, kernel, ['byte_off = 4'])
  })

  it('9: bitfields of a union that do not start at bit 0 (big-endian kernels) are an error; we copy them', () => {
    const object = program('union u { int f; } CORE;', 'byte_offset(((union u *)ctx)->f)')
    const kernel = kernelOf([INT, t.union('u', 4, [t.member('f', 1, 27, 5)])])
    expectBpftool(bpftool(kernel, object), ({ status, text }) => {
      expect(status).not.toBe(0)
      expect(text).toContain('Invalid argument')
    })
    const result = minimize(parseBtf(kernel), [parseBpfObject('o', object)])
    expect(result.resolutions[0]?.map(say)).toEqual(['byte_off = 0'])
    const [, union] = [1, 2].map((id) => parseBtf(result.bytes).type(id))
    expect(union?.kind === 'union' && union.members).toEqual([t.member('f', 1, 27, 5)])
  })

  it('10: it writes big-endian BTF in the byte order of the machine; ours stays big-endian', () => {
    const source = 'struct s { int b; } CORE; SEC("raw_tp/x") int handler(struct s *s) { return s->b; }'
    const kernel = kernelOf(TWICE, 'big')
    expectBpftool(bpftool(kernel, compileBpf(source)), ({ bytes }) => {
      expect(bytes?.[0]).toBe(0x9f)
    })
    const min = ours(kernel, compileBpf(source, { endian: 'big' }))
    expect(min.endian).toBe('big')
    // The same needs, whatever the object's byte order, and the same types, byte-swapped.
    expect(ours(kernel, compileBpf(source)).bytes).toEqual(min.bytes)
    const little = ours(kernelOf(TWICE), compileBpf(source))
    for (let id = 1; id < min.idCount; id++) expect(min.type(id)).toEqual(little.type(id))
  })

  it('11: split BTF of a module cannot be given to it; for us it is one id space with its base', () => {
    const object = program('struct mod { int c; } CORE;', '((struct mod *)ctx)->c')
    const base = parseBtf(kernelOf(TWICE))
    const at = base.strings.end
    const module = assembleBtf({
      records: [[at, info(4, 1), 8, at + 4, 1, 32]],
      strings: Buffer.from('mod\0c\0'),
    })
    expectBpftool(bpftool(module, object), ({ status }) => expect(status).not.toBe(0))
    const result = minimize(parseBtf(module, { base }), [parseBpfObject('o', object)])
    expect(result.resolutions[0]?.map(say)).toEqual(['byte_off = 4'])
    expectSameLoad(object, result.bytes, ['byte_off = 4'])
  })

  it('12: ids of target types are those of the min BTF, of which the kernel knows nothing; nobody can do better', () => {
    const object = program('struct s { int b; };', 'type_id_target(struct s)')
    const kernel = kernelOf([INT, t.struct('other', 4), t.struct('s', 4)])
    const result = coreCase(object, kernel, relolog)
    expect(result.said).toEqual(['target_type_id = 3'])
    expect(result.min.idsByName('s')).toEqual([1])
    if (result.oracle !== null) expect(result.oracle.min).toEqual(result.oracle.full)
  })

  it('13: from libbpf 1.8 on its header has 32 bytes, which old readers take for types; ours has 24', () => {
    const min = ours(kernelOf(TWICE), program('struct s { int b; } CORE;', '((struct s *)ctx)->b'))
    expect(min.header.headerBytes).toBe(24)
    expect(min.header.typesOffset).toBe(24)
  })
})

describe.skipIf(!hasClang || btfCorpus === null)(
  `what bpftool gets wrong on a real kernel${btfCorpus === null ? ' (skipped: no corpus)' : ''}`,
  () => {
    it('14: types of one name and different layout are real: all of them are kept', () => {
      const kernel = corpusBtf('debian/12/x86_64/6.1.0-56-amd64.btf.xz')
      const full = loadBtf(kernel)
      const hasIntIrq = (type: BtfType): boolean =>
        type.kind === 'struct' &&
        type.members.some(
          ({ name, typeId }) =>
            name === 'irq' && full.type(skipModifiersAndTypedefs(full, typeId)).kind === 'int',
        )
      const all = structs(full, 'irq_info').filter(hasIntIrq)
      expect(all.length).toBeGreaterThan(1)
      const object = program(
        'struct irq_info { unsigned char irq; } CORE;',
        'field_exists(((struct irq_info *)ctx)->irq)',
      )
      expect(structs(ours(kernel, object), 'irq_info').length).toBe(all.length)
    })
  },
)
