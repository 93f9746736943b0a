import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../../core/digest.ts'
import { silentLog } from '../../core/log.ts'
import { type RunningRegistry, startRegistry } from '../../registry/index.ts'
import { runCli, type CliResult } from '../../test/helpers/cli.ts'
import { havePrograms } from '../../test/helpers/machine.ts'
import { addKernel, compileTool, tinyKernel } from '../../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../../test/helpers/store.ts'

const release = '6.1.0-1-amd64'
const btf = tinyKernel(4)
const buildId = 'ab'.repeat(20)

describe('btfhub get, as a user runs it', () => {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-get-'))
  let store: TestStore
  let hub: RunningRegistry

  beforeAll(async () => {
    store = await openTestStore()
    await addKernel(store, { kernel: { release }, btf, provenance: { buildId } })
    hub = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
  })
  afterAll(async () => {
    await hub.stop()
    await store.cleanUp()
    rmSync(dir, { recursive: true })
  })

  let caches = 0
  const get = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> =>
    runCli(['get', '--arch', 'x86_64', ...args], {
      BTFHUB_URL: hub.url,
      BTFHUB_CACHE: join(dir, `cache-${caches++}`),
      ...env,
    })

  it('prints a path and nothing else', async () => {
    const { code, stdout, stderr } = await get([release])
    expect([code, stderr]).toEqual([0, ''])
    expect(readFileSync(stdout.trim())).toEqual(Buffer.from(btf))
  })

  it('--env prints lines that a shell takes', async () => {
    const { stdout } = await get([release, '--env'])
    const shown = execFileSync('sh', ['-c', `${stdout}printf %s "$BPFTRACE_BTF"`], { encoding: 'utf8' })
    expect(sha256Of(readFileSync(shown))).toBe(sha256Of(btf))
  })

  it.skipIf(!havePrograms('clang'))(
    '--object cuts here, and says what the file is (skipped without clang)',
    async () => {
      const object = join(dir, 'tool.bpf.o')
      writeFileSync(object, compileTool(['pid']))
      const { code, stdout } = await get([release, '--object', object, '--json'])
      const got = JSON.parse(stdout) as { path: string; digest: string; kernel: string }
      const bytes = readFileSync(got.path)
      expect(code).toBe(0)
      expect(got).toMatchObject({ digest: sha256Of(bytes), kernel: `debian/12/x86_64/${release}` })
      expect(bytes.byteLength).toBeLessThan(400)
      const output = join(dir, 'out.btf')
      expect((await get([release, '--object', object, '-o', output])).stdout).toBe(`${output}\n`)
      expect(readFileSync(output)).toEqual(bytes)
      writeFileSync(object, 'no object')
      expect((await get([release, '--object', object])).code).not.toBe(0)
    },
  )

  it.skipIf(process.getuid?.() !== 0 || !havePrograms('unshare'))(
    '--install puts what a build-id names under its own release (skipped without root or unshare)',
    () => {
      // In a namespace of its own, so that nothing is left on this machine.
      const script = `mkdir -p /usr/lib/debug && mount -t tmpfs none /usr/lib/debug &&
        "$0" bin/btfhub get --install --build-id ${buildId} --hub ${hub.url} --cache "$1" && ls /usr/lib/debug/boot`
      const child = execFileAsync('unshare', [
        '-m',
        'sh',
        '-c',
        script,
        process.execPath,
        join(dir, 'cache-i'),
      ])
      return child.then((said) => {
        expect(said).toBe(`/usr/lib/debug/boot/vmlinux-${release}\nvmlinux-${release}\n`)
      })
    },
  )

  it('many at once, of the same and on one cache, all get it', async () => {
    const env = { BTFHUB_CACHE: join(dir, 'shared') }
    const all = await Promise.all(Array.from({ length: 6 }, () => get([release], env)))
    expect(new Set(all.map(({ code, stdout }) => `${code} ${stdout}`)).size).toBe(1)
    expect(all[0]?.code).toBe(0)
    const files = readdirSync(env.BTFHUB_CACHE, { recursive: true, encoding: 'utf8' })
    expect(files.filter((name) => name.endsWith('.btf'))).toHaveLength(1)
    expect(files.filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('goes through the proxy that the environment names, but not for hosts that it excepts', async () => {
    const proxied: string[] = []
    const proxy: Server = createServer((incoming, outgoing) => {
      proxied.push(`${incoming.method} ${incoming.url}`)
      const { pathname, search } = new URL(incoming.url ?? '')
      const onward = request(hub.url + pathname + search, {
        method: incoming.method,
        headers: incoming.headers,
      })
      incoming.pipe(onward).on('response', (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      })
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const env = {
      http_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      BTFHUB_URL: 'http://hub.invalid:8080',
    }
    expect((await get([release], env)).code).toBe(0)
    expect(proxied[0]).toBe('POST http://hub.invalid:8080/v1/resolve')
    expect((await get([release, '--timeout', '20'], { ...env, no_proxy: 'hub.invalid' })).code).toBe(75)
    proxy.closeAllConnections()
    proxy.close()
  })

  it.each([
    [['no-such-release'], 3],
    [[release, '--timeout', 'soon'], 2],
    [[release, '-o', '/dev/stdout'], 2],
    [[release, '--hub', 'file:///etc/passwd'], 2],
    [[release, '--format', 'gz', '--install'], 2],
    [[release, '--install', '-o', 'x'], 2],
  ])('%j ends with %i and prints no path', async (args, expected) => {
    const { code, stdout, stderr } = await get(args)
    expect([code, stdout]).toEqual([expected, ''])
    expect(stderr).not.toBe('')
  })
})

function execFileAsync(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { encoding: 'utf8' }, (err, stdout) =>
      err === null ? resolve(stdout) : reject(err),
    )
  })
}
