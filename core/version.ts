import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json, whether this runs from the sources or from `dist/`. */
export const packageRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)))

/** The version of this hub, as package.json has it. */
export const hubVersion: string = (
  JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
).version

function findRoot(dir: string): string {
  for (let at = dir; ; at = dirname(at)) {
    try {
      readFileSync(join(at, 'package.json'))
      return at
    } catch {
      if (at === dirname(at)) throw new Error(`no package.json above ${dir}`)
    }
  }
}
