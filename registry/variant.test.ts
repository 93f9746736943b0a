import { gunzipSync } from 'node:zlib'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { dedupBtf, mergeBtf, parseBtf, layoutDigest } from '../btf/index.ts'
import { frameBtf } from '../btf/encode.ts'
import { Kind, makeInfo } from '../btf/wire.ts'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import type { Build } from '../store/index.ts'
import { havePrograms } from '../test/helpers/machine.ts'
import { readAsOld } from '../test/helpers/old-reader.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import type { KernelDetail, ResolveAnswer } from './api.ts'
import { createApp } from './app.ts'
import { createHub } from './hub.ts'

const RELEASE = '6.1.0-1-amd64'
const base = tinyKernel()

/** Split BTF with one struct of its own, which embeds the kernel's `task_struct`, and a FLOAT. */
function moduleOf(name: string, on: Uint8Array = base, sizeBytes = 64): Uint8Array {
  const kernel = parseBtf(on)
  const at = kernel.strings.end
  const [task = 0] = kernel.idsByName('task_struct')
  const words = [
    ...[at, makeInfo(Kind.STRUCT, 1, false), sizeBytes, at + name.length + 1, task, 0],
    ...[at + name.length + 6, makeInfo(Kind.FLOAT, 0, false), 8],
  ]
  return frameBtf(Uint32Array.from(words), Buffer.from(`${name}\0task\0double\0`), kernel.endian)
}

function mergedOf(on: Uint8Array, ...modules: Uint8Array[]): Uint8Array {
  const kernel = parseBtf(on)
  const merged = mergeBtf(
    kernel,
    modules.map((bytes) => parseBtf(bytes, { base: kernel })),
  )
  return dedupBtf(parseBtf(merged))
}

let store: TestStore
let build: Build
let ask: (path: string, body?: object) => Promise<Response>

async function putModules(
  to: Build,
  on: Uint8Array,
  modules: Readonly<Record<string, Uint8Array>>,
): Promise<void> {
  const merged = mergedOf(on, ...Object.values(modules))
  const listed = []
  for (const [name, bytes] of Object.entries(modules)) {
    listed.push({ name, origin: 'embedded' as const, btf: await store.blobs.put(bytes) })
  }
  await store.catalog.putModules(to.id, {
    modules: listed,
    merged: await store.blobs.put(merged),
    mergedLayout: layoutDigest(parseBtf(merged)),
  })
}

async function bodyOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer())
}

const kernelOf = (release: string) => ({ distro: 'debian', version: '12', arch: 'x86_64', release }) as const

beforeEach(async () => {
  store = await openTestStore()
  onTestFinished(() => store.cleanUp())
  build = await addKernel(store, { kernel: kernelOf(RELEASE), btf: base, layout: 'one' })
  await putModules(build, base, { nf_conntrack: moduleOf('nf_conn'), veth: moduleOf('veth_priv') })
  const app = createApp(createHub({ catalog: store.catalog, blobs: store.blobs, log: silentLog }))
  ask = async (path, body) =>
    app.request(path, {
      ...(body !== undefined && {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    })
})

describe('modules of a kernel', () => {
  it.each(['variant=split&module=nf_conntrack', 'module=nf-conntrack'])(
    'are given by name: %s',
    async (query) => {
      const answer = await ask(`/v1/btf/${RELEASE}?${query}`)
      expect(answer.status).toBe(200)
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'btfhub-variant': 'split',
        'btfhub-module': 'nf_conntrack',
        'btfhub-base': sha256Of(base),
        'btfhub-digest': sha256Of(moduleOf('nf_conn')),
        'btfhub-kernel': `debian/12/x86_64/${RELEASE}`,
      })
      expect(await bodyOf(answer)).toEqual(moduleOf('nf_conn'))
    },
  )

  it('are given in one id space with the kernel', async () => {
    const answer = await ask(`/v1/btf/${RELEASE}?variant=merged`)
    expect(answer.headers.get('btfhub-variant')).toBe('merged')
    expect(answer.headers.get('btfhub-base')).toBeNull()
    const merged = parseBtf(await bodyOf(answer))
    for (const name of ['task_struct', 'nf_conn', 'veth_priv', 'double']) {
      expect(merged.idsByName(name)).toHaveLength(1)
    }
    expect(await bodyOf(await ask(`/v1/btf/${RELEASE}?variant=full`))).toEqual(base)
  })

  it('come in other forms, under their own name', async () => {
    const packed = await bodyOf(await ask(`/v1/btf/${RELEASE}?module=veth&format=gz`))
    expect(new Uint8Array(gunzipSync(packed))).toEqual(moduleOf('veth_priv'))
    const line = await (await ask(`/v1/btf/${RELEASE}?module=veth&format=sha256`)).text()
    expect(line).toBe(`${sha256Of(moduleOf('veth_priv'))}  veth.btf\n`)
  })

  it('are listed with their kernel', async () => {
    const answer = await ask(`/v1/kernels/debian/12/x86_64/${RELEASE}`)
    const { builds } = (await answer.json()) as KernelDetail
    expect(builds[0]?.modules.map(({ name, btf }) => [name, btf.digest])).toEqual([
      ['nf_conntrack', sha256Of(moduleOf('nf_conn'))],
      ['veth', sha256Of(moduleOf('veth_priv'))],
    ])
    expect((await ask(builds[0]?.merged?.url ?? '')).status).toBe(200)
  })

  it('are resolved with what they are split from', async () => {
    const split = (await (
      await ask('/v1/resolve', { release: RELEASE, module: 'veth' })
    ).json()) as ResolveAnswer
    expect(split.btf.digest).toBe(sha256Of(moduleOf('veth_priv')))
    expect(split.base?.digest).toBe(sha256Of(base))
    const full = (await (await ask('/v1/resolve', { release: RELEASE })).json()) as ResolveAnswer
    expect(full.base).toBeNull()
  })

  it.each([
    ['module=ext4', 404, /no module ext4 with types; it has 2 others/],
    ['variant=split', 400, /expected a module/],
    ['variant=merged&module=veth', 400, /module: of variant split/],
    ['variant=half', 400, /variant/],
    ['module=veth&compat=0.3', 400, /ask for variant merged/],
    ['module=veth&tool=x', 400, /min BTF is cut of full or merged/],
    ['compat=0.5', 400, /compat/],
  ])('asked for with %s are refused with %i', async (query, status, message) => {
    const answer = await ask(`/v1/btf/${RELEASE}?${query}`)
    expect([answer.status, await answer.text()]).toEqual([status, expect.stringMatching(message)])
  })

  it('that were not taken in are not there', async () => {
    await addKernel(store, { kernel: kernelOf('6.1.0-2-amd64'), btf: base })
    const answer = await ask('/v1/btf/6.1.0-2-amd64?variant=merged')
    expect([answer.status, await answer.text()]).toEqual([404, expect.stringMatching(/but not its modules/)])
  })

  it('tell apart builds that are the same without them, and those where they are not known', async () => {
    const rebuilt = await addKernel(store, {
      kernel: kernelOf(RELEASE),
      btf: base,
      layout: 'one',
      key: 'rebuilt',
      provenance: { buildId: 'b'.repeat(40), packageVersion: '2' },
    })
    expect((await ask(`/v1/btf/${RELEASE}`)).status).toBe(200)
    for (const other of [false, true]) {
      if (other) await putModules(rebuilt, base, { veth: moduleOf('veth_priv', base, 72) })
      const answer = await ask(`/v1/btf/${RELEASE}?variant=merged`)
      expect(answer.status).toBe(409)
      expect(await answer.json()).toMatchObject({ code: 'AMBIGUOUS', choices: other ? [{}, {}] : [{}] })
    }
    const exact = await ask(`/v1/btf/${RELEASE}?module=veth&build_id=${'b'.repeat(40)}`)
    expect(await bodyOf(exact)).toEqual(moduleOf('veth_priv', base, 72))
  })
})

