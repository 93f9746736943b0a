import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { release as hostRelease, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { packageRoot } from '../core/version.ts'
import { btfhub, type RunningServer, serveCli } from './helpers/cli.ts'
import { canLoadBpf, havePrograms } from './helpers/machine.ts'
import { nightly } from './helpers/nightly.ts'
import { cargo, unpackCrates } from './helpers/rust-crates.ts'

const EXAMPLES = join(packageRoot, 'examples')
/** Where Debian's golang-github-cilium-ebpf-dev puts it. */
const GOPATH = '/usr/share/gocode'
const haveGo = havePrograms('go') && existsSync(join(GOPATH, 'src/github.com/cilium/ebpf/go.mod'))

/** The C example runs in e2e.test.ts. */
describe.skipIf(!canLoadBpf() || !havePrograms('clang', 'make', 'gcc'))(
  'examples, run as their README says (skipped without root, kernel BTF, clang, gcc or make)',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-examples-'))
    const object = join(dir, 'build/execwatch.bpf.o')
    const env = { BTFHUB_CACHE: join(dir, 'cache') }
    let server: RunningServer

    beforeAll(async () => {
      execFileSync('make', ['--silent', '-C', join(EXAMPLES, 'c'), `OUT=${join(dir, 'build')}`])
      const data = join(dir, 'hub')
      const as = `debian/12/x86_64/${hostRelease()}`
      const banner = ['--banner', readFileSync('/proc/version', 'utf8')]
      await btfhub(['import', '/sys/kernel/btf/vmlinux', '--as', as, ...banner, '--data', data])
      await btfhub(['tool', 'add', 'execwatch@1', object, '--data', data])
      server = await serveCli(data)
    })

    afterAll(async () => {
      await server.stop()
      rmSync(dir, { recursive: true })
    })

    const get = (...args: string[]): Promise<string> =>
      btfhub(['get', '--force', '--hub', server.url, ...args], env)

    it.skipIf(!haveGo)(
      'go: cilium/ebpf loads with KernelTypes (skipped without go and Debian’s cilium/ebpf)',
      async () => {
        cpSync(join(EXAMPLES, 'go'), join(dir, 'go'), { recursive: true })
        const go = { GO111MODULE: 'off', GOPATH, GOCACHE: join(dir, 'go-cache'), GOFLAGS: '' }
        execFileSync('go', ['build', '-o', 'load', 'main.go'], {
          cwd: join(dir, 'go'),
          env: { ...process.env, ...go },
        })
        const min = await get('--tool', 'execwatch')
        const said = execFileSync(join(dir, 'go/load'), [min, object], { encoding: 'utf8' })
        expect(said).toBe('loaded handle_exec\n')
      },
    )

    it.skipIf(!havePrograms('python3') || !existsSync('/usr/include/bpf/libbpf.h'))(
      'python: urllib, a digest, libbpf by ctypes (skipped without python3 or libbpf)',
      () => {
        const script = join(EXAMPLES, 'python/load.py')
        const said = execFileSync('python3', [script, server.url, 'execwatch', object], { encoding: 'utf8' })
        expect(said).toBe(`loaded ${object}\n`)
        expect(spawnSync('python3', [script, server.url, 'no-such-tool', object]).status).toBe(1)
      },
    )

    it.skipIf(!nightly || !havePrograms('cargo', 'dpkg-deb'))(
      'rust: aya loads with EbpfLoader::btf (nightly; skipped without cargo, or where no Debian mirror has its crates)',
      { timeout: 600_000 },
      async (context) => {
        if (!(await unpackCrates(['aya'], dir))) context.skip('no Debian mirror answers')
        cpSync(join(EXAMPLES, 'rust'), join(dir, 'rust'), { recursive: true })
        cargo(join(dir, 'rust'), 'build', '--quiet')
        const min = await get('--tool', 'execwatch')
        const said = execFileSync(join(dir, 'rust/target/debug/load'), [min, object], { encoding: 'utf8' })
        expect(said).toBe('loaded handle_exec\n')
      },
    )

    it.skipIf(!havePrograms('bpftrace'))(
      'bpftrace: a struct by name (skipped where it is missing)',
      async () => {
        const path = /^export BPFTRACE_BTF='(.*)'$/m.exec(await get('--env'))?.[1]
        const said = execFileSync('bpftrace', [join(EXAMPLES, 'bpftrace/tgid.bt')], {
          encoding: 'utf8',
          env: { ...process.env, BPFTRACE_BTF: path },
        })
        expect(said).toMatch(/^tgid \d+$/m)
      },
    )

    it.skipIf(!havePrograms('busybox'))(
      'kubernetes: the init container’s command in busybox gives the agent its file (skipped without busybox)',
      () => {
        const { init, agent } = readDaemonSet()
        expect(init.volumeMounts[0]?.name).toBe(agent.volumeMounts[0]?.name)
        const bin = join(dir, 'bin')
        mkdirSync(bin)
        const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim()
        for (const applet of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n')) {
          symlinkSync(busybox, join(bin, applet))
        }
        const mount = join(dir, 'btf')
        mkdirSync(mount)
        const path = agent.env.find(({ name }) => name === 'BPF_CUSTOM_BTF')?.value ?? ''
        const inside = (text: string): string =>
          text.replace(/(^|\s)\/(btf|tmp)\//g, (_, before: string, folder: string) =>
            [before, folder === 'btf' ? mount : dir, '/'].join(''),
          )
        const [, ...args] = init.command
        const named = args.map((arg) => inside(arg).replace('--tool', '--force --tool'))
        const environment = { PATH: bin, BTFHUB_URL: server.url }
        execFileSync(busybox, ['sh', ...named], { env: environment, stdio: 'pipe' })
        const bytes = readFileSync(inside(path))
        expect(bytes.readUInt16LE(0)).toBe(0xeb9f)
        expect(bytes.byteLength).toBeLessThan(2000)
      },
    )
  },
)

