import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Btf, dedupBtf, mergeBtf, parseBtf, validateBtf } from './index.ts'

/** Modules made by the real pahole on the base of a real vmlinux of a few types. */
function sample(): {
  readonly base: Btf
  readonly modules: readonly Btf[]
  readonly dumps: readonly string[]
} {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-merge-'))
  const run = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { cwd: dir, encoding: 'utf8' })
  try {
    writeFileSync(
      join(dir, 'vmlinux.c'),
      'struct list { struct list *next; }; struct list head; int f(struct list *l) { return !l; }',
    )
    for (const name of ['one', 'two']) {
      const text = `struct list { struct list *next; }; struct ${name} { struct list l; struct shared { int x; } *s; }; struct ${name} v; int g_${name}(struct ${name} *p) { return p->s->x; }`
      writeFileSync(join(dir, `${name}.c`), text)
    }
    for (const name of ['vmlinux', 'one', 'two']) run('gcc', '-g', '-c', `${name}.c`, '-o', `${name}.o`)
    run('pahole', '-j1', '--btf_encode_detached=vmlinux.btf', 'vmlinux.o')
    const base = parseBtf(new Uint8Array(readFileSync(join(dir, 'vmlinux.btf'))))
    const dumps: string[] = []
    const modules = ['one', 'two'].map((name) => {
      run('pahole', '-j1', '--btf_base=vmlinux.btf', `--btf_encode_detached=${name}.btf`, `${name}.o`)
      dumps.push(run('bpftool', '-B', 'vmlinux.btf', 'btf', 'dump', 'file', `${name}.btf`))
      return parseBtf(new Uint8Array(readFileSync(join(dir, `${name}.btf`))), { base })
    })
    return { base, modules, dumps }
  } finally {
    rmSync(dir, { recursive: true })
  }
}

describe('mergeBtf', () => {
  it('puts modules of pahole behind their kernel, each type as it was, the kernel’s ids unchanged', () => {
    const { base, modules } = sample()
    const merged = parseBtf(mergeBtf(base, modules))
    validateBtf(merged)
    expect(merged.idCount).toBe(
      modules.reduce((sum, module) => sum + module.idCount - base.idCount, base.idCount),
    )
    for (let id = 1; id < base.idCount; id++) expect(merged.type(id)).toEqual(base.type(id))
    for (const name of ['one', 'two', 'list']) expect(merged.idsByName(name).length).toBe(1)
    expect(merged.idsByName('shared').length).toBe(2)
    const once = parseBtf(dedupBtf(merged))
    expect(once.idsByName('shared').length).toBe(1)
  })

  it('is read by bpftool as the modules are on their base', () => {
    const { base, modules, dumps } = sample()
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-merge-'))
    try {
      writeFileSync(join(dir, 'merged'), mergeBtf(base, modules.slice(0, 1)))
      const merged = execFileSync('bpftool', ['btf', 'dump', 'file', join(dir, 'merged')], {
        encoding: 'utf8',
      })
      expect(merged.endsWith(dumps[0] as string)).toBe(true)
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  it('refuses a module of another base', () => {
    const { base, modules } = sample()
    const other = parseBtf(base.bytes)
    expect(() => mergeBtf(other, modules)).toThrow(/another base/)
  })
})
