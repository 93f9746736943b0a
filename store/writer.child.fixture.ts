import { randomBytes } from 'node:crypto'
import { openStore } from './index.ts'
import { sampleBuild } from './sample.fixture.ts'

/**
 * Fills a store as a crawl does, and prints `KEY DIGEST` when a build is kept. Arguments: the data folder, a prefix of
 * the keys, how many builds there are to be. Bytes are random, unless the prefix is `same`.
 */
const [dataDir = '', prefix = '', count = '0'] = process.argv.slice(2)
const store = await openStore(dataDir)
const tool = await store.catalog.addTool({ name: 'snoop', version: '1', objects: [] })

for (let i = 0; i < Number(count); i++) {
  const bytes = prefix === 'same' ? Buffer.from(`BTF ${i}`) : randomBytes(1000 + (i % 7) * 50_000)
  const key = `${prefix}/${i}`
  const build = sampleBuild({ key, btf: bytes, kernel: { release: key.replace('/', '-') } })
  const { kernel } = build
  if (prefix !== 'same') {
    const lastTryAt = new Date().toISOString()
    await store.catalog.addFailure({ key, kernel, code: 'ILL', message: 'first try', lastTryAt })
  }
  await store.blobs.put(bytes)
  await store.catalog.addBuild(build)
  const min = await store.blobs.put(bytes.subarray(0, 100))
  await store.catalog.putMinBtf(tool.id, build.btf.digest, min)
  await store.derived.get(min.digest, 'gz')
  process.stdout.write(`${key} ${build.btf.digest}\n`)
}
await store.close()
