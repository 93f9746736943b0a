import type { Format } from './api.ts'

/** What a file name in btfhub's layout asks for. */
export interface ArchiveName {
  readonly release: string
  readonly format: Exclude<Format, 'sha256'>
  /** The name without `.sha256`: what a checksum line is about. */
  readonly file: string
  /** True for the checksum of the file instead of the file. */
  readonly isChecksum: boolean
}

const ENDINGS: readonly (readonly [string, ArchiveName['format']])[] = [
  ['.btf.tar.xz', 'tar.xz'],
  ['.btf.gz', 'gz'],
  ['.btf.xz', 'xz'],
  ['.btf.elf', 'elf'],
  ['.elf', 'elf'],
  ['.btf', 'raw'],
]

/** Reads `{release}.btf` with `.gz`, `.xz`, `.tar.xz` or `.elf`, each also with `.sha256`; null for other names. */
export function parseArchiveName(name: string): ArchiveName | null {
  const isChecksum = name.endsWith('.sha256')
  const file = isChecksum ? name.slice(0, -'.sha256'.length) : name
  for (const [ending, format] of ENDINGS) {
    if (!file.endsWith(ending) || file.length === ending.length) continue
    return { release: file.slice(0, -ending.length), format, file, isChecksum }
  }
  return null
}
