import { describe, expect, it } from 'vitest'
import { compileBpf, hasClang, kernelBtf, withRelocationKinds } from '../test/helpers/clang-bpf.ts'
import { coreCase } from '../test/helpers/core-case.ts'
import { buildRelolog } from '../test/helpers/relolog.ts'
import { ReloKind } from './index.ts'

/** clang 14 has no TYPE_MATCHES: exists checks are turned into it. */
const matching = (types: string, ...names: readonly string[]): Uint8Array =>
  withRelocationKinds(
    compileBpf(`${types}
      volatile u64 sink;
      SEC("raw_tp/x") int handler(void *ctx) {
        ${names.map((name) => `sink = type_exists(${name});`).join('\n')}
        return 0;
      }`),
    (kind) => (kind === ReloKind.TYPE_EXISTS ? ReloKind.TYPE_MATCHES : kind),
  )

const YES = 'type_matches = 1'
const no = (name: string): string => `type_matches absent: other-type ${name}`

interface Row {
  readonly name: string
  readonly kernel: string
  readonly local: string
  readonly asks: readonly string[]
  readonly said: readonly string[]
}

const rows: readonly Row[] = [
  {
    name: 'a struct matches with fewer members in another order, not with more or others',
    kernel: 'struct s { int a; long b; char c; } a; struct t { int a; } b; struct u { int a; int z; } c;',
    local: 'struct s { char c; int a; }; struct t { int a; int b; }; struct u { int a; int y; };',
    asks: ['struct s', 'struct t', 'struct u'],
    said: [YES, no('t'), no('u')],
  },
  {
    name: 'ints match by name, size and signedness, behind any typedef',
    kernel: 'typedef int num; struct s { num a; } a; struct t { unsigned a; } b; struct u { long a; } c;',
    local: 'struct s { int a; }; struct t { int a; }; struct u { int a; };',
    asks: ['struct s', 'struct t', 'struct u'],
    said: [YES, no('t'), no('u')],
  },
  {
    name: 'behind a pointer only kind and name of a struct count, and a declaration will do',
    kernel: `struct in { int a; }; struct fwd; struct s { struct in *p; struct fwd *q; union fu *r; } a; struct in i;
      struct t { struct aside *p; } b;`,
    local: `struct in { long other; }; struct fwd { int x; }; union fu { int x; };
      struct s { struct in *p; struct fwd *q; union fu *r; }; struct t { union aside *p; };`,
    asks: ['struct s', 'struct t'],
    said: [YES, no('t')],
  },
  {
    name: 'a pointer to void does not match a pointer to a struct, nor the other way',
    kernel:
      'struct in { int a; } i; struct s { struct in *p; } a; struct t { void *p; } b; struct v { void *p; } c;',
    local: 'struct in { int a; }; struct s { void *p; }; struct t { struct in *p; }; struct v { void *p; };',
    asks: ['struct s', 'struct t', 'struct v'],
    said: [no('s'), no('t'), YES],
  },
  {
    name: 'array lengths count, and enums need every name but not its value',
    kernel: `enum e { A = 1, B = 2 }; struct s { int a[3]; enum e e; } a; struct t { int a[3]; } b; enum f { X } c;`,
    local: `enum e { B = 7 }; struct s { int a[3]; enum e e; }; struct t { int a[4]; }; enum f { X, Y };`,
    asks: ['struct s', 'struct t', 'enum e', 'enum f'],
    said: [YES, no('t'), YES, no('f')],
  },
  {
    name: 'function types match by number and types of parameters, and what is returned',
    kernel: `struct s { int a; }; struct ops { int (*f)(struct s *, int); void (*g)(int); int (*h)(int); } a;
      struct bad1 { int (*f)(int, int); } b; struct bad2 { void (*f)(int); } c; struct bad3 { int (*f)(long); } d;`,
    local: `struct s { long z; }; struct ops { int (*f)(struct s *, int); void (*g)(int); };
      struct bad1 { int (*f)(int); }; struct bad2 { int (*f)(int); }; struct bad3 { int (*f)(int); };`,
    asks: ['struct ops', 'struct bad1', 'struct bad2', 'struct bad3'],
    said: [YES, no('bad1'), no('bad2'), no('bad3')],
  },
  {
    name: 'a callback that takes its own struct by value ends',
    kernel: 'struct s { int (*f)(struct s); int a; } a;',
    local: 'struct s { int (*f)(struct s); };',
    asks: ['struct s'],
    said: [YES],
  },
  {
    name: 'members of structs by value are compared in turn, anonymous ones with each other',
    kernel:
      'struct in { int a; int b; }; struct s { struct in i; union { int x; long y; }; } a; struct t { struct in i; } b;',
    local: 'struct in { int b; int q; }; struct s { union { int x; }; }; struct t { struct in i; };',
    asks: ['struct s', 'struct t'],
    said: [YES, no('t')],
  },
]

const relolog = hasClang ? buildRelolog() : null

describe.skipIf(!hasClang)(
  `TYPE_MATCHES says what libbpf says${relolog === null ? ' (not asked: there is none to build with)' : ''}`,
  () => {
    it.each(rows)('$name', ({ kernel, local, asks, said }) => {
      const result = coreCase(matching(local, ...asks), kernelBtf(kernel), relolog)
      expect(result.said).toEqual(said)
      if (result.oracle === null) return
      expect(result.oracle.full).toEqual(result.oracle.ours)
      expect(result.oracle.min).toEqual(result.oracle.full)
    })

    it('what is nested or pointed at too deeply makes the load fail, and no deeper than libbpf follows it', () => {
      const nested = (depth: number): string =>
        Array.from(
          { length: depth },
          (_, i) => `struct n${i + 1} { ${i === 0 ? 'int' : `struct n${i}`} m; };`,
        ).join(' ')
      const pointers = (depth: number): string => `typedef int ${'*'.repeat(depth)}deep_t;`
      const outcomes = [31, 32].flatMap((depth) => {
        const cases = [
          [nested(depth), `struct n${depth}`],
          [pointers(depth), 'deep_t'],
        ] as const
        return cases.map(([types, name]) => {
          const { said, oracle } = coreCase(matching(types, name), kernelBtf(`${types} ${name} x;`), relolog)
          expect(oracle?.full).toEqual(oracle?.ours)
          expect(oracle?.min).toEqual(oracle?.full)
          return said
        })
      })
      const [fits, fails] = ['type_matches = 1', 'type_matches failed: unreadable']
      expect(outcomes.flat()).toEqual([fits, fits, fails, fails])
    })

    it('what is left for a field of a type must not begin to match: the pointer that it was compared with stays', () => {
      const object = matching(
        `struct in { int a; }; struct s { void *p; } CORE;
         SEC("raw_tp/y") int other(struct s *s) { return (long)s->p; }`,
        'struct s',
      )
      const { said, oracle } = coreCase(
        object,
        kernelBtf('struct in { int a; } i; struct s { struct in *p; } a;'),
        relolog,
      )
      expect(said).toContain(no('s'))
      expect(said).toContain('byte_off = 0')
      expect(oracle?.min).toEqual(oracle?.full)
    })
  },
)
