import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileBpf, hasClang } from '../../test/helpers/clang-bpf.ts'
import { runCli } from '../../test/helpers/cli.ts'
import { wholeKernelBtf } from '../../test/helpers/whole-kernel.ts'

const SOURCE = `
struct task { int pid; int start; } CORE;
struct later { int x; } CORE;
SEC("raw_tp/a") int guarded(struct task *t) { return field_exists(t->start) ? t->start : t->pid; }
SEC("raw_tp/b") int dump_task(struct later *l) { return l->x; }
SEC("fentry/c") int on_open(struct task *t) { return t->pid; }
`
const OLD = 'struct task { int pid; }; struct task a;'
const NEW = 'struct task { int pid; int start; }; struct later { int x; }; struct task a; struct later b;'

describe.skipIf(!hasClang)('btfhub check (skipped without clang for BPF)', () => {
  const dir = mkdtempSync(join(tmpdir(), 'check-'))
  const object = join(dir, 'tool.bpf.o')
  const tree = join(dir, 'tree')
  const put = (path: string, bytes: Uint8Array): string => {
    const file = join(tree, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, bytes)
    return file
  }
  let newest = ''
  beforeAll(() => {
    writeFileSync(object, compileBpf(SOURCE))
    put('centos/7/x86_64/3.10.0-957.el7.x86_64.btf', wholeKernelBtf(OLD))
    put('centos/7/x86_64/3.10.0-1160.el7.x86_64.btf', wholeKernelBtf(OLD))
    newest = put('debian/12/x86_64/6.1.0-56-amd64.btf', wholeKernelBtf(NEW))
  })
  afterAll(() => rmSync(dir, { recursive: true }))

  it('says where programs will not load, where checks guard them, and ends with 1', async () => {
    const { code, stdout, stderr } = await runCli(['check', '--object', object, '--btf', tree])
    expect(code).toBe(1)
    expect(stdout).toContain('later missing before 6.1: program dump_task will not load')
    expect(stdout).toContain('task.start missing before 6.1: guarded in guarded')
    expect(stdout).toContain('on_open (fentry)')
    expect(stdout).toMatch(/guarded +raw_tp\/a +3 +2 +0\n/)
    expect(stdout).toMatch(/dump_task +raw_tp\/b +1 +0 +2\n/)
    expect(stderr).toBe('3 kernels; 1 findings fail\n')
  })

  it('says the same of many kernels, in threads, and minimize cuts the same', async () => {
    const many = join(dir, 'many')
    const kernels = [wholeKernelBtf(OLD), wholeKernelBtf(NEW)]
    for (let i = 0; i < 16; i++) {
      const file = join(many, `debian/12/x86_64/6.1.0-${10 + i}-amd64.btf`)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, kernels[i % 2] ?? '')
    }
    const checked = await runCli(['check', '--json', '--object', object, '--btf', many])
    const { results } = JSON.parse(checked.stdout)
    expect(results).toHaveLength(16)
    const one = JSON.parse((await runCli(['check', '--json', '--object', object, '--btf', newest])).stdout)
    expect(results[1].objects).toEqual(one.results[0].objects)
    const out = join(dir, 'out/')
    mkdirSync(out)
    const cut = await runCli(['minimize', '--json', '--object', object, '--btf', many, '-o', out])
    expect(cut.stdout.trim().split('\n')).toHaveLength(16)
    await runCli(['minimize', '--object', object, '--btf', newest, '-o', join(dir, 'one.btf')])
    expect(readFileSync(join(out, '6.1.0-11-amd64.btf'))).toEqual(readFileSync(join(dir, 'one.btf')))
  })

  it('ends with 0 where everything loads', async () => {
    const { code, stderr } = await runCli(['check', '--object', object, '--btf', newest])
    expect(code).toBe(0)
    expect(stderr).toBe('1 kernels; nothing fails\n')
  })

  it('tells each relocation of each program on each kernel as JSON', async () => {
    const { stdout } = await runCli(['check', '--json', '--object', object, '--btf', tree])
    const { results, findings } = JSON.parse(stdout)
    expect(findings.map((each: { text: string }) => each.text)).toHaveLength(2)
    expect(results).toHaveLength(3)
    const [old] = results
    expect(old.kernels[0]).toMatchObject({ distro: 'centos', version: '7', hasOwnBtf: null })
    const guarded = old.objects[0].programs.find((each: { name: string }) => each.name === 'guarded')
    expect(
      guarded.relocations.map(
        (each: { kind: string; asks: string; verdict: string; value: number | null }) => [
          each.kind,
          each.asks,
          each.verdict,
          each.value,
        ],
      ),
    ).toEqual([
      ['field_exists', 'task.start', 'absent', 0],
      ['byte_off', 'task.start', 'guarded', null],
      ['byte_off', 'task.pid', 'resolves', 0],
    ])
  })

  it.each([
    [['--btf', 'x.btf', '--all'], 2, '--btf and --all'],
    [['--btf', join(tmpdir(), 'no-such.btf')], 2, 'no-such.btf'],
    [['--btf', dir, '--arch', 'm68k'], 2, '--arch m68k'],
  ] as const)('%j ends with %i', async (args, exit, text) => {
    const { code, stderr } = await runCli(['check', '--object', object, ...args])
    expect({ code, stderr }).toEqual({ code: exit, stderr: expect.stringContaining(text) as string })
  })
})
