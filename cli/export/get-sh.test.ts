import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { sha256Of } from '../../core/digest.ts'
import { silentLog } from '../../core/log.ts'
import { packageRoot } from '../../core/version.ts'
import { MinBtfs } from '../../registry/index.ts'
import { exportTo, testKey } from '../../test/helpers/export.ts'
import { serveFiles } from '../../test/helpers/file-server.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../../test/helpers/store.ts'

const release = '5.4.0-80-generic'
const focal = tinyKernel(12)
const bionic = tinyKernel(16)
const id = 'ab'.repeat(20)
const banner = `Linux version ${release} (b@h) (gcc  version) #90~18.04.1`
let store: TestStore
let dir: string
let server: Awaited<ReturnType<typeof serveFiles>>

beforeAll(async () => {
  store = await openTestStore()
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  const ubuntu = { distro: 'ubuntu', arch: 'x86_64', release } as const
  await addKernel(store, { kernel: { ...ubuntu, version: '20.04' }, btf: focal, provenance: { buildId: id } })
  await addKernel(store, { kernel: { ...ubuntu, version: '18.04' }, btf: bionic, provenance: { banner } })
  await addKernel(store, { kernel: { distro: 'centos', version: '7', release: '3.10' }, btf: focal })
  const minBtfs = new MinBtfs({ ...store, log: silentLog })
  for (const [name, members] of [
    ['same', ['pid']],
    ['differs', ['tgid']],
  ] as const) {
    const tool = await addTool(store, name, '1', compileTool(members))
    for (const { btf } of await store.catalog.builds()) await minBtfs.get(tool, btf.digest)
  }
  await exportTo(join(dir, 'tree'), store, testKey(), { forms: ['gz'] })
  server = await serveFiles(join(dir, 'tree'))
})

afterAll(async () => {
  server.close()
  await store.cleanUp()
  await rm(dir, { recursive: true })
})

function getSh(...args: readonly string[]): Promise<{ code: number; stderr: string }> {
  const script = join(packageRoot, 'registry/get.sh')
  const env = { ...process.env, BTFHUB_PAUSE: '0' }
  return new Promise((resolve) => {
    execFile(
      'sh',
      [script, '--hub', server.url, '-o', join(dir, 'out'), ...args],
      { env },
      (err, _out, stderr) => resolve({ code: typeof err?.code === 'number' ? err.code : 0, stderr }),
    )
  })
}

const x86 = ['--arch', 'x86_64']
it.each([
  [
    'by distribution and version',
    [release, ...x86, '--distro', 'ubuntu', '--version', '"20.04"'],
    sha256Of(focal),
  ],
  [
    'the other one',
    [release, '--arch', 'amd64', '--distro', 'ubuntu', '--version', '18.04'],
    sha256Of(bionic),
  ],
  [
    'by build-id, whatever the container says',
    [release, ...x86, '--build-id', id, '--distro', 'alpine'],
    sha256Of(focal),
  ],
  ['by banner', [release, ...x86, '--banner', banner], sha256Of(bionic)],
  ['by a point release', ['3.10', ...x86, '--distro', 'centos', '--version', '7.9'], sha256Of(focal)],
])('get.sh gets from plain files: %s', async (_, args, digest) => {
  expect(await getSh(...args)).toMatchObject({ code: 0 })
  expect(sha256Of(await readFile(join(dir, 'out')))).toBe(digest)
})

it.each([
  ['what is ambiguous', [release, ...x86], 4],
  ['a release that is not there', ['9.9.9', ...x86], 3],
  ['another architecture', [release, '--arch', 'aarch64'], 3],
  ['another distribution', [release, ...x86, '--distro', 'debian'], 3],
  [
    'a build that is known to be another',
    [release, ...x86, '--distro', 'ubuntu', '--version', '20.04', '--build-id', '00'.repeat(20)],
    3,
  ],
  ['a tool to which layouts differ', [release, ...x86, '--tool', 'differs'], 4],
  ['a tool that is not there', [release, ...x86, '--tool', 'none'], 3],
])('get.sh refuses from plain files: %s', async (_, args, code) => {
  expect((await getSh(...args)).code).toBe(code)
})

it('get.sh gets min BTF from plain files, of what is ambiguous too where the tool sees no difference', async () => {
  expect(await getSh(release, ...x86, '--tool', 'same')).toMatchObject({ code: 0 })
  const tool = await store.catalog.tool('same')
  const min = await store.catalog.minBtf(tool?.id ?? 0, sha256Of(focal))
  expect(sha256Of(await readFile(join(dir, 'out')))).toBe(min?.digest)
})
