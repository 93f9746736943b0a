import { afterEach, describe, expect, it } from 'vitest'
import { parseBtf } from '../../btf/index.ts'
import { compileBpf, hasClang, kernelBtf } from '../../test/helpers/clang-bpf.ts'
import { parseBpfObject } from '../bpf-object.ts'
import { checkObject, prepareCheck } from '../check/check.ts'
import { KernelView } from '../kernel-view.ts'
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
      const pool = open({ threads })
      const cuts = await Promise.all(kernels.map((kernel) => pool.cut(kernel, tools)))
      const told = cuts.map((each) =>
        each.map((cut) => (cut.ok ? Buffer.from(cut.bytes).toString('hex') : cut.code)),
      )
      expect(told).toEqual(wanted)
    }
  })

  it('say of a kernel that is none why, and go on', async () => {
    const pool = open({ threads: 1 })
    const bad = await pool.cut(new Uint8Array(24), tools)
    expect(bad.map((cut) => (cut.ok ? '' : cut.code))).toEqual(['MALFORMED', 'MALFORMED'])
    const good = await pool.cut(kernelBtf(KERNELS[0] ?? ''), tools)
    expect(good.map(({ ok }) => ok)).toEqual([true, true])
  })

  it('say of an object that is none why, and cut for the others', async () => {
    const pool = open({ threads: 2 })
    const none = { objects: [{ name: 'none', bytes: new Uint8Array(4) }] }
    const cuts = await pool.cut(kernelBtf(KERNELS[0] ?? ''), [none, ...tools])
    expect(cuts.map((cut) => (cut.ok ? '' : cut.code))).toEqual(['NOT_BPF', '', ''])
  })

  it('check as the caller would, in few words where that is enough', async () => {
    const pool = open({ threads: 1 })
    const tool = { objects: [{ name: 'a', bytes: object('other') }] }
    const kernel = kernelBtf('struct task { int pid; }; struct task a;')
    const whole = await pool.check(kernel, tool, { isBrief: false })
    const checked = prepareCheck('a', object('other'))
    expect(whole).toMatchObject({
      ok: true,
      objects: [checkObject(checked, new KernelView(parseBtf(kernel)))],
    })
    const fits = await pool.check(kernelBtf(KERNELS[0] ?? ''), tool, { isBrief: true })
    expect(fits).toMatchObject({ ok: true, objects: [{ programs: [{ name: 'p', relocations: [] }] }] })
    const lacks = await pool.check(kernel, tool, { isBrief: true })
    expect(lacks).toMatchObject({ objects: [{ programs: [{ relocations: [{ verdict: 'fails' }] }] }] })
  })

  it('give up what takes too long, and go on with another thread', async () => {
    const pool = open({ threads: 1, timeoutMs: 1 })
    await expect(pool.cut(kernelBtf(KERNELS[0] ?? ''), tools)).rejects.toMatchObject({ code: 'LIMIT' })
    const patient = open({ threads: 1, timeoutMs: 30_000 })
    const [cut] = await patient.cut(kernelBtf(KERNELS[0] ?? ''), tools)
    expect(cut?.ok).toBe(true)
    await expect(pool.cut(kernelBtf(KERNELS[0] ?? ''), tools)).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it('reject what is under way when they are closed', async () => {
    const pool = open({ threads: 1 })
    const asked = [0, 1].map((i) => pool.cut(kernelBtf(KERNELS[i] ?? ''), tools))
    const ends = Promise.allSettled(asked)
    await pool.close()
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })
})
