import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { layoutDigest, parseBtf } from '../../btf/index.ts'
import { sha256Of, type Sha256 } from '../../core/digest.ts'
import { packageRoot } from '../../core/version.ts'
import { btfhub, runCli } from '../../test/helpers/cli.ts'
import { havePrograms } from '../../test/helpers/machine.ts'
import { plausibleKernel } from '../../test/helpers/plausible-kernel.ts'
import { addTool, compileTool } from '../../test/helpers/registry.ts'
import { openTestStore, sampleBuild, type TestStore } from '../../test/helpers/store.ts'
import { type FileServer, startNginxSite } from '../../test/mirrors/servers.ts'

const release = '6.1.0-1-amd64'
const buildId = 'ab'.repeat(20)
const btf = plausibleKernel(8)
const x86 = ['--arch', 'x86_64']
const haveNginx = havePrograms('nginx') || havePrograms('/usr/sbin/nginx')

/** The site of docs/export.md, word for word but for the folder. */
async function documentedSite(root: string): Promise<string> {
  const text = await readFile(join(packageRoot, 'docs/export.md'), 'utf8')
  const snippet = /^```nginx\n(.*?)^```$/ms.exec(text)?.[1]
  if (snippet?.includes('root /srv/btf;') !== true) throw new Error('docs/export.md: no site for nginx')
  return snippet.replace('/srv/btf', root)
}

