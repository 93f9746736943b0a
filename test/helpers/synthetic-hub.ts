import { join } from 'node:path'
import Database from 'better-sqlite3'
import { sha256Of } from '../../core/digest.ts'
import { openStore } from '../../store/index.ts'
import { sampleBuild } from './store.ts'

export interface SyntheticHub {
  readonly kernels: number
  readonly tools: number
}

/** Different min BTF of one tool; real tools have a few dozen over all kernels. */
const CONTENTS = 64
/** One of a real tool. */
const MIN_BYTES = 900

export const releaseOf = (i: number): string => `5.${i % 20}.${Math.floor(i / 20)}-${i}-generic`
export const buildIdOf = (i: number): string => sha256Of(`build ${i}`).slice(0, 40)
export const bannerOf = (i: number): string =>
  `Linux version ${releaseOf(i)} (builder@kernels.example) #1 SMP`
export const toolOf = (i: number): string => `tool-${i}`

/**
 * Fills a data folder with a hub of many kernels and tools, the min BTF of every pair made already. Full BTF is in the
 * catalog only: 20,000 of them would fill 100 GB.
 */
export async function makeSyntheticHub(dataDir: string, { kernels, tools }: SyntheticHub): Promise<void> {
  const store = await openStore(dataDir)
  for (let i = 0; i < kernels; i++) {
    const kernel = { distro: 'ubuntu', version: '20.04', release: releaseOf(i) }
    await store.catalog.addBuild(
      sampleBuild({ kernel, provenance: { buildId: buildIdOf(i), banner: bannerOf(i) } }),
    )
  }
  const some = Math.min(kernels, CONTENTS)
  for (let t = 0; t < tools; t++) {
    const object = await store.blobs.put(Buffer.from(`object of ${toolOf(t)}`))
    const objects = [{ name: `${toolOf(t)}.bpf.o`, ...object }]
    const tool = await store.catalog.addTool({ name: toolOf(t), version: '1', objects })
    for (let i = 0; i < some; i++) {
      const min = await store.blobs.put(Buffer.alloc(MIN_BYTES, `min BTF ${i} of ${toolOf(t)} `))
      const full = sampleBuild({ kernel: { distro: 'ubuntu', version: '20.04', release: releaseOf(i) } }).btf
      await store.catalog.putMinBtf(tool.id, full.digest, min)
    }
  }
  await store.close()
  repeatMinBtfs(dataDir, some)
}

/** The other kernels have the same min BTF as the first ones, in turn: a million rows in seconds. */
function repeatMinBtfs(dataDir: string, some: number): void {
  const db = new Database(join(dataDir, 'catalog.sqlite'))
  try {
    db.prepare(
      `with ordered as (select btf_id, row_number() over (order by id) - 1 as n from builds)
       insert into min_btfs (tool_id, btf_id, min_id)
       select m.tool_id, other.btf_id, m.min_id
       from min_btfs m
       join ordered known on known.btf_id = m.btf_id
       join ordered other on other.n % ? = known.n and other.n >= ?`,
    ).run(some, some)
  } finally {
    db.close()
  }
}
