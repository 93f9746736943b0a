import { describe, expect, it } from 'vitest'
import { compileBpf, hasClang, kernelBtf, withRelocationKinds } from '../test/helpers/clang-bpf.ts'
import { coreCase } from '../test/helpers/core-case.ts'
import { buildRelolog } from '../test/helpers/relolog.ts'
import { ReloKind } from './index.ts'

interface Row {
  readonly name: string
  readonly kernel: string
  readonly program: string
  readonly said: readonly string[]
}

/** A program of one function whose expressions are relocated in the order of `said`. */
const using = (types: string, ...expressions: readonly string[]): string => `
  ${types}
  volatile u64 sink;
  SEC("raw_tp/x") int handler(void *ctx) {
    ${expressions.map((e) => `sink = (u64)(${e});`).join('\n    ')}
    return 0;
  }`

const rows: readonly Row[] = [
  {
    name: 'a moved field has its new offset, size and shifts',
    kernel: 'struct task { long pad[4]; int pid; unsigned char c; } a;',
    program: using(
      'struct task { int pid; unsigned char c; } CORE;',
      'byte_offset(((struct task *)ctx)->pid)',
      'byte_size(((struct task *)ctx)->pid)',
      'field_signed(((struct task *)ctx)->pid)',
      'field_signed(((struct task *)ctx)->c)',
      'lshift(((struct task *)ctx)->pid)',
      'rshift(((struct task *)ctx)->c)',
    ),
    said: ['byte_off = 32', 'byte_sz = 4', 'signed = 1', 'signed = 0', 'lshift_u64 = 32', 'rshift_u64 = 56'],
  },
  {
    name: 'a load of an unsigned field changes its width, one of a signed field is poisoned',
    kernel: 'struct task { u64 start; long state; u64 *p; } a;'.replace(/u64/g, 'unsigned long long'),
    program: using(
      'struct task { u32 start; int state; u32 *p; } CORE;',
      '((struct task *)ctx)->start',
      '((struct task *)ctx)->state',
      '((struct task *)ctx)->p',
    ),
    said: ['byte_off = 0', 'byte_off poisoned: other-width 4 to 8 bytes', 'byte_off = 16'],
  },
  {
    name: 'a missing field is 0 for an exists check and poison for everything else',
    kernel: 'struct task { int pid; } a;',
    program: using(
      'struct task { int gone; } CORE; struct never { int x; } CORE;',
      'field_exists(((struct task *)ctx)->gone)',
      'byte_size(((struct task *)ctx)->gone)',
      '((struct task *)ctx)->gone',
      'field_exists(((struct never *)ctx)->x)',
    ),
    said: [
      'field_exists absent: no-member gone',
      'byte_sz poisoned: no-member gone',
      'byte_off poisoned: no-member gone',
      'field_exists absent: no-type never',
    ],
  },
  {
    name: 'a flavor is left out of the type name, up to the last one',
    kernel: 'struct task { int pad; int pid; } a; struct two___x { int pad[2]; int pid; } b;',
    program: using(
      'struct task___old { int pid; } CORE; struct two___x___y { int pid; } CORE;',
      'byte_offset(((struct task___old *)ctx)->pid)',
      'byte_offset(((struct two___x___y *)ctx)->pid)',
    ),
    said: ['byte_off = 4', 'byte_off poisoned: no-type two___x___y'],
  },
  {
    name: 'a field may move into or out of anonymous structs and unions',
    kernel: 'struct s { int pad; union { long l; struct { int a; int b; }; }; int c; } a;',
    program: using(
      'struct s { int b; struct { int c; }; int a; } CORE;',
      'byte_offset(((struct s *)ctx)->a)',
      'byte_offset(((struct s *)ctx)->b)',
      'byte_offset(((struct s *)ctx)->c)',
    ),
    said: ['byte_off = 8', 'byte_off = 12', 'byte_off = 16'],
  },
  {
    name: 'arrays: element sizes are the kernel’s, bounds too, and a last empty array has none',
    kernel: `struct e { long x; int y; }; struct s { int n; struct e few[3]; int flex[]; } a;
      struct m { int none[0]; int after; } b;`,
    program: using(
      `struct e { int y; }; struct s { struct e few[8]; int flex[]; } CORE; struct m { int none[4]; } CORE;`,
      'byte_offset(((struct s *)ctx)->few[2].y)',
      'byte_offset(((struct s *)ctx)->few[3].y)',
      'byte_offset(((struct s *)ctx)->flex[7])',
      'byte_size(((struct s *)ctx)->few)',
      'byte_offset(((struct m *)ctx)->none)',
      'field_exists(((struct m *)ctx)->none[1])',
    ),
    said: [
      'byte_off = 48',
      'byte_off poisoned: out-of-bounds element 3',
      'byte_off = 84',
      'byte_sz = 48',
      'byte_off = 0',
      'field_exists absent: out-of-bounds element 1',
    ],
  },
  {
    name: 'the root may be an array, the field’s type a chain of typedefs and qualifiers',
    kernel: 'typedef const volatile int num; typedef num num_t; struct s { long a; num_t b; } a;',
    program: using('struct s { int b; } CORE;', 'byte_offset(((struct s *)ctx)[2].b)'),
    said: ['byte_off = 40'],
  },
  {
    name: 'bitfields: the smallest load that has them, and shifts',
    kernel:
      'struct s { unsigned a:5; int b:3; unsigned long long c:33; unsigned long long d:20; _Bool e:1; } a;',
    program: using(
      'struct s { unsigned a:5; int b:3; u64 c:33; u64 d:20; unsigned e; } CORE;',
      ...['b', 'c', 'd'].flatMap((f) =>
        ['byte_offset', 'byte_size', 'field_signed', 'lshift', 'rshift'].map(
          (q) => `${q}(((struct s *)ctx)->${f})`,
        ),
      ),
      'byte_size(((struct s *)ctx)->e)',
    ),
    said: [
      ...['byte_off = 0', 'byte_sz = 4', 'signed = 1', 'lshift_u64 = 56', 'rshift_u64 = 61'],
      ...['byte_off = 0', 'byte_sz = 8', 'signed = 0', 'lshift_u64 = 23', 'rshift_u64 = 31'],
      ...['byte_off = 0', 'byte_sz = 8', 'signed = 0', 'lshift_u64 = 3', 'rshift_u64 = 44'],
      'byte_sz = 1',
    ],
  },
  {
    name: 'fields of incompatible types are not taken: struct for int, int for pointer, another enum',
    kernel: `enum yes { Y }; enum other { O }; struct s { struct { int x; } a; int b; enum other c; enum { ANON } d; float f;
      int arr[3]; int (*fn)(int); } a;`,
    program: using(
      `enum yes { Y }; struct s { int a; void *b; enum yes c; enum yes d; float f; long arr[5]; void *fn; } CORE;`,
      ...['a', 'b', 'c', 'd', 'f', 'arr', 'fn'].map((f) => `field_exists(((struct s *)ctx)->${f})`),
    ),
    said: [
      'field_exists absent: other-type a',
      'field_exists absent: other-type b',
      'field_exists absent: other-type c',
      'field_exists = 1',
      'field_exists = 1',
      'field_exists = 1',
      'field_exists = 1',
    ],
  },
  {
    name: 'types: existence and size, through typedefs, pointers and function types',
    kernel: `struct s { long a[5]; } a; typedef struct s s_t; s_t b; typedef int (*fn_t)(struct s *, long); fn_t c;
      typedef int (*gn_t)(struct s *, struct s); gn_t d; union u { int x; } e; typedef struct s *p_t; p_t f;`,
    program: using(
      `struct s { int x; }; typedef struct s s_t; typedef int (*fn_t)(struct s *, int); typedef int (*gn_t)(struct s *, int);
       struct u { int x; }; typedef void *p_t; struct none { int x; };`,
      'type_exists(struct s)',
      'type_size(struct s)',
      'type_exists(s_t)',
      'type_size(s_t)',
      'type_exists(fn_t)',
      'type_exists(gn_t)',
      'type_exists(struct u)',
      'type_exists(p_t)',
      'type_exists(struct none)',
      'type_size(struct none)',
    ),
    said: [
      'type_exists = 1',
      'type_size = 40',
      'type_exists = 1',
      'type_size = 40',
      'type_exists = 1',
      'type_exists absent: other-type gn_t',
      'type_exists absent: no-type u',
      'type_exists absent: other-type p_t',
      'type_exists absent: no-type none',
      'type_size absent: no-type none',
    ],
  },
  {
    name: 'enumerators: value and existence, flavors of both names, 32 and 64 bits',
    kernel: `enum e { A = 5, B = -2 } a; enum big { H = 0x8000000000000000ULL, L = 1 } b; typedef enum { T = 9 } t; t c;`,
    program: using(
      `enum e { A = 1, B = 2, C = 3 }; enum e___v2 { B___v2 = 7 }; enum big { H = 1, L = 2 }; typedef enum { T = 1 } t;`,
      'enumval(enum e, A)',
      'enumval(enum e, B)',
      'enumval_exists(enum e, A)',
      'enumval_exists(enum e, C)',
      'enumval(enum e, C)',
      'enumval(enum e___v2, B___v2)',
      'enumval(t, T)',
    ),
    said: [
      'enumval_value = 5',
      'enumval_value = -2',
      'enumval_exists = 1',
      'enumval_exists absent: no-enumerator C',
      'enumval_value poisoned: no-enumerator C',
      'enumval_value = -2',
      'enumval_value = 9',
    ],
  },
]