describe.skipIf(!haveNginx)('an export behind the nginx of docs/export.md (skipped without nginx)', () => {
  let store: TestStore
  let dir: string
  let nginx: FileServer
  let key: string
  let min: Sha256 | undefined

  beforeAll(async () => {
    store = await openTestStore()
    dir = await mkdtemp(join(tmpdir(), 'btfhub-nginx-'))
    const tree = join(dir, 'tree')
    await mkdir(tree)
    const kernel = { distro: 'debian', version: '12', arch: 'x86_64', release } as const
    const full = await store.blobs.put(btf)
    await store.catalog.addBuild({
      ...sampleBuild({ kernel, btf, provenance: { buildId } }),
      layoutDigest: layoutDigest(parseBtf(btf)),
    })
    const tool = await addTool(store, 'pids', '1', compileTool(['pid']))
    nginx = await startNginxSite(await documentedSite(tree), dir)
    await btfhub(['export', tree, '--public-url', nginx.url, '--data', store.dataDir])
    await writeFile(join(tree, '.btfhub/secret'), '')
    key = await btfhub(['key', 'show', '--data', store.dataDir])
    min = (await store.catalog.minBtf(tool.id, full.digest))?.digest
  })
  afterAll(async () => {
    await nginx.close()
    await store.cleanUp()
    await rm(dir, { recursive: true })
  })

  /** Runs a program in the test's folder; what it said, if it ended well. */
  function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
    const options = { cwd: dir, encoding: 'utf8', env: { ...process.env, ...env }, timeout: 30_000 } as const
    const { status, stdout, stderr } = spawnSync(command, args, options)
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status} ${stderr}`)
    return stdout
  }
  const digestOf = async (name: string): Promise<Sha256> => sha256Of(await readFile(join(dir, name)))
  const url = (path: string): string => `${nginx.url}/${path}`

  it('btfhub get gets full and min BTF, with a key and without, and refuses another key', async () => {
    const get = ['get', release, ...x86, '--hub', nginx.url, '-o', join(dir, 'got')]
    for (const [args, digest] of [
      [[], sha256Of(btf)],
      [['--key', key], sha256Of(btf)],
      [['--key', key, '--tool', 'pids'], min],
      [['--tool', 'pids@1'], min],
      [['--build-id', buildId], sha256Of(btf)],
    ] as const) {
      const cache = ['--cache', await mkdtemp(join(dir, 'cache-'))]
      await btfhub([...get, ...args, ...cache])
      expect(await digestOf('got')).toBe(digest)
    }
    const stranger = ['--key', `ed25519:${'A'.repeat(43)}`, '--cache', await mkdtemp(join(dir, 'cache-'))]
    expect((await runCli([...get, ...stranger])).code).toBe(5)
  })

  it('btfhub import takes all of it', async () => {
    const data = ['--data', join(dir, 'hub')]
    await btfhub(['import', nginx.url, '--key', key, ...data])
    expect(await btfhub(['list', ...data])).toContain(release)
  })

  it.skipIf(!havePrograms('curl', 'dash'))(
    'its own get.sh runs in dash as it comes (skipped without curl or dash)',
    async () => {
      const script = 'curl -fsS "$0" | BTFHUB_PAUSE=0 dash -s -- "$@"'
      const getSh = (...args: string[]): string =>
        run('sh', ['-c', script, url('get.sh'), release, ...x86, '-o', 'sh.btf', ...args])
      getSh('--build-id', buildId)
      expect(await digestOf('sh.btf')).toBe(sha256Of(btf))
      getSh('--tool', 'pids')
      expect(await digestOf('sh.btf')).toBe(min)
      expect(() => run('sh', ['-c', script, url('get.sh'), '9.9.9', ...x86])).toThrow(': 3 ')
    },
  )

  it.skipIf(!havePrograms('curl'))(
    'btfhub-archive’s paths are what their sidecars say, by every name of a folder (skipped without curl)',
    () => {
      for (const folder of [
        'debian/12/x86_64',
        'debian/bookworm/amd64',
        'btfs/debian/12/x86_64',
        'aquasecurity/btfhub-archive/raw/main/debian/12/x86_64',
      ]) {
        const path = url(`${folder}/${release}.btf.tar.xz`)
        run('curl', ['-fsS', '--remote-name-all', path, `${path}.sha256`])
        expect(run('sha256sum', ['-c', `${release}.btf.tar.xz.sha256`])).toBe(`${release}.btf.tar.xz: OK\n`)
      }
      run('tar', ['-xJf', `${release}.btf.tar.xz`, '-O', `${release}.btf`])
    },
  )

  it.skipIf(!havePrograms('curl'))(
    'who takes gzip gets it, and caches on the way are told (skipped without curl)',
    async () => {
      const digest = sha256Of(btf)
      for (const path of [`v1/blobs/sha256/${digest}`, `debian/12/x86_64/${release}.btf`]) {
        const plain = run('curl', ['-fsS', '-D', '-', '-o', 'plain', '-w', '%{size_download}', url(path)])
        expect(await digestOf('plain')).toBe(digest)
        expect(plain).toMatch(/^Vary: Accept-Encoding\r$/m)
        const args = ['-fsS', '--compressed', '-D', '-', '-o', 'unpacked', '-w', '%{size_download}']
        const said = run('curl', [...args, url(path)])
        expect(said).toMatch(/^Content-Encoding: gzip\r$/m)
        expect(Number(said.split('\n').at(-1))).toBeLessThan(btf.byteLength * 0.3)
        expect(await digestOf('unpacked')).toBe(digest)
      }
      run('curl', ['-fsS', '--compressed', '-o', 'by-release', url(`v1/btf/${release}`)])
      expect(await digestOf('by-release')).toBe(digest)
    },
  )

  it.each([
    [
      'what a query asks for more exactly than a file can answer',
      `v1/btf/${release}?build_id=${'00'.repeat(20)}`,
    ],
    ['the same of min BTF', `v1/min/pids/${release}?arch=aarch64`],
    ['what only exports look at', '.btfhub/secret'],
    ['it by another name', 'v1/..%2f.btfhub/secret'],
    ['what is not there', 'v1/btf/9.9.9'],
  ])('answers 404 to %s', async (_, path) => {
    expect((await fetch(url(path))).status).toBe(404)
  })

  it('lets the signed index be asked for each time, and blobs never again', async () => {
    const index = await fetch(url('v1/index.json'))
    expect(index.headers.get('cache-control')).toBe('no-cache')
    const blob = await fetch(url(`v1/blobs/sha256/${sha256Of(btf)}`))
    expect(blob.headers.get('cache-control')).toContain('immutable')
    expect(sha256Of(new Uint8Array(await blob.arrayBuffer()))).toBe(sha256Of(btf))
  })

  it.skipIf(!havePrograms('debuginfod-find'))(
    'debuginfod-find section ID .BTF (skipped where it is missing)',
    async () => {
      const env = { DEBUGINFOD_URLS: nginx.url, DEBUGINFOD_CACHE_PATH: join(dir, 'debuginfod') }
      const path = run('debuginfod-find', ['section', buildId, '.BTF'], env).trim()
      expect(sha256Of(await readFile(path))).toBe(sha256Of(btf))
      expect(() => run('debuginfod-find', ['section', '00'.repeat(20), '.BTF'], env)).toThrow('No such file')
    },
  )
})
