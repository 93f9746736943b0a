import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Whether this process may mount file systems: true for root outside of most containers. */
export const canMount: boolean = tryMount()

/** Runs mount(8) with these arguments; what it gives unmounts `target` again, or does nothing for null. */
export async function mount(args: readonly string[], target: string | null): Promise<() => Promise<void>> {
  await run('mount', args)
  return async () => {
    if (target !== null) await run('umount', ['--lazy', target])
  }
}

function tryMount(): boolean {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-mount-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'btfhub-test', dir], { stdio: 'ignore' })
    execFileSync('umount', [dir], { stdio: 'ignore' })
    return true
  } catch {
    return false
  } finally {
    rmdirSync(dir)
  }
}
