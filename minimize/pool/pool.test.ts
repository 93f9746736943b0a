import { afterEach, describe, expect, it } from 'vitest'
import { parseBtf } from '../../btf/index.ts'
import { compileBpf, hasClang, kernelBtf } from '../../test/helpers/clang-bpf.ts'
import { parseBpfObject } from '../bpf-object.ts'
import { minimize } from '../minimize.ts'
import { type MinimizePool, openMinimizePool } from './pool.ts'

const KERNELS = Array.from(
  { length: 9 },
  (_, i) => `struct task { char pad[${i}]; int pid; int other; }; struct task a;`,
)

describe.skipIf(!hasClang)('threads that cut min BTF (skipped without clang for BPF)', () => {
  const pools: MinimizePool[] = []
  const open = (...args: Parameters<typeof openMinimizePool>): MinimizePool => {
    const pool = openMinimizePool(...args)
    pools.push(pool)
    return pool
  }
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())))

  const object = (member: string): Uint8Array =>
    compileBpf(
      `struct task { int pid; int other; } CORE; SEC("raw_tp/a") int p(struct task *t) { return t->${member}; }`,
    )
  const tools = ['pid', 'other'].map((member) => ({ objects: [{ name: member, bytes: object(member) }] }))

  it('give what minimize gives, kernels and tools in order, however many threads there are', async () => {
    const kernels = KERNELS.map((source) => kernelBtf(source))
    const wanted = kernels.map((kernel) =>
      tools.map(({ objects }) =>
        Buffer.from(
          minimize(
            parseBtf(kernel),
            objects.map(({ name, bytes }) => parseBpfObject(name, bytes)),
          ).bytes,
        ).toString('hex'),
      ),
    )
    for (const threads of [1, 3]) {
      const pool = open(tools, threads)
      const cuts = await Promise.all(kernels.map((kernel) => pool.cut(kernel)))
      const told = cuts.map((each) =>
        each.map((cut) => (cut.ok ? Buffer.from(cut.bytes).toString('hex') : cut.code)),
      )
      expect(told).toEqual(wanted)
    }
  })

  it('say of a kernel that is none why, and go on', async () => {
    const pool = open(tools, 1)
    const bad = await pool.cut(new Uint8Array(24))
    expect(bad.map((cut) => (cut.ok ? '' : cut.code))).toEqual(['MALFORMED', 'MALFORMED'])
    const good = await pool.cut(kernelBtf(KERNELS[0] ?? ''))
    expect(good.map(({ ok }) => ok)).toEqual([true, true])
  })

  it('reject what is asked of them once an object cannot be read', async () => {
    const pool = open([{ objects: [{ name: 'none', bytes: new Uint8Array(4) }] }], 2)
    await expect(pool.cut(kernelBtf(KERNELS[0] ?? ''))).rejects.toThrow('no ELF file')
    await expect(pool.cut(kernelBtf(KERNELS[0] ?? ''))).rejects.toThrow('no ELF file')
  })

  it('reject what is under way when they are closed', async () => {
    const pool = open(tools, 1)
    const asked = [pool.cut(kernelBtf(KERNELS[0] ?? '')), pool.cut(kernelBtf(KERNELS[1] ?? ''))]
    const ends = Promise.allSettled(asked)
    await pool.close()
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })
})