describe('BTF for readers of old', () => {
  it.each(['0.3', '0.4', '0.6', '1.0'])('is lowered to %s, named, and kept', async (level) => {
    const highest = { '0.3': 15, '0.4': 16, '0.6': 18, '1.0': 19 }[level] as number
    for (const query of [`variant=merged&compat=${level}`, `compat=${level}`]) {
      const answer = await ask(`/v1/btf/${RELEASE}?${query}`)
      expect(answer.headers.get('btfhub-compat')).toBe(level)
      const bytes = await bodyOf(answer)
      expect(readAsOld(bytes, highest).length).toBeGreaterThan(100)
      expect(answer.headers.get('btfhub-digest')).toBe(sha256Of(bytes))
      expect(await store.blobs.size(sha256Of(bytes))).toBe(bytes.byteLength)
      const packed = await ask(`/v1/btf/${RELEASE}?${query}&format=gz`)
      expect(new Uint8Array(gunzipSync(await bodyOf(packed)))).toEqual(bytes)
    }
    const merged = await bodyOf(await ask(`/v1/btf/${RELEASE}?variant=merged`))
    if (level === '0.3') expect(() => readAsOld(merged, highest)).toThrow(/kind 16/)
  })

  it('native is as it was made', async () => {
    const answer = await ask(`/v1/btf/${RELEASE}?compat=native`)
    expect(answer.headers.get('btfhub-compat')).toBeNull()
    expect(await bodyOf(answer)).toEqual(base)
  })

  it('is resolved to what is to be fetched', async () => {
    const query = { release: RELEASE, variant: 'merged', compat: '0.3' }
    const { btf } = (await (await ask('/v1/resolve', query)).json()) as ResolveAnswer
    const bytes = await bodyOf(await ask(btf.url))
    expect(sha256Of(bytes)).toBe(btf.digest)
    expect(() => readAsOld(bytes, 15)).not.toThrow()
  })
})

describe.skipIf(!havePrograms('clang'))('min BTF (skipped without clang)', () => {
  let object: Uint8Array
  beforeAll(() => {
    object = compileTool(['pid'])
  })

  it('is cut of the kernel with its modules, and lowered', async () => {
    await addTool(store, 'snoop', '1', object)
    const full = parseBtf(await bodyOf(await ask(`/v1/min/snoop/${RELEASE}`)))
    const answer = await ask(`/v1/min/snoop/${RELEASE}?variant=merged&compat=0.3`)
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'btfhub-variant': 'merged',
      'btfhub-compat': '0.3',
    })
    const merged = parseBtf(await bodyOf(answer))
    expect(merged.idsByName('task_struct')).toHaveLength(1)
    expect(merged.idCount).toBe(full.idCount)
  })
})
