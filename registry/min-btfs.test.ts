import { expect, it, vi } from 'vitest'
import { silentLog } from '../core/log.ts'
import { openStore } from '../store/index.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { withTestStore } from '../test/helpers/store.ts'
import { createApp } from './app.ts'
import { createHub } from './hub.ts'
import { MinBtfs } from './min-btfs.ts'

const object = compileTool(['pid', 'tgid'])

it('makes again what was lost, with the same bytes', async () => {
  await withTestStore(async (store) => {
    const { btf } = await addKernel(store, { btf: tinyKernel() })
    const tool = await addTool(store, 'both', '1', object)
    const mins = new MinBtfs({ ...store, log: silentLog })
    const first = await mins.get(tool, btf.digest)
    await store.blobs.remove(first.digest)
    const second = await mins.get(tool, btf.digest)
    expect([second.digest, mins.made]).toEqual([first.digest, 2])
    expect(await store.blobs.size(first.digest)).toBe(first.sizeBytes)
  })
})

it('reads and indexes a kernel once for all tools', async () => {
  await withTestStore(async (store) => {
    const { btf } = await addKernel(store, { btf: tinyKernel() })
    const tools = []
    for (const name of ['one', 'two', 'three']) {
      tools.push(await addTool(store, name, '1', compileTool(name === 'one' ? ['pid'] : ['pid', 'tgid'])))
    }
    const read = vi.spyOn(store.blobs, 'read')
    const mins = new MinBtfs({ ...store, log: silentLog })
    await Promise.all(tools.map((tool) => mins.get(tool, btf.digest)))
    expect(mins.made).toBe(3)
    expect(read.mock.calls.filter(([digest]) => digest === btf.digest)).toHaveLength(1)
  })
})

it('finds what another one made', async () => {
  await withTestStore(async (store) => {
    const { btf } = await addKernel(store, { btf: tinyKernel() })
    const tool = await addTool(store, 'both', '1', object)
    const first = await new MinBtfs({ ...store, log: silentLog }).get(tool, btf.digest)
    const other = new MinBtfs({ ...store, log: silentLog })
    expect((await other.get(tool, btf.digest)).digest).toBe(first.digest)
    expect(other.made).toBe(0)
  })
})

it('serves from a store that takes no writes, also by digest', async () => {
  await withTestStore(async (store) => {
    await addKernel(store, { btf: tinyKernel() })
    await addTool(store, 'both', '1', object)
    const readOnly = await openStore(store.dataDir, { readOnly: true })
    const hub = createHub({ ...readOnly, log: silentLog })
    const app = createApp(hub)
    for (let i = 0; i < 2; i++) {
      const response = await app.request('/v1/min/both/6.1.0-47-amd64', {
        headers: { 'accept-encoding': 'gzip' },
      })
      expect(response.status).toBe(200)
      const blob = await app.request(`/v1/blobs/sha256/${response.headers.get('btfhub-digest')}`)
      expect(blob.status).toBe(200)
    }
    expect(hub.minBtfs.made).toBe(1)
    await readOnly.close()
  })
})

it('a full BTF whose bytes are damaged is "not now", never served and never "not there"', async () => {
  await withTestStore(async (store) => {
    const { btf } = await addKernel(store, { btf: tinyKernel() })
    await addTool(store, 'both', '1', object)
    await store.blobs.remove(btf.digest)
    const app = createApp(createHub({ ...store, log: silentLog }))
    for (const path of ['/v1/btf/6.1.0-47-amd64', '/v1/min/both/6.1.0-47-amd64']) {
      const response = await app.request(path)
      expect(response.status).toBe(503)
      expect(response.headers.get('retry-after')).not.toBeNull()
    }
  })
})
