import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { btfhub, startCli } from '../../test/helpers/cli.ts'
import { withScratch } from '../../test/helpers/export.ts'
import { nightly } from '../../test/helpers/nightly.ts'
import { addKernel, tinyKernel } from '../../test/helpers/registry.ts'
import { type TestStore, withTestStore } from '../../test/helpers/store.ts'
import { verifyTree } from './verify-tree.ts'

const KILLS = nightly ? 20 : 3

async function addKernels(store: TestStore, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    // Every third is a rebuild of one that was there: its files change.
    const release = i % 3 === 0 ? `r${i % 9}` : `r${i}`
    await addKernel(store, { kernel: { release }, key: `build ${i}`, btf: tinyKernel(8, i), layout: release })
  }
}

it(`an export that is killed ${KILLS} times leaves a tree that is sound each time, and the last one completes it`, () =>
  withTestStore((store) =>
    withScratch(async (dir) => {
      const args = ['export', dir, '--form', 'gz', '--form', 'xz', '--data', store.dataDir]
      await addKernels(store, 0, 20)
      await btfhub(args)
      const check = () =>
        verifyTree(dir, { keys: [], now: new Date(), signal: new AbortController().signal, onProgress() {} })
      for (let i = 0; i < KILLS; i++) {
        await addKernels(store, 20 + i * 20, 40 + i * 20)
        const child = startCli(args)
        const ended = once(child, 'close')
        await sleep(300 + Math.random() * 1200)
        child.kill('SIGKILL')
        await ended
        const { problems } = await check()
        expect(problems).toEqual([])
      }
      await btfhub(args)
      expect(await check()).toMatchObject({ sound: true })
      expect((await readdir(join(dir, 'v1'))).includes('index.next.json')).toBe(false)
      const again = JSON.parse(await btfhub([...args, '--json'])) as { changed: boolean }
      expect(again.changed).toBe(false)
    }),
  ))
