import { describe, expect, it } from 'vitest'
import { parseBtf } from '../../btf/index.ts'
import { compileBpf, hasClang, kernelBtf } from '../../test/helpers/clang-bpf.ts'
import { buildProgload, loadPrograms } from '../../test/helpers/progload.ts'
import { KernelView } from '../kernel-view.ts'
import { checkObject, prepareCheck } from './check.ts'

/** The kernel that programs are checked against: no `gone`, `lost_type`, `LOST`. */
const KERNEL = 'struct thing { int here; int other; }; enum color { RED = 3 }; struct thing a; enum color b;'

const HEADER = `
struct thing { int here; int other; int gone; } CORE;
struct lost_type { int x; } CORE;
enum color { RED = 3, LOST = 4 };
char LICENSE[] SEC("license") = "GPL";
static long (*probe_read)(void *, u32, const void *) = (void *)113;
static u64 (*ktime)(void) = (void *)5;
static u32 (*prandom)(void) = (void *)7;
static long (*comm)(void *, u32) = (void *)16;
static long (*loop)(u32, void *, void *, u64) = (void *)181;
#define read(dst, src) probe_read(&(dst), sizeof(dst), __builtin_preserve_access_index(&(src)))
#define P(name) SEC("raw_tp/sched_switch") int name(u64 *ctx)
#define THING struct thing *t = (void *)ctx[0]; int v = 0
#define hide(x) asm volatile("" : "+r"(x))
`

