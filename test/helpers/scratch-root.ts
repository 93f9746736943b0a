import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Around all tests: what they leave in the folder for temporary files, killed processes above all, goes with the run.
 * Downloads stay, in the cache that outlives it.
 */
export default function scratchRoot(): () => void {
  process.env['BTFHUB_TEST_CACHE'] ??= join(tmpdir(), 'btfhub-test-cache')
  const root = mkdtempSync(join(tmpdir(), 'btfhub-tests-'))
  // Web servers read as users of their own.
  chmodSync(root, 0o755)
  process.env['TMPDIR'] = root
  return () => rmSync(root, { recursive: true, force: true, maxRetries: 3 })
}
