import { describe, expect, it } from 'vitest'
import { assembleBtf, EVERY_KIND, info, t } from '../test/helpers/btf-bytes.ts'
import {
  clangBpf,
  definitions,
  layoutAssertions,
  memberList,
  useEveryType,
} from '../test/helpers/c-layout.ts'
import { havePrograms } from '../test/helpers/machine.ts'
import { type Btf, parseBtf } from './btf.ts'
import { encodeBtf } from './encode.ts'
import { formatHeader, formatType } from './format-c.ts'
import { loadBtf } from './load.ts'
import type { BtfType } from './types.ts'

const m = t.member
const btfOf = (...types: BtfType[]): Btf => parseBtf(encodeBtf(types))

/** What stands between the pragmas. */
function body(btf: Btf): string {
  const text = [...formatHeader(btf)].join('\n')
  return text
    .slice(text.indexOf('record)\n#endif') + 14, text.indexOf('#ifndef BPF_NO_KFUNC_PROTOTYPES'))
    .trim()
}

describe('one type as C', () => {
  const types = [
    t.int('int'),
    t.int('char', 1),
    t.array(2, 16),
    t.struct('', 4, [m('low', 1, 0, 12), m('high', 1, 12, 20)]),
    t.struct('thing', 64, [m('id', 1, 0), m('name', 3, 4), m('', 4, 24), m('next', 6, 32), m('call', 7, 40)]),
    t.ptr(5),
    t.ptr(8),
    t.proto(1, [
      { name: 'self', typeId: 6 },
      { name: '', typeId: 0 },
    ]),
    t.enum('state', [
      { name: 'OFF', value: -1n },
      { name: 'ON', value: 1n },
    ]),
    t.typedef('thing_t', 5),
    t.func('thing_call', 8),
    t.var('things', 12),
    t.array(6, 4),
    t.union('thing', 4, [m('n', 1, 0)]),
    t.fwd('elsewhere'),
  ]
  const btf = btfOf(...types)

  it('shows offsets, sizes and holes', () => {
    expect(formatType(btf, 'struct thing')).toBe(
      `struct thing {
\tint id;                                                  /*     0       4 */
\tchar name[16];                                           /*     4      16 */
\t/* hole: 4 bytes */
\tstruct {
\t\tint low: 12;                                     /*    24:0     4 */
\t\tint high: 20;                                    /*    25:4     4 */
\t};                                                       /*    24       4 */
\t/* hole: 4 bytes */
\tstruct thing *next;                                      /*    32       8 */
\tint (*call)(struct thing *, ...);                        /*    40       8 */
\t/* padding: 16 bytes */
}; /* size: 64, members: 5 */`,
    )
  })

  it.each([
    [1, 'int;'],
    [3, 'char [16];'],
    [6, 'struct thing *;'],
    [7, 'int (*)(struct thing *, ...);'],
    [9, 'enum state {\n\tOFF = -1,\n\tON = 1,\n}; /* size: 4, values: 2 */'],
    [10, 'typedef struct thing thing_t;'],
    [11, 'int thing_call(struct thing *self, ...);'],
    [12, 'struct thing *things[4];'],
    [15, 'struct elsewhere;'],
    [0, 'void;'],
  ])('%i is shown', (id, text) => {
    const shown = formatType(
      id === 12 ? btfOf(...types.slice(0, 11), t.var('things', 13), ...types.slice(12)) : btf,
      id,
    )
    expect(shown).toBe(text)
  })

  it('gives all types of a name, those of one keyword, or null', () => {
    expect(formatType(btf, 'thing')?.split('\n\n').length).toBe(2)
    expect(formatType(btf, 'union thing')).toContain('union thing {')
    expect(formatType(btf, 'thing_t')).toBe('typedef struct thing thing_t;')
    expect(formatType(btf, 'nothing')).toBeNull()
    expect(formatType(btf, 'enum thing')).toBeNull()
    expect(formatType(btf, '')).toBeNull()
  })

  it('refuses an id that is not there', () => {
    expect(() => formatType(btf, 16)).toThrow('type id 16: has no record')
  })

  it('shows every kind', () => {
    const all = btfOf(...EVERY_KIND)
    for (const type of EVERY_KIND) expect(formatType(all, type.id)).not.toBe('')
  })
})

