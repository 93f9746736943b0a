import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Btf, findMember, parseBtf } from '../../btf/index.ts'
import { openStore } from '../../store/index.ts'
import { compileBpf, hasClang } from '../helpers/clang-bpf.ts'
import { btfhub, runCli, type RunningServer, serveCli } from '../helpers/cli.ts'
import { type Fleet, fleetArgs, missingFleetTool, openFleet } from './fleet.ts'
import { hubFaults, kernelsIn, kernelsOf } from './hub-state.ts'
import { type FileServer, startApache, startNginx } from './servers.ts'

const missing = missingFleetTool() ?? (hasClang ? null : 'clang')

const TOOL = `
  struct task_struct { int tgid; char comm[16]; } CORE;
  SEC("raw_tp/sched_process_exec") int on_exec(u64 *ctx) {
    struct task_struct *task = (void *)ctx[0];
    return task->tgid + task->comm[1];
  }
`

interface Report {
  readonly builds: readonly { readonly kernel: string; readonly outcome: string }[]
  readonly indexes: readonly { readonly index: string; readonly outcome: string; readonly reason: string }[]
  readonly known: number
  readonly failed: number
  readonly requests: number
}

describe.skipIf(missing !== null)(
  `CentOS 7, Anolis 8 and Ubuntu 20.04 from web server to tool, as a user does it (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-fleet-'))
    const object = join(work, 'exec.bpf.o')
    const env = { BTFHUB_CACHE: join(work, 'cache') }
    let fleet: Fleet
    let nginx: FileServer
    let apache: FileServer

    beforeAll(async () => {
      fleet = await openFleet()
      nginx = await startNginx(fleet.root, work)
      apache = await startApache(fleet.root, work, 'table')
      writeFileSync(object, compileBpf(TOOL))
    })
    afterAll(async () => {
      await nginx.close()
      await apache.close()
      rmSync(work, { recursive: true, force: true })
    })

    async function crawl(data: string, url: string, more: readonly string[] = []): Promise<Report> {
      const { code, stdout, stderr } = await runCli([
        ...fleetArgs(url, fleet.root),
        '--data',
        data,
        '--json',
        ...more,
      ])
      expect([code, stderr.split('\n').filter((line) => line.includes('FAILED'))]).toEqual([0, []])
      return JSON.parse(stdout) as Report
    }

    async function expectWhole(data: string, offered: readonly string[]): Promise<void> {
      const store = await openStore(data)
      try {
        expect(await kernelsIn(store)).toEqual(offered)
        expect(await hubFaults(store, fleet)).toEqual([])
      } finally {
        await store.close()
      }
    }

    it('from Apache: every kernel with its own BTF', async () => {
      const data = join(work, 'apache')
      await crawl(data, apache.url)
      // Files are all that Apache serves here: it has no word of Launchpad's.
      await expectWhole(
        data,
        kernelsOf(fleet).filter((kernel) => !kernel.includes('5.4.0-26')),
      )
    })

    describe('from nginx', () => {
      const data = join(work, 'nginx')
      let server: RunningServer

      beforeAll(async () => {
        await btfhub(['tool', 'add', 'exec@1', object, '--data', data])
      })
      afterAll(() => server.stop())

      it('every kernel with its own BTF as planned, once: the next crawl finds nothing to do', async () => {
        const plan = JSON.parse(
          await btfhub([...fleetArgs(nginx.url, fleet.root), '--data', data, '--plan', '--json']),
        ) as { packages: readonly { readonly kernel: string; readonly state: string }[] }
        expect(new Set(plan.packages.map(({ state }) => state))).toEqual(new Set(['new']))
        expect(plan.packages.map(({ kernel }) => kernel).sort()).toEqual(kernelsOf(fleet))

        const first = await crawl(data, nginx.url)
        expect(first.builds).toHaveLength(fleet.kernels.length)
        await expectWhole(data, kernelsOf(fleet))

        const second = await crawl(data, nginx.url)
        expect(second).toMatchObject({ builds: [], known: fleet.kernels.length, failed: 0 })
        const read = second.indexes.filter(({ outcome }) => outcome === 'new')
        expect(read).toEqual([])
        server = await serveCli(data)
      })

      async function get(kernel: string, ...more: string[]): Promise<Btf> {
        const [distro = '', version = '', arch = '', release = ''] = kernel.split('/')
        const host = ['--distro', distro, '--version', version, '--arch', arch]
        return parseBtf(
          readFileSync(await btfhub(['get', release, ...host, '--hub', server.url, ...more], env)),
        )
      }

      it('a host gets the full BTF of its kernel, and the min BTF of a tool with the same offsets', async () => {
        for (const distro of ['centos', 'anolis', 'ubuntu']) {
          const { kernel, marker } = fleet.kernels.find((one) => one.kernel.startsWith(distro))!
          const full = await get(kernel)
          expect(full.idsByName(marker), kernel).toHaveLength(1)
          const min = await get(kernel, '--tool', 'exec')
          expect(min.idsByName(marker), kernel).toEqual([])
          expect(min.idCount, kernel).toBeLessThan(20)
          for (const member of ['tgid', 'comm']) {
            const offset = offsetIn(full, member)
            expect(offset, kernel).toBeGreaterThan(0)
            expect(offsetIn(min, member), kernel).toBe(offset)
          }
        }
      })

      it('a host whose kernel no mirror had is told so', async () => {
        const asked = ['3.10.0-1.el7.x86_64', '--arch', 'x86_64', '--hub', server.url]
        expect(await runCli(['get', ...asked], env)).toMatchObject({ code: 3, stdout: '' })
      })
    })
  },
)

/** Bits from the start of a task to one of its members. */
function offsetIn(btf: Btf, member: string): number {
  const [task = 0] = btf.idsByName('task_struct')
  return findMember(btf, task, member)?.offsetBits ?? NaN
}
