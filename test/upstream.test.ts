import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Upstream } from '../cli/upstream/upstream.ts'
import { sha256Of } from '../core/digest.ts'
import { politeHosts } from '../core/hosts.ts'
import { createHttp } from '../core/http-client.ts'
import { type Kernel } from '../core/kernel.ts'
import { silentLog } from '../core/log.ts'
import { makeKernel } from '../extractor/kernel.fixture.ts'
import type { RegistryDeps } from '../registry/index.ts'
import { type RunningRegistry, startRegistry } from '../registry/server.ts'
import { makeForm } from '../store/index.ts'
import { addKernel, addTool, compileTool } from './helpers/registry.ts'
import { openTestStore, type TestStore } from './helpers/store.ts'
import { type Loopback, serveLoopback } from './loopback.ts'
import { missingServer, startNginx } from './mirrors/servers.ts'

const missing = ['gcc', 'objcopy', 'pahole', 'xz'].find((tool) => spawnSync(tool, ['--version']).status !== 0)

const focal: Kernel = { distro: 'ubuntu', version: '20.04', arch: 'x86_64', release: '5.4.0-80-generic' }
const bionic: Kernel = { ...focal, version: '18.04' }

describe.skipIf(missing !== undefined)(
  `a hub in front of others (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-upstream-'))
    const closers: (() => Promise<unknown>)[] = []
    let btf: Buffer
    /** The same kernel with another layout. */
    let otherBtf: Uint8Array
    let store: TestStore

    beforeAll(async () => {
      ;({ btf } = await makeKernel(join(work, 'kernel'), focal.release))
      const renamed = btf.toString('latin1').replace('\0filler_7\0', '\0filler_x\0')
      otherBtf = Buffer.from(renamed, 'latin1')
    })

    beforeEach(async () => {
      store = await openTestStore()
    })

    afterEach(async () => {
      for (const close of closers.splice(0).reverse()) await close()
      await store.cleanUp()
    })

    afterAll(() => rmSync(work, { recursive: true, force: true }))

    async function serve(own: TestStore, deps: Partial<RegistryDeps> = {}): Promise<RunningRegistry> {
      const registry = await startRegistry(
        { ...own, log: silentLog, ...deps },
        { host: '127.0.0.1', port: 0 },
      )
      closers.push(() => registry.stop())
      return registry
    }

    /** A hub with nothing of its own that asks these. */
    function serveInFront(urls: readonly string[], via = 'front'): Promise<RunningRegistry> {
      const suppliers = urls.map(
        (url) =>
          new Upstream(url, {
            store,
            openHttp: (guard) =>
              createHttp({
                userAgent: 'test',
                hosts: politeHosts,
                log: silentLog,
                env: {},
                guard,
                bounds: { tries: 2, backoffBaseMs: 5, backoffMaxMs: 10, idleTimeoutMs: 500 },
              }),
            proxies: new Set(),
            log: silentLog,
            now: () => new Date(),
            onBuild: async () => {},
            trust: null,
            via,
          }),
      )
      return serve(store, { suppliers, via, justInTime: { absentMs: 0, illMs: 0 } })
    }

    /** Another hub with these kernels. */
    async function openOther(
      kernels: readonly (readonly [Kernel, Uint8Array])[],
    ): Promise<{ registry: RunningRegistry; own: TestStore }> {
      const own = await openTestStore()
      for (const [kernel, bytes] of kernels) await addKernel(own, { kernel, btf: bytes })
      closers.push(() => own.cleanUp())
      return { registry: await serve(own), own }
    }

    async function ask(
      hub: RunningRegistry,
      path: string,
    ): Promise<{ status: number; digest: string; text: string }> {
      const answer = await fetch(`${hub.url}${path}`)
      const bytes = new Uint8Array(await answer.arrayBuffer())
      return { status: answer.status, digest: sha256Of(bytes), text: Buffer.from(bytes).toString('latin1') }
    }

    describe('another hub', () => {
      it('is asked once for many, and what it gives stays when it is gone', async () => {
        const { registry: other } = await openOther([[focal, btf]])
        const hub = await serveInFront([`${other.url}/`])
        const path = `/v1/btf/${focal.release}`
        const answers = await Promise.all(Array.from({ length: 30 }, () => ask(hub, path)))
        for (const { status, digest } of answers) expect([status, digest]).toEqual([200, sha256Of(btf)])
        const [build, ...rest] = await store.catalog.builds()
        expect(rest).toEqual([])
        const theirs = sha256Of(btf)
        expect(build?.provenance).toMatchObject({
          source: 'upstream',
          origin: 'imported',
          url: `${other.url}/v1/blobs/sha256/${theirs}`,
          buildId: expect.stringMatching(/^[0-9a-f]{40}$/) as string,
          packageName: `linux-image-${focal.release}`,
          verified: 'none',
        })
        const metrics = await ask(other, '/metrics')
        expect(metrics.text).toContain(
          'btfhub_requests_total{route="/v1/blobs/sha256/:digest",status="200"} 1',
        )
        await other.stop()
        expect((await ask(hub, path)).status).toBe(200)
        expect(
          (await ask(hub, `/v1/btf/${focal.release}?build_id=${build?.provenance.buildId}`)).status,
        ).toBe(200)
        expect((await ask(hub, '/v1/btf/other')).status).toBe(503)
      })

      it('that has several of that name makes it as ambiguous here, whoever asks first', async () => {
        const { registry: other } = await openOther([
          [focal, btf],
          [bionic, otherBtf],
        ])
        const hub = await serveInFront([other.url])
        const path = `/v1/btf/${focal.release}`
        expect(await ask(hub, `${path}?distro=ubuntu&version=20.04`)).toMatchObject({
          status: 200,
          digest: sha256Of(btf),
        })
        expect((await ask(hub, path)).status).toBe(409)
        expect(await ask(hub, `${path}?version=18.04`)).toMatchObject({
          status: 200,
          digest: sha256Of(otherBtf),
        })
      })

      it('that says "ambiguous" is believed', async () => {
        const { registry: other } = await openOther([
          [focal, btf],
          [bionic, otherBtf],
        ])
        const hub = await serveInFront([other.url])
        expect((await ask(hub, `/v1/btf/${focal.release}`)).status).toBe(409)
        expect((await ask(hub, '/v1/btf/none')).status).toBe(404)
      })

      it('gives the BTF that min BTF is cut of', async () => {
        const { registry: other } = await openOther([[focal, btf]])
        const hub = await serveInFront([other.url])
        await addTool(store, 'pids', '1', compileTool(['pid']))
        expect((await ask(hub, `/v1/min/pids/${focal.release}`)).status).toBe(200)
      })

      it('that asks us in turn ends in "not here", soon', async () => {
        const ownPort = await serveLoopback(() => {})
        await ownPort.close()
        const other = await openTestStore()
        closers.push(() => other.cleanUp())
        const front = await serveInFront([ownPort.url])
        const back = await startRegistry(
          {
            ...other,
            log: silentLog,
            via: 'back',
            suppliers: [
              new Upstream(front.url, {
                store: other,
                openHttp: (guard) =>
                  createHttp({ userAgent: 'test', hosts: politeHosts, log: silentLog, env: {}, guard }),
                proxies: new Set(),
                log: silentLog,
                now: () => new Date(),
                onBuild: async () => {},
                via: 'back',
                trust: null,
              }),
            ],
          },
          { host: '127.0.0.1', port: Number(new URL(ownPort.url).port) },
        )
        closers.push(() => back.stop())
        const start = Date.now()
        expect((await ask(front, '/v1/btf/none')).status).toBe(404)
        expect(Date.now() - start).toBeLessThan(5000)
      })

      it.each([
        ['a damaged blob', (body: string) => body, Buffer.from('damaged'), 503],
        ['another release', (body: string) => body.replaceAll(focal.release, '9.9.9-evil'), null, 503],
        ['a path for a name', (body: string) => body.replaceAll('"ubuntu"', '"../../etc"'), null, 503],
        ['no JSON', () => '<html>', null, 503],
      ] as const)('that lies with %s gives nothing', async (_, edit, blob, status) => {
        const { registry: other } = await openOther([[focal, btf]])
        const liar = await serveLoopback((req, res) => void relay(other.url, req, res, edit, blob))
        closers.push(() => liar.close())
        const hub = await serveInFront([liar.url])
        const answer = await ask(hub, `/v1/btf/${focal.release}`)
        expect(answer.status).toBe(status)
        expect(answer.text).not.toContain(liar.host)
        expect(await store.catalog.builds()).toEqual([])
      })
    })

    /** Passes a request on and an answer back, with changes on the way. */
    async function relay(
      to: string,
      req: IncomingMessage,
      res: ServerResponse,
      edit: (body: string) => string,
      blob: Uint8Array | null,
    ): Promise<void> {
      const chunks: Buffer[] = []
      for await (const chunk of req) chunks.push(chunk as Buffer)
      const answer = await fetch(`${to}${req.url}`, {
        method: req.method ?? 'GET',
        headers: { 'content-type': 'application/json' },
        ...(req.method === 'POST' && { body: Buffer.concat(chunks) }),
      })
      const bytes = Buffer.from(await answer.arrayBuffer())
      const isBlob = req.url?.includes('/blobs/') === true
      const isSelf = req.url === '/openapi.json'
      const sent = isBlob ? (blob ?? bytes) : isSelf ? bytes : Buffer.from(edit(bytes.toString()))
      res.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(sent)
    }

    describe.skipIf(missingServer() !== null)(
      `a tree behind nginx (skipped: ${missingServer() ?? 'nothing'} is missing)`,
      () => {
        const root = join(work, 'tree')
        const pathOf = (kernel: Kernel): string =>
          `${kernel.distro}/${kernel.version}/${kernel.arch}/${kernel.release}.btf.tar.xz`
        const asked = (kernel: Kernel): string =>
          `/${kernel.distro}/${kernel.version}/amd64/${kernel.release}.btf`

        async function put(kernel: Kernel, bytes: Uint8Array): Promise<void> {
          const path = join(root, pathOf(kernel))
          mkdirSync(dirname(path), { recursive: true })
          writeFileSync(path, await makeForm(`tar.xz:${kernel.release}.btf`, bytes))
        }

        it('gives what it has, by exactly that name', async () => {
          const plus = { ...focal, distro: 'debian', version: '12', release: '6.1.0+deb12-amd64' }
          await put(focal, btf)
          await put(plus, otherBtf)
          const nginx = await startNginx(root, work)
          closers.push(() => nginx.close())
          const hub = await serveInFront([nginx.url])
          expect(await ask(hub, asked(focal))).toMatchObject({ status: 200, digest: sha256Of(btf) })
          expect(await ask(hub, asked(plus))).toMatchObject({ status: 200, digest: sha256Of(otherBtf) })
          expect((await ask(hub, asked(bionic))).status).toBe(404)
          expect((await ask(hub, `/v1/btf/${bionic.release}?distro=debian`)).status).toBe(404)
          const [build] = await store.catalog.builds({ distro: 'ubuntu' })
          expect(build?.provenance).toMatchObject({
            source: 'upstream',
            url: `${nginx.url}/${pathOf(focal)}`,
          })
        })

        it.each([
          ['a page instead', Buffer.from('<html>not found</html>')],
          ['nothing', Buffer.alloc(0)],
          ['zeros', Buffer.alloc(100_000)],
        ])('that lies with %s is no source of BTF', async (_, bytes) => {
          const path = join(root, pathOf({ ...focal, release: 'lie' }))
          mkdirSync(dirname(path), { recursive: true })
          writeFileSync(path, bytes)
          const nginx = await startNginx(root, work)
          closers.push(() => nginx.close())
          const hub = await serveInFront([nginx.url])
          expect((await ask(hub, asked({ ...focal, release: 'lie' }))).status).toBe(503)
          expect(await store.catalog.builds()).toEqual([])
        })
      },
    )

    describe('a tree that is ill', () => {
      async function tree(answer: (req: IncomingMessage, res: ServerResponse) => void): Promise<Loopback> {
        const server = await serveLoopback((req, res) => {
          if (req.url === '/openapi.json') res.writeHead(404).end()
          else answer(req, res)
        })
        closers.push(() => server.close())
        return server
      }
      const path = `/ubuntu/20.04/x86_64/${focal.release}.btf`

      it('and sends without end is left after some megabytes', async () => {
        let sent = 0
        const server = await tree((_, res) => {
          const more = (): void => {
            while (!res.destroyed && res.write(Buffer.alloc(1 << 20))) sent += 1 << 20
            if (!res.destroyed) res.once('drain', more)
          }
          more()
        })
        const hub = await serveInFront([server.url])
        expect((await ask(hub, path)).status).toBe(503)
        expect(sent).toBeLessThan(200e6)
      })

      it('and announces more than it may is not read', async () => {
        const server = await tree(
          (_, res) => void res.writeHead(200, { 'content-length': 1e12 }).flushHeaders(),
        )
        const hub = await serveInFront([server.url])
        expect((await ask(hub, path)).status).toBe(503)
      })

      it('and says nothing is given up, then left alone for a while', async () => {
        const server = await tree(() => {})
        const hub = await serveInFront([server.url])
        expect((await ask(hub, path)).status).toBe(503)
        const before = server.requests.length
        const start = Date.now()
        for (let i = 0; i < 20; i++)
          expect((await ask(hub, `/ubuntu/20.04/x86_64/r${i}.btf`)).status).toBe(503)
        expect(Date.now() - start).toBeLessThan(2000)
        expect(server.requests).toHaveLength(before)
      })

      it('does not keep those waiting who ask for something else', async () => {
        const { registry: other } = await openOther([[bionic, btf]])
        const server = await tree(() => {})
        const hub = await serveInFront([server.url, other.url])
        const start = Date.now()
        expect((await ask(hub, `/v1/btf/${bionic.release}?distro=ubuntu&version=18.04`)).status).toBe(200)
        expect(Date.now() - start).toBeLessThan(8000)
      })
    })

    describe('SSRF through redirects of an upstream', () => {
      it.each([
        ['another host by plain http', (to: string) => to],
        ['a file', () => 'file:///etc/passwd'],
        ['a host that is no URL', () => 'http://[/'],
        ['itself, for ever', () => '/openapi.json'],
      ])('to %s is not followed', async (_, target) => {
        const secret = await serveLoopback((__, res) => res.end('secret'))
        closers.push(() => secret.close())
        const server = await serveLoopback((_req, res) => {
          res.writeHead(302, { location: target(`${secret.url}/latest/meta-data`) }).end()
        })
        closers.push(() => server.close())
        const hub = await serveInFront([server.url])
        const answer = await ask(hub, `/ubuntu/20.04/x86_64/${focal.release}.btf`)
        expect(answer.status).toBe(503)
        expect(answer.text).not.toContain('secret')
        expect(secret.requests).toEqual([])
      })

      it('on its own host is followed', async () => {
        const file = await makeForm(`tar.xz:${focal.release}.btf`, btf)
        const server = await serveLoopback((req, res) => {
          if (req.url?.startsWith('/moved/') === true) res.end(file)
          else if (req.url === '/openapi.json') res.writeHead(404).end()
          else res.writeHead(302, { location: `/moved${req.url}` }).end()
        })
        closers.push(() => server.close())
        const hub = await serveInFront([server.url])
        expect((await ask(hub, `/ubuntu/20.04/x86_64/${focal.release}.btf`)).status).toBe(200)
      })
    })

    it('what is being fetched is broken off when the hub stops', async () => {
      const server = await serveLoopback((req, res) => {
        if (req.url === '/openapi.json') res.writeHead(404).end()
      })
      closers.push(() => server.close())
      const hub = await serveInFront([server.url])
      const asking = ask(hub, `/ubuntu/20.04/x86_64/${focal.release}.btf`).catch(() => null)
      while (server.requests.length < 2) await sleep(5)
      const start = Date.now()
      await hub.stop()
      expect(Date.now() - start).toBeLessThan(3000)
      await asking
    })
  },
)