describe('declarations', () => {
  const int = t.int('int')
  it.each<[string, BtfType[], string]>([
    ['a pointer to const', [int, t.ref('const', 1), t.ptr(2)], 'typedef const int *x;'],
    ['a const pointer', [int, t.ptr(1), t.ref('const', 2)], 'typedef int *const x;'],
    ['a restrict pointer', [int, t.ptr(1), t.ref('restrict', 2)], 'typedef int *restrict x;'],
    ['restrict on what is no pointer', [int, t.ref('restrict', 1)], 'typedef int x;'],
    ['qualifiers given twice', [int, t.ref('const', 1), t.ref('const', 2)], 'typedef const int x;'],
    ['an array of arrays', [int, t.array(1, 3), t.array(2, 2)], 'typedef int x[2][3];'],
    ['an array of pointers', [int, t.ptr(1), t.array(2, 2)], 'typedef int *x[2];'],
    ['a pointer to an array', [int, t.array(1, 2), t.ptr(2)], 'typedef int (*x)[2];'],
    ['a const array', [int, t.array(1, 2), t.ref('const', 2)], 'typedef const int x[2];'],
    ['a function', [int, t.proto(1)], 'typedef int x(void);'],
    [
      'a function of a single void, as clang has it',
      [int, t.proto(1, [{ name: '', typeId: 0 }])],
      'typedef int x(void);',
    ],
    [
      'a pointer to a function',
      [int, t.proto(0, [{ name: 'a', typeId: 1 }]), t.ptr(2)],
      'typedef void (*x)(int);',
    ],
    [
      'an array of pointers to functions',
      [int, t.proto(0), t.ptr(2), t.array(3, 4)],
      'typedef void (*x[4])(void);',
    ],
    [
      'a function that returns a pointer to a function',
      [int, t.proto(1), t.ptr(2), t.proto(3), t.ptr(4)],
      'typedef int (*(*x)(void))(void);',
    ],
    [
      'a noreturn function, as gcc has it',
      [int, t.proto(0), t.ref('volatile', 2), t.ptr(3)],
      'typedef void (*x)(void);',
    ],
    ['a tagged pointer', [int, t.tag('rcu', 1), t.ptr(2)], 'typedef __btf_type_tag("rcu") int *x;'],
    [
      'an attribute',
      [int, t.tag('address_space(1)', 1, true), t.ptr(2)],
      'typedef __btf_attribute(address_space(1)) int *x;',
    ],
    ['a tag that would end the string', [int, t.tag('a"b', 1), t.ptr(2)], 'typedef int *x;'],
    ['void', [t.ptr(0)], 'typedef void *x;'],
    ['an int without a name', [{ ...int, name: '' }], 'typedef signed int x;'],
    ['an int that is no C', [t.int('__Poly64_t', 8, 0)], 'typedef unsigned long long x;'],
    ['a long of 32 bits', [t.int('long int', 4), t.int('u64', 8, 0)], 'typedef unsigned long long x;'],
    ['a bool by another name', [t.int('bool', 1, 4)], 'typedef _Bool x;'],
    ['a long double', [t.float('long double', 16)], 'typedef unsigned __int128 x;'],
    [
      'a float that C has not',
      [t.float('long double', 12)],
      'typedef struct { unsigned char bytes[12]; } x;',
    ],
    ['a double among ints, as before 5.13', [t.int('double', 8, 0)], 'typedef double x;'],
    ['an enum that is nowhere', [t.enum('later', [])], 'typedef unsigned int x;'],
  ])('of %s', (_, types, text) => {
    expect(body(btfOf(...types, t.typedef('x', types.length)))).toContain(text)
  })
})

