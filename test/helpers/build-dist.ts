import { spawnSync } from 'node:child_process'
import { packageRoot } from '../../core/version.ts'

/**
 * Before all tests: what is run as `bin/btfhub` is what is in the sources now. Type errors are not told here but by
 * `npm run types`; what tsc made all the same is what the tests get.
 */
export default function buildDist(): void {
  spawnSync('npm', ['run', '--silent', 'build'], { cwd: packageRoot, stdio: ['ignore', 'ignore', 'inherit'] })
}
