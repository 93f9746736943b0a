import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { corpusDir } from './machine.ts'

/** The folder of real BTF; null where it is not on this machine. */
export const btfCorpus: string | null = ((): string | null => {
  const dir = corpusDir()
  return dir === null ? null : join(dir, 'btf')
})()

/** Full BTFs of the corpus by their path in it, `debian/13/x86_64/6.12….btf.xz`; empty where there is no corpus. */
export function fullBtfPaths(): string[] {
  return corpusFiles().filter((path) => !path.startsWith('split/'))
}

/** All files of the corpus. */
export function corpusFiles(): string[] {
  if (btfCorpus === null) return []
  return [...walk(btfCorpus)].map((path) => relative(btfCorpus, path)).sort()
}

/** A file of the corpus, unpacked. */
export function corpusBtf(path: string): Buffer {
  return execFileSync('xz', ['-dc', join(btfCorpus ?? '', path)], { maxBuffer: 64 * 1024 * 1024 })
}

function* walk(dir: string): Generator<string> {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) yield* walk(path)
    else if (entry.name.endsWith('.xz')) yield path
  }
}
