import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { readFacts } from '../../core/resolve/facts.ts'
import { openStore } from '../../store/index.ts'
import { SupplierThread } from './supplier-thread.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
})
afterAll(() => rm(dir, { recursive: true }))

/** Sources at a mirror that is not there: what is listed already is all that there is. */
function open(dataDir: string): SupplierThread {
  const setup = {
    dataDir,
    sources: ['debian'],
    mirrors: ['http://127.0.0.1:9'],
    logLevel: 'silent',
    paholeJobs: 1,
  } as const
  return new SupplierThread(setup, { env: {}, log: silentLog })
}

const facts = readFacts({ release: '6.1.0-1-amd64', arch: 'x86_64' })

it('answers many questions, ends when it is closed, and then answers none', { timeout: 60_000 }, async () => {
  const dataDir = join(dir, 'sound')
  await (await openStore(dataDir)).close()
  const thread = open(dataDir)
  const answers = await Promise.all(Array.from({ length: 20 }, () => thread.supply(facts)))
  expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['absent']))
  expect(thread.queued).toBe(0)
  await Promise.all([thread.close(), thread.close()])
  await thread.close()
  await expect(thread.supply(facts)).rejects.toMatchObject({ code: 'ILL' })
})

it(
  'a thread that ends by itself is a failure to know, and the next question gets another one',
  {
    timeout: 60_000,
  },
  async () => {
    const dataDir = join(dir, 'damaged')
    await (await openStore(dataDir)).close()
    const path = join(dataDir, 'catalog.sqlite')
    const sound = await readFile(path)
    await writeFile(path, 'no catalog')
    const thread = open(dataDir)
    await expect(thread.supply(facts)).rejects.toMatchObject({ name: 'SupplyError', code: 'ILL' })
    await writeFile(path, sound)
    expect(await thread.supply(facts)).toMatchObject({ kind: 'absent' })
    await thread.close()
  },
)
