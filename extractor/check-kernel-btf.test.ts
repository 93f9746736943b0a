import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { Kind, parseBtf, rawBtf } from '../btf/index.ts'
import type { Arch } from '../core/kernel.ts'
import { checkKernelBtf } from './check-kernel-btf.ts'
import { makeKernel } from './kernel.fixture.ts'
import { run } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'

const corpus = join(process.env['BTFHUB_CORPUS'] ?? '../shared/data', 'btf')
const files = (await readdir(corpus, { recursive: true }).catch(() => [])).filter((name) =>
  name.endsWith('.xz'),
)
const isPart = (name: string): boolean => name.startsWith('split/') && !name.endsWith('vmlinux.btf.xz')
const read = (name: string): Uint8Array => rawBtf(new Uint8Array(run('xz', ['-dc', join(corpus, name)])))

const dir = await fileScratch()
let btf: Buffer
beforeAll(async () => {
  btf = (await makeKernel(dir)).btf
})

/** A copy in which word `word` of the struct of that name is another; word 2 is its size, 1 its info, 0 its name. */
function withWord(name: string, word: number, value: number): Buffer {
  const parsed = parseBtf(new Uint8Array(btf))
  const id = parsed.idsByName(name).find((at) => parsed.kind(at) === Kind.STRUCT) as number
  const copy = Buffer.from(btf)
  copy.writeUInt32LE(value, parsed.byteOffset(id) + word * 4)
  return copy
}

describe('checkKernelBtf', () => {
  it('takes what pahole makes of a kernel', () => {
    expect(checkKernelBtf(new Uint8Array(btf))).toEqual([])
  })

  it.each([
    ['nothing', () => Buffer.alloc(0), /does not hold/],
    ['half of a kernel', () => btf.subarray(0, btf.byteLength >> 1), /does not hold/],
    ['a broken reference', () => withWord('file', 4, 999_999), /does not hold/],
    [
      'a task_struct of no size',
      () => withWord('task_struct', 2, 0xfffffff),
      /task_struct \(type id \d+\) has 268435455 bytes/,
    ],
    ['a cred of a name that is another', () => withWord('cred', 0, 0x10), /struct cred is not there/],
  ])('refuses %s', (_, bytes, message) => {
    let err: unknown
    try {
      checkKernelBtf(new Uint8Array(bytes()))
    } catch (caught) {
      err = caught
    }
    expect(err).toMatchObject({ code: 'INVALID', message: expect.stringMatching(message) as string })
  })

  it('refuses a handful of types, however right', async () => {
    run(
      'gcc',
      ['-g', '-c', '-x', 'c', '-', '-o', join(dir, 'small.o')],
      Buffer.from('struct task_struct { int pid; } task;'),
    )
    run('pahole', ['--btf_encode_detached', join(dir, 'small.btf'), join(dir, 'small.o')])
    const small = new Uint8Array(await readFile(join(dir, 'small.btf')))
    expect(() => checkKernelBtf(small)).toThrow(/\d types, a kernel has at least 5000/)
  })

  it.skipIf(files.length === 0)(
    'takes every kernel of the corpus but the one that nobody deduplicated (skipped where BTFHUB_CORPUS is not there)',
    () => {
      const kernels = files.filter((name) => !isPart(name))
      expect(kernels.length).toBeGreaterThan(40)
      const bad = kernels.filter((name) => /^centos\/8\/arm64\//.test(name))
      expect(bad.length).toBe(1)
      expect(() => checkKernelBtf(read(bad[0] as string))).toThrow(
        /defined 12\.87 times on average, task_struct 476 times/,
      )
      for (const name of kernels.filter((name) => !bad.includes(name))) {
        // Of 32 bits: x86, and neither of these.
        const arch: Arch | null = name.startsWith('split/btf-rs/')
          ? null
          : name.includes('/arm64/')
            ? 'aarch64'
            : 'x86_64'
        const bytes = read(name)
        expect(checkKernelBtf(bytes, { arch, types: null }), name).toEqual([])
        if (!/^(?:debian|split)/.test(name)) continue
        for (const other of (['x86_64', 'aarch64'] as const).filter((one) => one !== arch)) {
          const check = (): unknown => checkKernelBtf(bytes, { arch: other, types: null })
          expect(check, name).toThrow(`is not that of ${other}`)
        }
      }
    },
    180_000,
  )

  it('refuses what has not the number of types that its neighbours have', () => {
    const types = parseBtf(new Uint8Array(btf)).idCount - 1
    const of = 'other builds of sample/1'
    expect(
      checkKernelBtf(new Uint8Array(btf), { arch: null, types: { least: types, most: types, of } }),
    ).toEqual([])
    for (const range of [
      { least: types + 1, most: 2 * types, of },
      { least: 5000, most: types - 1, of },
    ]) {
      expect(() => checkKernelBtf(new Uint8Array(btf), { arch: null, types: range })).toThrow(
        /other builds of sample\/1 have \d+ to \d+/,
      )
    }
  })

  it.skipIf(files.length === 0)(
    'tells every module and distilled base of the corpus from a kernel (skipped without it)',
    () => {
      const parts = files.filter(isPart)
      expect(parts.length).toBeGreaterThan(5)
      for (const name of parts) {
        expect(() => checkKernelBtf(read(name)), name).toThrow(/split BTF, as modules have it|a part of one/)
      }
    },
  )
})
