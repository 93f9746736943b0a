/** The running kernel as an oracle: whether its verifier takes a program whose relocations found this BTF. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Compiles the oracle; null where there is no C compiler, no libbpf to build it with, or no right to load programs. */
export function buildProgload(): string | null {
  if (process.getuid?.() !== 0) return null
  const source = new URL('./progload/progload.c', import.meta.url).pathname
  const program = join(mkdtempSync(join(tmpdir(), 'progload-')), 'progload')
  const gcc = spawnSync('gcc', ['-O2', '-o', program, source, '-lbpf'], { encoding: 'utf8' })
  if (gcc.error !== undefined || gcc.stderr.includes('bpf/libbpf.h: No such file')) return null
  if (gcc.status !== 0) throw new Error(`progload does not compile: ${gcc.stderr}`)
  return program
}

/** By program, whether the kernel took it. */
export function loadPrograms(progload: string, object: Uint8Array, btf: Uint8Array): Map<string, boolean> {
  const dir = mkdtempSync(join(tmpdir(), 'progload-case-'))
  const [objectPath, btfPath] = [join(dir, 'case.bpf.o'), join(dir, 'kernel.btf')]
  writeFileSync(objectPath, object)
  writeFileSync(btfPath, btf)
  const run = spawnSync(progload, [objectPath, btfPath], { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`progload: ${run.stderr}`)
  const lines = run.stdout.trim().split('\n')
  return new Map(lines.map((line) => [line.split(' ')[0] ?? '', line.endsWith(' ok')]))
}
