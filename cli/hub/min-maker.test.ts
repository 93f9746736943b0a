import { describe, expect, it } from 'vitest'
import { parseBtf } from '../../btf/index.ts'
import { sha256Of } from '../../core/digest.ts'
import { silentLog } from '../../core/log.ts'
import { minimize, parseBpfObject } from '../../minimize/index.ts'
import { compileBpf, hasClang, kernelBtf } from '../../test/helpers/clang-bpf.ts'
import { sampleBuild, type TestStore, withTestStore } from '../../test/helpers/store.ts'
import type { Tool } from '../../store/index.ts'
import { createMinMaker } from './min-maker.ts'

const signal = new AbortController().signal

describe.skipIf(!hasClang)('min BTF of a tool for all kernels (skipped without clang for BPF)', () => {
  const object = hasClang
    ? compileBpf('struct task { int pid; } CORE; SEC("raw_tp/a") int p(struct task *t) { return t->pid; }')
    : new Uint8Array()

  async function fill(store: TestStore, kernels: readonly Uint8Array[]): Promise<Tool> {
    for (const [i, btf] of kernels.entries()) {
      await store.blobs.put(btf)
      await store.catalog.addBuild(sampleBuild({ kernel: { release: `6.1.0-${i}` }, btf }))
    }
    const kept = await store.blobs.put(object)
    return store.catalog.addTool({ name: 'tool', version: '1', objects: [{ name: 'tool.bpf.o', ...kept }] })
  }

  /** Three layouts of what the tool looks at, in kernels that differ otherwise. */
  const kernel = (i: number): Uint8Array =>
    kernelBtf(
      `struct task { int pad[${i % 3}]; int pid; }; struct other { int of_${i}; }; struct task a; struct other b;`,
    )

  it.each([
    ['few, one after the other', 4],
    ['many, in threads', 20],
  ] as const)('%s: what minimize gives, once for each content', async (_, count) => {
    await withTestStore(async (store) => {
      const kernels = Array.from({ length: count }, (_unused, i) => kernel(i))
      const tool = await fill(store, kernels)
      const seen: number[] = []
      const maker = createMinMaker(store, silentLog)
      const coverage = await maker.forTool(tool, signal, (done) => seen.push(done))
      const refs = await store.catalog.minBtfs(tool.id)
      for (const btf of kernels) {
        const wanted = minimize(parseBtf(btf), [parseBpfObject('tool.bpf.o', object)]).bytes
        expect(refs.get(sha256Of(btf))?.digest).toBe(sha256Of(wanted))
      }
      expect(coverage).toMatchObject({ kernels: count, contents: 3, unfit: [] })
      expect(seen).toEqual(Array.from({ length: count }, (_unused, i) => i + 1))
      expect(await maker.forTool(tool, signal, () => {})).toEqual(coverage)
    })
  })

  it('a kernel that no min BTF can be cut from is told of, the others have theirs', async () => {
    await withTestStore(async (store) => {
      const bad = new Uint8Array(24)
      const tool = await fill(store, [...Array.from({ length: 17 }, (_, i) => kernel(i)), bad])
      const { kernels, unfit } = await createMinMaker(store, silentLog).forTool(tool, signal, () => {})
      expect(kernels).toBe(17)
      expect(unfit).toEqual([{ btf: sha256Of(bad), reason: expect.stringContaining('BTF') as string }])
    })
  })
})