/** Program by program, what it is about; whether it loads is the kernel's to say. */
const CASES: Readonly<Record<string, string>> = {
  'reads a member that is there': `P(a1) { THING; read(v, t->here); return v; }`,
  'reads a missing member without a check': `P(a2) { THING; read(v, t->gone); return v; }`,
  'reads it behind a check': `P(a3) { THING; if (field_exists(t->gone)) read(v, t->gone); return v; }`,
  'reads it in the other branch': `P(a4) { THING; if (field_exists(t->gone)) v = 1; else read(v, t->gone); return v; }`,
  'reads it behind a check of something else': `P(a5) { THING; if (field_exists(t->other)) read(v, t->gone); return v; }`,
  'checks a type': `P(a6) { THING; struct lost_type *l = (void *)t; if (type_exists(struct lost_type)) read(v, l->x); return v; }`,
  'checks a size': `P(a7) { THING; if (type_size(struct thing) > 8) read(v, t->gone); return v; }`,
  'checks a size that is there': `P(a8) { THING; if (type_size(struct thing) == 8) read(v, t->gone); return v; }`,
  'checks an enumerator': `P(a9) { THING; if (enumval_exists(enum color, LOST)) read(v, t->gone); return v; }`,
  'uses a missing enumerator': `P(b1) { return enumval(enum color, LOST); }`,
  'uses a missing enumerator behind its check': `P(b2) { return enumval_exists(enum color, LOST) ? enumval(enum color, LOST) : 0; }`,
  'checks two things, one of which is there': `P(b3) { THING; if (field_exists(t->gone) && field_exists(t->here)) read(v, t->gone); return v; }`,
  'checks either of two things': `P(b4) { THING; if (field_exists(t->gone) || field_exists(t->here)) read(v, t->gone); return v; }`,
  'has the check in a local variable over calls': `P(b5) { THING; u64 has = field_exists(t->gone);
    hide(has); u64 x = ktime(); u32 r = prandom(); if (r > 5) v = x; if (has) read(v, t->gone); return v; }`,
  'spills the check to the stack': `P(b6) { THING; volatile u64 has = field_exists(t->gone);
    ktime(); if (has) read(v, t->gone); return v; }`,
  'spills a check of 32 bits': `P(b7) { THING; volatile u32 has[2]; has[0] = field_exists(t->gone);
    ktime(); if (has[0]) read(v, t->gone); return v; }`,
  'a helper writes over the check': `P(b8) { THING; volatile u64 has = field_exists(t->gone);
    comm((void *)&has, 8); if (has) read(v, t->gone); return v; }`,
  'a helper writes beside the check': `P(b9) { THING; volatile u64 two[2]; two[1] = field_exists(t->gone);
    comm((void *)&two[0], 8); if (two[1]) read(v, t->gone); return v; }`,
  'passes the check to a function': `static __attribute__((noinline)) int c1f(struct thing *t, u64 has) {
    int v = 0; hide(has); if (has) read(v, t->gone); return v; }
    P(c1) { THING; u64 has = field_exists(t->gone); return c1f(t, has); }`,
  'passes the check to a function, and to the same one something else': `
    static __attribute__((noinline)) int c2f(struct thing *t, u64 has) { int v = 0; hide(has); if (has) read(v, t->gone); return v; }
    P(c2) { THING; u64 has = field_exists(t->gone); return c2f(t, has) + c2f(t, prandom()); }`,
  'passes the check to a function of its own right': `__attribute__((noinline)) int c3f(u64 p, u64 has) {
    struct thing *t = (void *)p; int v = 0; if (has) read(v, t->gone); return v; }
    P(c3) { THING; u64 has = field_exists(t->gone); return c3f(ctx[0], has); }`,
  'a function returns the check': `static __attribute__((noinline)) u64 c4f(struct thing *t) { u64 has = field_exists(t->gone); hide(has); return has; }
    P(c4) { THING; if (c4f(t)) read(v, t->gone); return v; }`,
  'a function writes over the check through a pointer': `static __attribute__((noinline)) int c5f(volatile u64 *p) { *p = 1; return 0; }
    P(c5) { THING; volatile u64 has = field_exists(t->gone); c5f(&has); if (has) read(v, t->gone); return v; }`,
  'a callback reads the missing member': `static int c6f(u32 i, void *x) { struct thing *t = *(void **)x; int v = 0; read(v, t->gone); return 0; }
    P(c6) { THING; void *x = t; loop(3, c6f, &x, 0); return v; }`,
  'a callback reads it behind a check': `static int c7f(u32 i, void *x) { struct thing *t = *(void **)x; int v = 0; if (field_exists(t->gone)) read(v, t->gone); return 0; }
    P(c7) { THING; void *x = t; loop(3, c7f, &x, 0); return v; }`,
  'a callback changes the check': `static int c8f(u32 i, void *x) { *(u64 *)x = 1; return 0; }
    P(c8) { THING; volatile u64 has = field_exists(t->gone); loop(3, c8f, (void *)&has, 0); if (has) read(v, t->gone); return v; }`,
  'a callback is only used behind a check': `static int c9f(u32 i, void *x) { struct thing *t = *(void **)x; int v = 0; read(v, t->gone); return 0; }
    P(c9) { THING; void *x = t; if (field_exists(t->gone)) loop(3, c9f, &x, 0); return v; }`,
  'the check changes in a loop': `P(d1) { THING; u64 has = field_exists(t->gone); for (int i = 0; i < 4; i++) {
    hide(has); if (has) read(v, t->gone); if (prandom() & 1) has = 1; } return v; }`,
  'the check is known through a loop': `P(d2) { THING; u64 has = field_exists(t->gone); for (int i = 0; i < 4; i++) {
    hide(has); if (has) read(v, t->gone); v += prandom(); } return v; }`,
  'chooses between two numbers': `P(d3) { THING; u64 mode = field_exists(t->gone) ? 7 : 9; hide(mode); if (mode == 7) read(v, t->gone); return v; }`,
  'computes with the check': `P(d4) { THING; u64 has = field_exists(t->gone); hide(has); u64 n = (has << 3) + 5; hide(n); n ^= 5; hide(n); if (n & 8) read(v, t->gone); return v; }`,
  'computes in 32 bits': `P(d5) { THING; u32 has = field_exists(t->gone); hide(has); has = (has - 1) >> 31; hide(has); if (has != 1) read(v, t->gone); return v; }`,
  'compares signed': `P(d6) { THING; long has = (long)field_exists(t->gone) - 1; hide(has); if (has >= 0) read(v, t->gone); return v; }`,
  'a random number and the check': `P(d7) { THING; u64 has = field_exists(t->gone), r = prandom(); hide(has); r &= has; if (r) read(v, t->gone); return v; }`,
  'a random number or the check': `P(d8) { THING; u64 has = field_exists(t->gone), r = prandom(); hide(has); r |= has; if (r) read(v, t->gone); return v; }`,
  'keeps the check in a global variable': `u64 e1g; P(e1) { THING; e1g = field_exists(t->gone); ktime(); if (*(volatile u64 *)&e1g) read(v, t->gone); return v; }`,
  'loads the missing member directly from a context': `P(e2) { struct thing *t = (void *)ctx; return t->gone; }`,
  'loads it directly behind a check': `P(e3) { struct thing *t = (void *)ctx; if (field_exists(t->gone)) return t->gone; return 0; }`,
  'asks for the size of what is not there': `P(e4) { struct thing *t = (void *)ctx; return byte_size(t->gone); }`,
  'reads it only after a read without value': `P(e5) { THING; read(v, t->gone); if (field_exists(t->gone)) read(v, t->gone); return v; }`,
}

/** Where the kernel knows more than an object can tell: what we call failing it may load, never the other way round. */
const ONLY_THE_KERNEL_KNOWS: Readonly<Record<string, string>> = {
  'a constant that whoever loads it may set': `const volatile u64 f1c = 0; P(f1) { THING; if (f1c) read(v, t->gone); return v; }`,
  'a function of its own right that nothing reaches': `__attribute__((noinline)) int f2f(u64 p) { struct thing *t = (void *)p; int v = 0; read(v, t->gone); return v; }
    P(f2) { THING; if (field_exists(t->gone)) return f2f(ctx[0]); return v; }`,
  'a small random number': `P(f3) { THING; u64 r = prandom(); hide(r); r &= 3; hide(r); if (r > 4) read(v, t->gone); return v; }`,
}