const Mount = z.object({
  name: z.string(),
  mountPath: z.string().startsWith('/'),
  readOnly: z.boolean().optional(),
})
const Container = z.strictObject({
  name: z.string(),
  image: z.string(),
  env: z.array(z.strictObject({ name: z.string(), value: z.string() })).default([]),
  command: z.array(z.string()).default([]),
  securityContext: z.object({ privileged: z.boolean() }).optional(),
  volumeMounts: z.array(Mount),
})
type Container = z.infer<typeof Container>

/** What of apps/v1's schema the manifest uses: names that it gets wrong would be refused here as by an API server. */
const DaemonSet = z.strictObject({
  apiVersion: z.literal('apps/v1'),
  kind: z.literal('DaemonSet'),
  metadata: z.strictObject({ name: z.string(), labels: z.record(z.string(), z.string()) }),
  spec: z.strictObject({
    selector: z.strictObject({ matchLabels: z.record(z.string(), z.string()) }),
    template: z.strictObject({
      metadata: z.strictObject({ labels: z.record(z.string(), z.string()) }),
      spec: z.strictObject({
        initContainers: z.tuple([Container]),
        containers: z.tuple([Container]),
        volumes: z.array(z.strictObject({ name: z.string(), emptyDir: z.object({ sizeLimit: z.string() }) })),
      }),
    }),
  }),
})

function readDaemonSet(): { readonly init: Container; readonly agent: Container } {
  const { spec } = DaemonSet.parse(parse(readFileSync(join(EXAMPLES, 'kubernetes/agent.yaml'), 'utf8')))
  expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels)
  const [init] = spec.template.spec.initContainers
  const [agent] = spec.template.spec.containers
  const volumes = spec.template.spec.volumes.map(({ name }) => name)
  for (const { name } of [...init.volumeMounts, ...agent.volumeMounts]) expect(volumes).toContain(name)
  return { init, agent }
}
