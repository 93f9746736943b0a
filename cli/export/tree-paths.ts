import type { TreeForm } from './types.ts'

/** The index, and the one that an export under way is about to put in its place. */
export const INDEX_PATH = 'v1/index.json'
export const NEXT_INDEX_PATH = 'v1/index.next.json'
/** What only exports look at: their lock, unfinished files, and the index before this one while its files are removed. */
export const PRIVATE_DIR = '.btfhub'
export const PREVIOUS_INDEX_PATH = `${PRIVATE_DIR}/previous.json`

/** Names at the root that are no distributions. */
export const RESERVED: ReadonlySet<string> = new Set([
  'v1',
  'btfs',
  'coolbpf',
  'buildid',
  'aquasecurity',
  'get.sh',
  'catalog.json',
  'healthz',
])

/** What a form's files are called behind `RELEASE`. */
export const FORM_ENDINGS: Readonly<Record<TreeForm, readonly string[]>> = {
  gz: ['.btf.gz'],
  xz: ['.btf.xz'],
  'tar.xz': ['.btf.tar.xz'],
  elf: ['.btf.elf', '.elf'],
}