const progload = hasClang ? buildProgload() : null
const skipped = progload === null ? ' (skipped: needs root, clang, gcc and libbpf)' : ''

describe.skipIf(progload === null)(`guarded means that the kernel loads it${skipped}`, () => {
  const kernel = kernelBtf(KERNEL)
  const view = new KernelView(parseBtf(kernel))

  function verdicts(source: string): { ours: Map<string, boolean>; kernels: Map<string, boolean> } {
    const object = compileBpf(HEADER + source)
    const { programs } = checkObject(prepareCheck('case.bpf.o', object), view)
    const loads = programs.map(
      ({ name, relocations }) => [name, relocations.every(({ verdict }) => verdict !== 'fails')] as const,
    )
    return { ours: new Map(loads), kernels: loadPrograms(progload ?? '', object, kernel) }
  }

  const whole = Object.values(CASES).join('\n')

  it('there are programs that it loads, and programs that it refuses', () => {
    const { kernels } = verdicts(whole)
    const loaded = [...kernels.values()].filter((each) => each).length
    expect(kernels.size).toBe(Object.keys(CASES).length)
    expect(loaded).toBeGreaterThan(12)
    expect(kernels.size - loaded).toBeGreaterThan(12)
  })

  it.each(Object.entries(CASES))("%s: our verdict is the kernel's", (_what, source) => {
    const { ours, kernels } = verdicts(source)
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(kernels))
  })

  it.each(Object.entries(ONLY_THE_KERNEL_KNOWS))('%s is not taken for a guard', (_what, source) => {
    const { ours, kernels } = verdicts(source)
    expect([...kernels.values()]).toEqual([true])
    expect([...ours.values()]).toEqual([false])
  })

  it('nothing that the kernel refuses is called guarded, whatever programs do', () => {
    const random = xorshift(20261121)
    const source = Array.from({ length: 120 }, (_, i) => randomProgram(`r${i}`, random)).join('\n')
    const { ours, kernels } = verdicts(source)
    const wrong = [...ours].filter(([name, loads]) => loads && kernels.get(name) !== true)
    expect(wrong).toEqual([])
    const counts = { both: 0, onlyKernel: 0, none: 0 }
    for (const [name, loads] of kernels)
      counts[loads ? (ours.get(name) === true ? 'both' : 'onlyKernel') : 'none']++
    expect(counts.both).toBeGreaterThan(10)
    expect(counts.none).toBeGreaterThan(10)
    // The kernel follows each way through a program on its own and knows ranges; that rarely matters.
    expect(counts.onlyKernel).toBeLessThan(counts.both / 3)
  })
})

function xorshift(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** A program that computes with checks, random numbers, its stack, helpers and branches, and reads what is missing. */
function randomProgram(name: string, random: (below: number) => number): string {
  const pick = (choices: readonly string[]): string => choices[random(choices.length)] as string
  const variable = (): string => pick(['a', 'b', 'c', 's[0]', 's[1]'])
  const value = (): string =>
    pick([
      'field_exists(t->gone)',
      'field_exists(t->gone)',
      'field_exists(t->here)',
      'type_size(struct thing)',
      'prandom()',
      String(random(4)),
      variable(),
      `(${variable()} ${pick(['+', '-', '*', '|', '&', '^', '<<', '>>'])} ${pick([variable(), String(random(8))])})`,
      `(u32)${variable()}`,
      `(long)${variable()} >> ${random(40)}`,
    ])
  const statements = (depth: number): string =>
    Array.from({ length: 1 + random(4) }, () => statement(depth)).join(' ')
  const condition = (): string => `${variable()} ${pick(['==', '!=', '>', '<', '&'])} ${random(3)}`
  const statement = (depth: number): string => {
    switch (random(depth > 2 ? 4 : 7)) {
      case 0:
      case 1:
        return `${variable()} = ${value()}; hide(a); hide(b); hide(c);`
      case 2:
        return pick([
          'ktime();',
          'comm((void *)&s[0], 8);',
          'comm((void *)&s[1], 8);',
          `v += helper(t, ${variable()});`,
        ])
      case 3:
        return `if (${variable()}) read(v, t->gone);`
      case 4:
        return `for (int i = 0; i < 3; i++) { ${statements(depth + 1)} }`
      default:
        return `if (${condition()}) { ${statements(depth + 1)} } else { ${statements(depth + 1)} }`
    }
  }
  const helper = `static __attribute__((noinline)) int ${name}h(struct thing *t, u64 has) { int v = 0; hide(has); if (has == ${random(3)}) read(v, t->gone); return v; }`
  const body = statements(0).replaceAll('helper(', `${name}h(`)
  return `${helper}
    P(${name}) { THING; u64 a = field_exists(t->gone), b = 0, c = prandom(); volatile u64 s[2]; s[0] = a; s[1] = b; ${body}
    if (${variable()}) read(v, t->gone); return v; }`
}
