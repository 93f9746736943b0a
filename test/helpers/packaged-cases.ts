/** All objects of Debian's packages, on all kernels of their architecture: what loaders of others are asked about. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { findMirror } from '../../extractor/mirror.fixture.ts'
import { corpusBtf, corpusFiles } from './btf-corpus.ts'
import { havePrograms } from './machine.ts'
import { nightly } from './nightly.ts'
import { type OracleCase, oracleCases, type OracleObject, oracleObjects } from './oracle-objects.ts'
import { packagedObjects } from './packaged-objects.ts'

export const packagedArches = ['amd64', 'arm64'] as const
type PackagedArch = (typeof packagedArches)[number]

/** Some 220 objects on the largest kernel, twice, while four other kernels are under way. */
export const PACKAGED_TIMEOUT_MS = 3600_000

/** The mirror that they come from; null where there is none, and by day. */
export const packagedMirror = nightly ? await findMirror() : null

/** What keeps a test of them from running, for its name. */
export const packagedLacks: readonly string[] = nightly
  ? [
      ...(packagedMirror === null ? ['no Debian mirror answers'] : []),
      ...(havePrograms('dpkg-deb') ? [] : ['no dpkg-deb']),
      ...(corpusFiles().length > 0 ? [] : ['no corpus of kernels']),
    ]
  : ['minutes long, make nightly runs it']

/** Kernels by their paths in the corpus. The base of the split ones is one too, of x86_64. */
export function packagedKernels(arch: PackagedArch): string[] {
  return corpusFiles()
    .filter((path) => !path.startsWith('split/') || path.endsWith('/vmlinux.btf.xz'))
    .filter((path) => path.includes('/arm64/') === (arch === 'arm64'))
}

/** For one `describe`: fetches the objects before its tests, and removes all files after them. */
export class PackagedCases {
  #dir = ''
  #objects: readonly OracleObject[] = []

  constructor(arch: PackagedArch) {
    beforeAll(async () => {
      this.#dir = mkdtempSync(join(tmpdir(), 'min-packages-'))
      const found = await packagedObjects(packagedMirror ?? '', arch, join(this.#dir, 'packages'))
      mkdirSync(join(this.#dir, 'objects'))
      this.#objects = oracleObjects(found, join(this.#dir, 'objects'))
    }, 600_000)
    afterAll(() => rmSync(this.#dir, { recursive: true, force: true }))
  }

  /** Those with relocations. */
  get objects(): readonly OracleObject[] {
    return this.#objects.filter(({ object }) => object.relocations.length > 0)
  }

  /** Cuts min BTF of a kernel for each of them, gives the cases to `ask`, and removes the files when that is done. */
  async on(kernel: string, ask: (cases: readonly OracleCase[]) => Promise<void>): Promise<void> {
    const work = mkdtempSync(join(this.#dir, 'kernel-'))
    try {
      await ask(oracleCases(this.objects, corpusBtf(kernel), work))
    } finally {
      rmSync(work, { recursive: true })
    }
  }
}
