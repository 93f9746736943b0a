import { execFileSync } from 'node:child_process'
import { packageRoot } from '../../core/version.ts'

/** Before all tests: what is run as `bin/btfhub` is what is in the sources now. */
export default function buildDist(): void {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: packageRoot, stdio: 'inherit' })
}