const relolog = hasClang ? buildRelolog() : null
const asked = relolog === null ? ' (libbpf is not asked: there is none to build with)' : ''

describe.skipIf(!hasClang)(`relocations resolve as libbpf resolves them${asked}`, () => {
  it.each(rows)('$name', ({ kernel, program, said }) => {
    const result = coreCase(compileBpf(program), kernelBtf(kernel), relolog)
    expect(result.said).toEqual(said)
    if (result.oracle === null) return
    expect(result.oracle.full).toEqual(result.oracle.ours)
    expect(result.oracle.min).toEqual(result.oracle.full)
    expect(result.oracle.full.length).toBeGreaterThan(0)
  })

  it('each of the thirteen kinds, in one program', () => {
    const field = '((struct s *)ctx)->f'
    const asks = ['byte_offset', 'byte_size', 'field_exists', 'field_signed', 'lshift', 'rshift']
    const program = using(
      'struct s { int f:3; } CORE; struct only { int x; }; union like { int x; }; enum e { A = 1 };',
      ...asks.map((ask) => `${ask}(${field})`),
      ...['type_id_local', 'type_id_target', 'type_exists', 'type_size'].map((ask) => `${ask}(struct only)`),
      'enumval_exists(enum e, A)',
      'enumval(enum e, A)',
      // The second question about this one is made into the kind that this clang does not know.
      'type_exists(union like)',
    )
    let exists = 0
    const object = withRelocationKinds(compileBpf(program), (kind) =>
      kind === ReloKind.TYPE_EXISTS && ++exists === 2 ? ReloKind.TYPE_MATCHES : kind,
    )
    const kernel =
      'struct s { int g:5; int f:9; } a; struct only { long x; } b; union like { int x; } c; enum e { A = 7 } d;'
    const { said, object: parsed, full, oracle } = coreCase(object, kernelBtf(kernel), relolog)
    expect(new Set(parsed.relocations.map(({ kind }) => kind))).toEqual(new Set(Object.values(ReloKind)))
    expect(said).toEqual([
      'byte_off = 0',
      'byte_sz = 4',
      'field_exists = 1',
      'signed = 1',
      'lshift_u64 = 50',
      'rshift_u64 = 55',
      `local_type_id = ${parsed.btf?.idsByName('only')[0]}`,
      `target_type_id = ${full.idsByName('only')[0]}`,
      'type_exists = 1',
      'type_size = 8',
      'enumval_exists = 1',
      'enumval_value = 7',
      'type_matches = 1',
    ])
    expect(oracle?.full).toEqual(oracle?.ours)
    expect(oracle?.min).toEqual(oracle?.full)
  })
})
