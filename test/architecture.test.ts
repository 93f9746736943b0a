import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../core/version.ts'

/** Who may import whom. Data flows one way; only cli, test and bench see everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  btf: ['core'],
  crawler: ['core'],
  extractor: ['core', 'btf'],
  store: ['core'],
  minimize: ['core', 'btf'],
  registry: ['core', 'btf', 'store', 'minimize'],
  client: ['core', 'btf', 'registry/api.ts'],
  cli: ['core', 'btf', 'crawler', 'extractor', 'store', 'minimize', 'registry', 'client'],
  bench: ['core', 'btf', 'crawler', 'extractor', 'store', 'minimize', 'registry', 'client', 'cli', 'test'],
  test: ['core', 'btf', 'crawler', 'extractor', 'store', 'minimize', 'registry', 'client', 'cli'],
}

/** What a folder shows to others; everything else in it is its own. core is words: every file is public. */
const PUBLIC = new Set(['index.ts', 'types.ts', 'api.ts'])

function* sources(dir: string): Generator<string> {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) yield* sources(path)
    else if (/\.tsx?$/.test(entry.name)) yield path
  }
}

function imports(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((m) =>
    resolve(dirname(file), m[1] ?? ''),
  )
}

it('imports go one way, and only through what a folder shows', () => {
  const wrong: string[] = []
  for (const folder of Object.keys(MAY_IMPORT)) {
    for (const file of sources(join(packageRoot, folder))) {
      const isTest = /\.test\.tsx?$/.test(file)
      for (const target of imports(file)) {
        const to = relative(packageRoot, target)
        const [toFolder = ''] = to.split('/')
        if (toFolder === folder) continue
        const allowed = isTest || (MAY_IMPORT[folder] ?? []).some((a) => a === toFolder || a === to)
        const inner = to.split('/').slice(1).join('/')
        const shown = toFolder === 'core' || toFolder === 'test' || folder === 'test' || PUBLIC.has(inner)
        if (!allowed || (!shown && !isTest)) wrong.push(`${relative(packageRoot, file)} -> ${to}`)
      }
    }
  }
  expect(wrong).toEqual([])
})

it('every folder with sources is in the table', () => {
  const known = new Set(Object.keys(MAY_IMPORT))
  const folders = readdirSync(packageRoot, { withFileTypes: true })
    .filter(
      (e) => e.isDirectory() && !['node_modules', 'dist', 'data', 'docs', 'examples', 'bin'].includes(e.name),
    )
    .filter((e) => !e.name.startsWith('.') && [...sources(join(packageRoot, e.name))].length > 0)
    .map((e) => e.name)
  expect(folders.filter((name) => !known.has(name))).toEqual([])
})
