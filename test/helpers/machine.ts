import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Real data to test against; null where it is not on this machine. */
export function corpusDir(): string | null {
  const dir = process.env['BTFHUB_CORPUS'] ?? '../shared/data'
  return existsSync(join(dir, 'btf')) ? dir : null
}

/** True where all these programs are installed. */
export function havePrograms(...names: readonly string[]): boolean {
  return names.every((name) => {
    try {
      execFileSync('sh', ['-c', `command -v "$1"`, 'sh', name], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}

/** True where cargo is installed, of Rust 1.MINOR or later. */
export function haveCargo(minor: number): boolean {
  const { stdout } = spawnSync('cargo', ['--version'], { encoding: 'utf8' })
  return Number(/^cargo 1\.(\d+)/.exec(stdout ?? '')?.[1] ?? -1) >= minor
}

/** True where BPF programs can be loaded and attached to raw tracepoints: root, and a kernel that lets it. */
export function canLoadBpf(): boolean {
  return process.getuid?.() === 0 && existsSync('/sys/kernel/btf/vmlinux')
}