describe('a header', () => {
  const int = t.int('int')

  it('defines before use, and declares what only pointers need', () => {
    const btf = btfOf(
      int,
      t.struct('outer', 24, [m('inner', 3, 0), m('other', 4, 8), m('f', 7, 16)]),
      t.struct('inner', 8, [m('outer', 5, 0)]),
      t.ptr(6),
      t.ptr(2),
      t.fwd('elsewhere'),
      t.typedef('callback', 8),
      t.ptr(9),
      t.proto(0, [{ name: '', typeId: 5 }]),
    )
    expect(body(btf)).toBe(
      [
        'struct outer;\n',
        'struct inner {\n\tstruct outer *outer;\n};\n',
        'typedef void (*callback)(struct outer *);\n',
        'struct elsewhere;\n',
        'struct outer {\n\tstruct inner inner;\n\tstruct elsewhere *other;\n\tcallback f;\n};',
      ].join('\n'),
    )
  })

  it('wants elements of arrays whole, even behind a pointer', () => {
    const btf = btfOf(
      int,
      t.struct('a', 8, [m('p', 3, 0)]),
      t.ptr(4),
      t.array(5, 2),
      t.struct('b', 4, [m('x', 1, 0)]),
    )
    expect(body(btf)).toMatch(/^struct b \{[^]*struct a \{\n\tstruct b \(\*p\)\[2\];/)
  })

  it('gives types of one name different names, which CO-RE takes for the same', () => {
    const btf = btfOf(
      int,
      t.struct('twice', 4, [m('a', 1, 0)]),
      t.struct('twice', 4, [m('b', 1, 0)]),
      t.union('twice', 4, [m('c', 1, 0)]),
      t.struct('user', 16, [m('p', 3, 0), m('q', 6, 8)]),
      t.ptr(3),
      t.typedef('name', 1),
      t.typedef('name', 3),
      t.struct('twice___2', 0),
    )
    const text = body(btf)
    for (const line of [
      'struct twice {\n\tint a;',
      'struct twice___2 {\n\tint b;',
      'union twice___3 {\n\tint c;',
      'struct twice___2 p;',
      'struct twice___2 *q;',
      'typedef int name;',
      'typedef struct twice___2 name___2;',
      'struct twice___2___2 {',
    ]) {
      expect(text).toContain(line)
    }
  })

  it('keeps the constants of anonymous enums, each name once', () => {
    const values = [{ name: 'A', value: 1n }]
    const btf = btfOf(
      int,
      t.enum('', values),
      t.struct('s', 8, [m('x', 2, 0), m('y', 2, 4)]),
      t.enum('', values),
    )
    expect(body(btf)).toBe(
      'struct s {\n\tenum {\n\t\tA = 1,\n\t} x;\n\tenum {\n\t\tA___2 = 1,\n\t} y;\n};\n\nenum {\n\tA___3 = 1,\n};',
    )
  })

  it('has names that C takes', () => {
    const btf = btfOf(int, t.struct('core::option<u8>', 8, [m('int', 1, 0), m('0', 1, 4)]))
    expect(body(btf)).toBe('struct core__option_u8_ {\n\tint int_;\n\tint _0;\n};')
  })

  it('leaves bool, true and false to C23', () => {
    const btf = btfOf(
      t.int('_Bool', 1, 4),
      t.typedef('bool', 1),
      t.enum('', [
        { name: 'false', value: 0n },
        { name: 'true', value: 1n },
      ]),
    )
    const guard = '#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202000L'
    expect(body(btf)).toBe(
      `${guard}\ntypedef _Bool bool;\n#endif\n\n${guard}\nenum {\n\tfalse = 0,\n\ttrue = 1,\n};\n#endif`,
    )
  })

  it('declares kfuncs with what they take', () => {
    const btf = btfOf(
      int,
      t.ptr(3),
      t.fwd('task_struct'),
      t.proto(1, [
        { name: 'task', typeId: 2 },
        { name: 'flags', typeId: 5 },
      ]),
      t.typedef('flags', 1),
      t.func('bpf_task_acquire', 4),
      t.declTag('bpf_kfunc', 6),
      t.declTag('bpf_fastcall', 6),
      t.func('printk', 4),
    )
    const text = [...formatHeader(btf)].join('\n')
    expect(text).toContain('struct task_struct;\n')
    // A parameter that is called as its type would hide it.
    expect(text).toContain(
      'extern int bpf_task_acquire(struct task_struct *task, flags) __weak __ksym __bpf_fastcall;',
    )
    expect(text).not.toContain('printk')
  })

  it('refuses what has to be defined before itself', () => {
    // A struct that holds a pointer to an array of itself: C wants the struct to be whole by then.
    const btf = btfOf(int, t.struct('s', 8, [m('p', 3, 0)]), t.ptr(4), t.array(2, 1))
    expect(() => body(btf)).toThrow(
      expect.objectContaining({
        code: 'MALFORMED',
        message: expect.stringContaining('type id 2 at byte 40: has to be defined before itself') as unknown,
      }),
    )
  })
})

describe.skipIf(!havePrograms('clang'))('layout under clang (skipped without clang)', () => {
  const int = t.int('int')
  const basics = [
    int,
    t.int('char', 1),
    t.int('long int', 8),
    t.int('short int', 2),
    t.int('_Bool', 1, 4),
    t.int('__int128', 16),
  ]
  const [INT, CHAR, LONG, SHORT, BOOL, INT128] = [1, 2, 3, 4, 5, 6]
  const first = basics.length + 1

  it.each<[string, BtfType[], RegExp | null]>([
    [
      'as C would lay it out by itself',
      [t.struct('s', 16, [m('a', CHAR, 0), m('b', INT, 4), m('c', LONG, 8)])],
      /^((?!packed|: ).)*$/s,
    ],
    [
      'with a hole that C would not leave',
      [t.struct('s', 16, [m('a', CHAR, 0), m('b', CHAR, 3), m('c', LONG, 8)])],
      /unsigned long long: 16;/,
    ],
    ['with trailing padding', [t.struct('s', 64, [m('a', LONG, 0)])], /unsigned long long: 64;/],
    [
      'with a hole of a page',
      [t.struct('s', 8192, [m('a', LONG, 0), m('b', LONG, 4096)])],
      /unsigned char __btf_padding\[4088\];/,
    ],
    ['packed', [t.struct('s', 5, [m('a', CHAR, 0), m('b', INT, 1)])], /packed/],
    ['packed because of its size', [t.struct('s', 9, [m('a', LONG, 0), m('b', CHAR, 8)])], /packed/],
    ['packed with a hole', [t.struct('s', 11, [m('a', CHAR, 0), m('b', LONG, 3)])], /packed/],
    [
      'with a packed struct inside',
      [
        t.struct('p', 5, [m('a', CHAR, 0), m('b', INT, 1)]),
        t.struct('s', 12, [m('p', first, 0), m('i', INT, 8)]),
      ],
      null,
    ],
    [
      'with a union larger than its members',
      [t.union('u', 64, [m('a', INT, 0)]), t.struct('s', 128, [m('u', first, 0), m('v', first, 64)])],
      /aligned\(64\)/,
    ],
    ['with a union of no members', [t.union('u', 8)], /unsigned char __btf_padding\[8\];/],
    [
      'with a packed union',
      [t.union('u', 5, [m('a', INT, 0), m('b', first + 1, 0)]), t.array(CHAR, 5)],
      /packed/,
    ],
    ['with bitfields', [t.struct('s', 8, [m('a', INT, 0, 3), m('b', INT, 3, 29), m('c', INT, 32, 1)])], null],
    [
      'with bitfields that leave bits',
      [t.struct('s', 8, [m('a', INT, 4, 3), m('b', INT, 10, 2), m('c', INT, 32, 1)])],
      /unsigned int: 4;/,
    ],
    ['with a bitfield across units', [t.struct('s', 8, [m('a', INT, 0, 20), m('b', INT, 20, 20)])], /packed/],
    [
      'with bitfields of char, bool and long',
      [t.struct('s', 8, [m('a', CHAR, 0, 7), m('b', BOOL, 8, 1), m('c', LONG, 9, 40), m('d', CHAR, 56, 8)])],
      null,
    ],
    [
      'with a bitfield at the end of an unaligned struct',
      [t.struct('s', 3, [m('a', CHAR, 0, 8), m('b', SHORT, 8, 9)])],
      null,
    ],
    [
      'with old bitfields',
      [
        { ...int, bits: 4 },
        { ...int, bits: 28 },
        {
          ...t.struct('s', 4, [m('a', first, 0), { ...m('b', first + 1, 0), offsetBits: 4 }]),
          hasBitfieldSizes: false,
        },
      ],
      /: 28;/,
    ],
    ['with 128 bits', [t.struct('s', 32, [m('a', CHAR, 0), m('b', INT128, 16)])], null],
    [
      'with a flexible array',
      [t.array(LONG, 0), t.struct('s', 8, [m('n', INT, 0), m('data', first, 8)])],
      null,
    ],
    [
      'with enums of one, two and eight bytes',
      [
        t.enum('e1', [{ name: 'A', value: 255n }], 1),
        t.enum('e2', [{ name: 'B', value: -3n }], 2),
        t.enum('e8', [{ name: 'C', value: 1n }], 8, 'enum64'),
        t.struct('s', 16, [m('a', first, 0), m('b', first + 1, 2), m('c', first + 2, 8)]),
      ],
      null,
    ],
    [
      'with large values',
      [
        t.struct('s', 0),
        t.enum('e', [{ name: 'D', value: 0xffffffffn }]),
        t.enum(
          'f',
          [
            { name: 'E', value: -(2n ** 63n) },
            { name: 'F', value: 2n ** 63n - 1n },
          ],
          8,
          'enum64',
        ),
        t.enum('g', [{ name: 'G', value: 2n ** 64n - 1n }], 8, 'enum64'),
      ],
      null,
    ],
    [
      'with a va_list by value',
      [
        t.struct('__va_list_tag', 24, [m('a', INT, 0), m('b', LONG, 8), m('c', LONG, 16)]),
        t.array(first, 1),
        t.typedef('__builtin_va_list', first + 1),
        t.typedef('va_list', first + 2),
        t.struct('s', 40, [m('fmt', LONG, 0), m('args', first + 3, 8), m('p', first + 5, 32)]),
        t.ptr(first + 3),
      ],
      null,
    ],
    [
      'with a struct as a member without a name',
      [
        t.struct('part', 8, [m('x', INT, 0), m('y', INT, 4)]),
        t.struct('s', 16, [m('', first, 0), m('z', LONG, 8)]),
      ],
      null,
    ],
    [
      'with members that are not in order',
      [t.struct('s', 16, [m('b', INT, 8), m('a', INT, 0), m('c', SHORT, 4)])],
      /int a;.*short int c;.*int b;/s,
    ],
    [
      'with members of one name',
      [t.struct('', 4, [m('hide', INT, 0)]), t.struct('s', 8, [m('', first, 0), m('hide', INT, 4)])],
      /hide___2/,
    ],
    [
      'with anonymous unions and structs',
      [
        t.struct('', 8, [m('a', INT, 0), m('b', INT, 4)]),
        t.union('', 8, [m('', first, 0), m('l', LONG, 0)]),
        t.struct('s', 24, [m('c', CHAR, 0), m('', first + 1, 8), m('inner', first, 16)]),
      ],
      null,
    ],
    ['without members', [t.struct('s', 0), t.struct('opaque', 48)], null],
  ])('%s', (_, types, expected) => {
    const btf = btfOf(...basics, ...types)
    const header = [...formatHeader(btf)].join('\n')
    const main = [...layoutAssertions(btf), ...useEveryType(btf)].join('\n')
    const { object, errors } = clangBpf(header, main, 'object', ['-Wno-bitfield-enum-conversion'])
    expect(errors).toEqual([])
    if (expected !== null) expect(body(btf)).toMatch(expected)
    const compiled = loadBtf(object as Uint8Array)
    const again = definitions(compiled)
    for (const [name, id] of definitions(btf)) {
      const other = again.get(name) ?? 0
      expect([name, compiled.sizeOrType(other)]).toEqual([name, btf.sizeOrType(id)])
      expect(memberList(compiled, other).sort()).toEqual(memberList(btf, id).sort())
    }
  })

  it('a header of every kind compiles as C17 and as C23', () => {
    const header = [...formatHeader(btfOf(...EVERY_KIND))].join('\n')
    for (const std of ['-std=gnu17', '-std=gnu2x'])
      expect(clangBpf(header, '', 'check', [std]).errors).toEqual([])
  })
})

it('unknown kinds are passed over', () => {
  const layout: [number, number][] = Array.from({ length: 21 }, (_, kind) =>
    kind === 20 ? [4, 0] : (KNOWN_LAYOUT[kind] ?? [0, 0]),
  )
  const btf = parseBtf(
    assembleBtf({
      records: [
        [0, info(20), 0, 9],
        [1, info(1), 4, (1 << 24) | 32],
        [1, info(8), 2],
      ],
      strings: ['', 'int'],
      layout,
    }),
  )
  expect(body(btf)).toBe('typedef int int_;')
  expect(() => formatType(btf, 1)).toThrow('type id 1 at byte 32: kind 20 has no place in a declaration')
})

const KNOWN_LAYOUT: Readonly<Record<number, [number, number]>> = {
  1: [4, 0],
  3: [12, 0],
  4: [0, 12],
  5: [0, 12],
  6: [0, 8],
  13: [0, 8],
  14: [4, 0],
  15: [0, 12],
  17: [4, 0],
  19: [0, 12],
}
