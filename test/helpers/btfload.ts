/** Readers of BTF that are not ours: the running kernel, and a libbpf of any version. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** What the kernel says of BTF that it is given: `loaded`, or `refused` and why. */
export function kernelSays(btf: Uint8Array): string {
  return ask('kernel', [], btf)
}

/** What the libbpf at `library` says of BTF: `task_struct BYTES`, or `refused` and its error. */
export function libbpfSays(library: string, btf: Uint8Array): string {
  return ask('libbpf', [library], btf)
}

function ask(oracle: 'kernel' | 'libbpf', args: readonly string[], btf: Uint8Array): string {
  const dir = mkdtempSync(join(tmpdir(), 'btfload-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const program = join(dir, oracle)
  run('gcc', ['-O2', '-o', program, new URL(`./btfload/${oracle}.c`, import.meta.url).pathname, '-ldl'])
  const file = join(dir, 'btf')
  writeFileSync(file, btf)
  return run(program, [...args, file])
}

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: exit code ${status}: ${stderr}`)
  return stdout.trim()
}
