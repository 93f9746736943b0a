import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import { packageRoot } from '../core/version.ts'
import { putEl7Curl } from '../test/helpers/el7-curl.ts'
import { addKernel, addTool, compileTool, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore, type TestStore } from '../test/helpers/store.ts'
import { createApp } from './app.ts'
import { createHub } from './hub.ts'
import { type RunningRegistry, startRegistry } from './server.ts'

/** Where programs may be; every test sees only those that it names. */
const BIN = ['/usr/bin', '/bin', '/usr/sbin']
const COREUTILS = [
  'uname',
  'sed',
  'tr',
  'tail',
  'head',
  'cat',
  'mv',
  'cp',
  'rm',
  'mktemp',
  'dirname',
  'grep',
  'sleep',
  'date',
]
const programs = ['dash', 'bash', 'busybox', 'curl', 'wget', 'shellcheck'] as const
const has = Object.fromEntries(programs.map((name) => [name, find(name) !== null]))

let store: TestStore
let hub: RunningRegistry
let script: string
let dir: string
let work: string
const servers: Server[] = []

const release = '5.4.0-80-generic'
const focal = { distro: 'ubuntu', version: '20.04', arch: 'aarch64', release } as const
const bionic = { ...focal, version: '18.04' } as const
const plus = '6.12.9+deb12-amd64'
const bytes = { focal: tinyKernel(12), bionic: tinyKernel(16), plus: tinyKernel(4, 9000) }
const focalId = 'f0'.repeat(20)

beforeAll(async () => {
  store = await openTestStore()
  await addKernel(store, { kernel: focal, btf: bytes.focal, provenance: { buildId: focalId } })
  await addKernel(store, { kernel: bionic, btf: bytes.bionic })
  await addKernel(store, { kernel: { release: plus }, btf: bytes.plus })
  for (const number of [1, 3]) {
    await addKernel(store, { kernel: { release: `7.0.0-${number}-amd64` }, btf: tinyKernel(8, number) })
  }
  await addTool(store, 'both', '1.0', compileTool(['pid', 'tgid']))
  hub = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
  script = await (await fetch(`${hub.url}/get.sh`)).text()
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
})

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
  await rm(dir, { recursive: true })
})

let count = 0
beforeEach(async () => {
  work = join(dir, `work ${count++}`)
  await mkdir(work)
})

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

function find(name: string): string | null {
  return BIN.map((bin) => join(bin, name)).find((path) => existsSync(path)) ?? null
}

/** A folder with some programs and nothing else; `busybox:wget` is busybox's. */
async function pathOf(names: readonly string[]): Promise<string> {
  const bin = await mkdtemp(join(dir, 'bin-'))
  for (const name of names) {
    const applet = name.split(':')
    const target = find(applet[0] as string)
    if (target === null) throw new Error(`no ${name} on this machine`)
    await symlink(target, join(bin, applet[1] ?? name))
  }
  return bin
}

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

interface Machine {
  readonly shell?: readonly string[]
  readonly path: string
  readonly env?: Record<string, string>
  readonly text?: string
}

/** Runs the script as `curl … | sh -s -- args` does. */
async function run(machine: Machine, ...args: string[]): Promise<Ran> {
  const [shell = '', ...shellArgs] = machine.shell ?? ['/bin/dash']
  const child = spawn(shell, [...shellArgs, '-s', '--', ...args], {
    cwd: work,
    env: { PATH: machine.path, BTFHUB_PAUSE: '0', BTFHUB_ROOT: join(dir, 'no-such-root'), ...machine.env },
  })
  const ran = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (ran.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (ran.err += chunk.toString()))
  child.stdin.on('error', () => {})
  child.stdin.end(machine.text ?? script)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...ran }
}

const common = [...COREUTILS, 'od', 'gzip', 'sha256sum']
let standard: Machine
beforeAll(async () => {
  standard = { path: await pathOf([...common, 'curl']) }
})

async function serverOf(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The hub, but blobs are what `blob` says. */
function liar(blob: RequestListener): Promise<string> {
  return serverOf((incoming, outgoing) => {
    if (incoming.url?.startsWith('/v1/blobs/') === true) return blob(incoming, outgoing)
    void fetch(`${hub.url}${incoming.url}`)
      .then((answer) => answer.text())
      .then((text) => outgoing.end(text))
  })
}

async function leftovers(): Promise<string[]> {
  return readdir(work)
}

const shells = [
  ['dash', has['dash'] === true ? ['/bin/dash'] : null],
  ['bash', has['bash'] === true ? ['/bin/bash', '--posix'] : null],
  ['busybox sh', has['busybox'] === true ? [find('busybox') ?? '', 'sh'] : null],
] as const
const tools = [
  ['curl', has['curl'] === true ? [...common, 'curl'] : null],
  ['GNU wget', has['wget'] === true ? [...common, 'wget'] : null],
  [
    'busybox and nothing else',
    has['busybox'] === true ? [...common, 'wget'].map((name) => `busybox:${name}`) : null,
  ],
] as const
const machines = shells.flatMap(([shell, command]) =>
  tools.map(([tool, names]) => ({ name: `${shell} with ${tool}`, shell: command, names })),
)

describe.each(machines)('$name', ({ shell, names }) => {
  const test = it.skipIf(shell === null || names === null)
  let machine: Machine

  beforeAll(async () => {
    if (shell !== null && names !== null) machine = { shell, path: await pathOf(names) }
  })

  test('gets, verifies and prints the path', async () => {
    const args = ['--arch', 'arm64', '--distro', '"ubuntu"', '--version', 'focal', release]
    expect(await run(machine, ...args)).toMatchObject({ code: 0, out: `${release}.btf\n` })
    expect(new Uint8Array(await readFile(join(work, `${release}.btf`)))).toEqual(bytes.focal)
    expect(await leftovers()).toEqual([`${release}.btf`])
  })

  test('gives a guess only where it is asked for, and says that it is one', async () => {
    const args = [
      '--distro',
      'debian',
      '--version',
      '12',
      '--arch',
      'x86_64',
      '--tool',
      'both',
      '7.0.0-2-amd64',
    ]
    expect((await run(machine, ...args)).code).toBe(3)
    const ran = await run(machine, '--predict', ...args)
    expect(ran).toMatchObject({ code: 0, out: '7.0.0-2-amd64.both.min.btf\n' })
    expect(ran.err).toContain('predicted, not known')
    expect((await run(machine, '--predict', '7.0.0-2-amd64')).code).toBe(2)
  })

  test('gets min BTF, and names with a +', async () => {
    const ran = await run(machine, '--arch', 'x86_64', '--tool', 'both', '-o', 'min file.btf', plus)
    expect(ran).toMatchObject({ code: 0, out: 'min file.btf\n' })
    expect((await readFile(join(work, 'min file.btf'))).byteLength).toBeLessThan(400)
  })

  test('says with its exit code what is wrong', async () => {
    expect((await run(machine, '--arch', 'arm64', release)).code).toBe(4)
    expect((await run(machine, '1.2.3')).code).toBe(3)
    expect((await run(machine, '--arch', 'pdp11', release)).code).toBe(2)
    const dead = createServer().listen(0, '127.0.0.1')
    await once(dead, 'listening')
    const { port } = dead.address() as AddressInfo
    await new Promise((resolve) => dead.close(resolve))
    expect((await run(machine, '--hub', `http://127.0.0.1:${port}`, release)).code).toBe(75)
    expect(await leftovers()).toEqual([])
  })

  test('does not take a flipped byte', async () => {
    const wrong = Buffer.from(bytes.focal)
    wrong[100] = 0xff ^ (wrong[100] ?? 0)
    const url = await liar((_, outgoing) => void outgoing.end(wrong))
    const ran = await run(machine, '--hub', url, '--arch', 'arm64', '--version', '20.04', release)
    expect(ran).toMatchObject({ code: 5, out: '' })
    expect(await leftovers()).toEqual([])
  })

  test('does not take a body that breaks off', async () => {
    const url = await liar((_, outgoing) => {
      outgoing.writeHead(200, { 'content-length': bytes.focal.byteLength })
      outgoing.write(bytes.focal.subarray(0, 1000))
      setTimeout(() => outgoing.destroy(), 5)
    })
    const ran = await run(machine, '--hub', url, '--arch', 'arm64', '--version', '20.04', release)
    expect(ran.out).toBe('')
    expect([5, 75]).toContain(ran.code)
    expect(await leftovers()).toEqual([])
  })
})

describe.each(tools)('a hub that is still fetching it, with %s', (_, names) => {
  const args = ['--arch', 'arm64', '--version', '20.04']
  const pending = (outgoing: ServerResponse, seconds: number): void => {
    outgoing.writeHead(202, { 'retry-after': String(seconds) })
    outgoing.end(JSON.stringify({ code: 'PENDING', detail: 'being fetched', retry_after: seconds }, null, 2))
  }

  it.skipIf(names === null)('is asked again when it says', async () => {
    let asked = 0
    const url = await serverOf((incoming, outgoing) => {
      expect(incoming.headers['prefer']).toBe('respond-async')
      if (incoming.url?.includes('format=sha256') === true && ++asked < 3) return pending(outgoing, 1)
      void fetch(`${hub.url}${incoming.url}`, { headers: { 'accept-encoding': 'identity' } })
        .then((answer) => answer.arrayBuffer())
        .then((body) => outgoing.end(new Uint8Array(body)))
    })
    const machine = { path: await pathOf(names ?? []) }
    expect(await run(machine, '--hub', url, ...args, release)).toMatchObject({ code: 0 })
    expect(asked).toBe(3)
    expect(new Uint8Array(await readFile(join(work, `${release}.btf`)))).toEqual(bytes.focal)
  })

  it.skipIf(names === null)('is not waited for where another has it, or where there is no time', async () => {
    const url = await serverOf((_, outgoing) => pending(outgoing, 600))
    const machine = { path: await pathOf(names ?? []) }
    const late = await run(machine, '--hub', url, '--timeout', '3', ...args, release)
    expect(late).toMatchObject({ code: 75, out: '' })
    expect(late.err).toContain('being fetched')
    expect((await run(machine, '--hub', `${url} ${hub.url}`, ...args, release)).code).toBe(0)
  })
})

/** More than any BTF has, in little. */
let zeros: Buffer | undefined

describe.each(tools)('a hostile hub, with %s', (_, names) => {
  const args = ['--arch', 'arm64', '--version', '20.04', release]
  const hostile: [string, RequestListener][] = [
    ['a redirect to a file', (_, o) => void o.writeHead(302, { location: 'file:///etc/passwd' }).end()],
    ['a digest that is a path', (_, o) => void o.end(`../../../../etc/passwd  x\n`)],
    ['a digest that is a command', (_, o) => void o.end(`$(touch pwned)  x\n`)],
  ]

  it.skipIf(names === null).each(hostile)('%s gives nothing', async (_, listener) => {
    const url = await serverOf(listener)
    const ran = await run({ path: await pathOf(names ?? []) }, '--hub', url, ...args)
    expect(ran).toMatchObject({ code: 75, out: '' })
    expect(await leftovers()).toEqual([])
  })

  it.skipIf(names === null)('a body that never ends is given up', async () => {
    const url = await liar((_, outgoing) => {
      const timer = setInterval(() => outgoing.write('x'), 100)
      outgoing.on('close', () => clearInterval(timer))
    })
    const start = performance.now()
    const machine = { path: await pathOf([...(names ?? []), 'timeout']) }
    const ran = await run(machine, '--hub', url, '--timeout', '3', ...args)
    expect(ran).toMatchObject({ code: 75, out: '' })
    expect(performance.now() - start).toBeLessThan(20_000)
    expect(await leftovers()).toEqual([])
  })

  it.skipIf(names === null)('a body without bounds, sent or unpacked, fills no disk', async () => {
    zeros ??= gzipSync(Buffer.alloc(300 << 20), { level: 1 })
    const url = await liar((_, o) => void o.writeHead(200, { 'content-encoding': 'gzip' }).end(zeros))
    const ran = await run({ path: await pathOf(names ?? []) }, '--hub', url, ...args)
    expect(ran).toMatchObject({ code: 5, out: '' })
    expect(await leftovers()).toEqual([])
  })

  it.skipIf(names === null)('what it says moves no cursor', async () => {
    const url = await serverOf((_, outgoing) => {
      outgoing.writeHead(404)
      outgoing.end(
        JSON.stringify({ detail: 'x\u001b[2J\u009b1m\u0007 gone' }, null, 2).replace('\\u001b', '\u001b'),
      )
    })
    const ran = await run({ path: await pathOf(names ?? []) }, '--hub', url, ...args)
    expect(ran.code).toBe(3)
    expect(Buffer.from(ran.err).every((byte) => byte === 10 || (byte >= 32 && byte < 127))).toBe(true)
  })
})

describe('this host', () => {
  /** A root with the files of a host, and programs whose uname tells its release. */
  async function host(files: Record<string, string | Buffer>, uname = release): Promise<Machine> {
    const root = await mkdtemp(join(dir, 'root-'))
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(root, name, '..'), { recursive: true })
      await writeFile(join(root, name), content)
    }
    const path = await pathOf([...common.filter((name) => name !== 'uname'), 'curl'])
    await writeFile(join(path, 'uname'), `#!/bin/sh\n[ "$1" = -r ] && echo '${uname}' || echo aarch64\n`)
    await chmod(join(path, 'uname'), 0o755)
    return { path, env: { BTFHUB_ROOT: root } }
  }

  const words = (...numbers: number[]): Buffer => Buffer.from(new Uint32Array(numbers).buffer)
  const note = (name: string, type: number, desc: Buffer): Buffer =>
    Buffer.concat([
      words(name.length + 1, desc.byteLength, type),
      padded(Buffer.from(`${name}\0`)),
      padded(desc),
    ])
  const padded = (bytes: Buffer): Buffer =>
    Buffer.concat([bytes, Buffer.alloc((4 - (bytes.byteLength % 4)) % 4)])
  const id = Buffer.from(focalId, 'hex')
  const swapped = (bytes: Buffer, numbers: number): Buffer => {
    const copy = Buffer.from(bytes)
    copy.subarray(0, numbers * 4).swap32()
    return copy
  }

  it.each<[string, Buffer]>([
    ['notes with only the build-id', note('GNU', 3, id)],
    [
      'others before it',
      Buffer.concat([
        note('Linux', 257, Buffer.from([0])),
        note('Xen', 18, Buffer.alloc(7)),
        note('GNU', 3, id),
      ]),
    ],
    ['a GNU note that is another', Buffer.concat([note('GNU', 1, Buffer.alloc(16)), note('GNU', 3, id)])],
    ['big-endian ones', swapped(note('GNU', 3, id), 3)],
  ])('is known by its build-id: %s', async (_, notes) => {
    const machine = await host({
      'sys/kernel/notes': notes,
      'etc/os-release': 'ID=alpine\nVERSION_ID=3.20\n',
    })
    expect(await run(machine)).toMatchObject({ code: 0, out: `${release}.btf\n` })
    expect(new Uint8Array(await readFile(join(work, `${release}.btf`)))).toEqual(bytes.focal)
  })

  it.each<[string, Buffer]>([
    ['empty', Buffer.alloc(0)],
    ['cut off', note('GNU', 3, id).subarray(0, 20)],
    ['of absurd lengths', Buffer.alloc(64, 0xff)],
    ['zeros', Buffer.alloc(64)],
  ])('notes that are %s are no build-id', async (_, notes) => {
    const osRelease = 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="18.04"\n'
    const machine = await host({ 'sys/kernel/notes': notes, 'etc/os-release': osRelease })
    expect(await run(machine)).toMatchObject({ code: 0 })
    expect(new Uint8Array(await readFile(join(work, `${release}.btf`)))).toEqual(bytes.bionic)
  })

  it('is known by its banner', async () => {
    const machine = await host(
      { 'proc/version': `Linux version ${plus} (test@kernels.example) #1 SMP\n` },
      plus,
    )
    // The banner is of a kernel for x86_64, this uname says aarch64.
    expect((await run(machine)).code).toBe(2)
    const banner = `Linux version ${release} (test@kernels.example) #1 SMP\n`
    // Two kernels have it.
    expect((await run(await host({ 'proc/version': banner }))).code).toBe(4)
  })

  it('says its facts of no other kernel', async () => {
    const machine = await host({ 'sys/kernel/notes': note('GNU', 3, id) })
    expect(await run(machine, '--arch', 'x86_64', plus)).toMatchObject({ code: 0, out: `${plus}.btf\n` })
  })

  it("gives the kernel's own BTF unless forced", async () => {
    const machine = await host({ 'sys/kernel/btf/vmlinux': 'own', 'sys/kernel/notes': note('GNU', 3, id) })
    const own = join(machine.env?.['BTFHUB_ROOT'] ?? '', 'sys/kernel/btf/vmlinux')
    expect(await run(machine)).toMatchObject({ code: 0, out: `${own}\n` })
    expect(await run(machine, '-o', 'copy.btf')).toMatchObject({ code: 0, out: 'copy.btf\n' })
    expect(await readFile(join(work, 'copy.btf'), 'utf8')).toBe('own')
    expect(await run(machine, '--force')).toMatchObject({ code: 0, out: `${release}.btf\n` })
    expect(new Uint8Array(await readFile(join(work, `${release}.btf`)))).toEqual(bytes.focal)
  })
})

describe.skipIf(has['curl'] !== true)(
  'with curl as old as CentOS 7’s (skipped where there is no curl)',
  () => {
    it('gets it', async () => {
      const bin = await pathOf(common)
      await putEl7Curl(bin)
      const full = ['--arch', 'arm64', '--version', '20.04', release]
      expect(await run({ path: bin, shell: ['/bin/bash'] }, ...full)).toMatchObject({ code: 0, err: '' })
      expect(new Uint8Array(await readFile(join(work, `${release}.btf`)))).toEqual(bytes.focal)
      expect(spawnSync(join(bin, 'curl'), ['--fail-with-body', hub.url]).status).toBe(2)
    })
  },
)

describe('with less than usual', () => {
  const full = ['--arch', 'arm64', '--version', '20.04', release]
  const without = (...names: string[]): Promise<string> =>
    pathOf([...common.filter((name) => !names.includes(name)), 'curl'])

  it('gets identity without gzip', async () => {
    expect((await run({ path: await without('gzip') }, ...full)).code).toBe(0)
    expect(new Uint8Array(await readFile(join(work, `${release}.btf`)))).toEqual(bytes.focal)
  })

  it('says so without sha256sum, and still looks at the magic', async () => {
    const path = await without('sha256sum')
    expect(await run({ path }, ...full)).toMatchObject({
      code: 0,
      err: expect.stringContaining('magic') as string,
    })
    const url = await liar((_, outgoing) => void outgoing.end('<html>no</html>'))
    expect((await run({ path }, '--hub', url, ...full)).code).toBe(5)
  })

  it('uses hexdump where there is no od', async () => {
    const path = await pathOf([...common.filter((name) => name !== 'od'), 'curl', 'busybox:hexdump'])
    expect((await run({ path }, ...full)).code).toBe(0)
  })

  it('says what it lacks', async () => {
    expect(await run({ path: await pathOf(common) }, ...full)).toMatchObject({ code: 1, out: '' })
  })
})

describe('the script', () => {
  const full = ['--arch', 'arm64', '--version', '20.04', release]

  it('asks the hubs in order, and stops where several match', async () => {
    const ill = await serverOf((_, outgoing) => void outgoing.writeHead(500).end())
    const lost = await serverOf((_, outgoing) => void outgoing.writeHead(404).end())
    expect((await run(standard, '--hub', `${ill} ${lost} ${hub.url}/`, ...full)).code).toBe(0)
    expect((await run(standard, '--hub', `${lost} ${ill}`, ...full)).code).toBe(75)
    expect((await run(standard, '--hub', `${lost} ${lost}`, ...full)).code).toBe(3)
    expect((await run(standard, '--hub', `${hub.url} ${ill}`, '--arch', 'arm64', release)).code).toBe(4)
    const page = await serverOf((_, outgoing) => void outgoing.end('<html>please log in</html>'))
    expect((await run(standard, '--hub', page, ...full)).code).toBe(75)
    const env = { ...standard, env: { BTFHUB_URL: `${lost} ${hub.url}` } }
    expect((await run(env, '-o', 'env.btf', ...full)).code).toBe(0)
  })

  it('tells the reason and the choices', async () => {
    const { err } = await run(standard, '--arch', 'arm64', release)
    expect(err).toContain('2 builds with different layouts match')
  })

  it('leaves a file alone that is right, and replaces one that is not', async () => {
    const file = join(work, `${release}.btf`)
    await writeFile(file, 'old')
    expect((await run(standard, ...full)).code).toBe(0)
    expect(sha256Of(await readFile(file))).toBe(sha256Of(bytes.focal))
    const noBlobs = await liar((_, outgoing) => void outgoing.writeHead(500).end())
    expect((await run(standard, '--hub', noBlobs, ...full)).code).toBe(0)
  })

  it('keeps the old file where the new one is wrong', async () => {
    const file = join(work, `${release}.btf`)
    await writeFile(file, 'old')
    const url = await liar((_, outgoing) => void outgoing.end('wrong'))
    expect((await run(standard, '--hub', url, ...full)).code).toBe(5)
    expect(await readFile(file, 'utf8')).toBe('old')
    expect(await leftovers()).toEqual([`${release}.btf`])
  })

  it.each([
    [['--tool'], 2],
    [['--nonsense'], 2],
    [['a', 'b'], 2],
    [['../../etc/passwd'], 2],
    [['--timeout', '0', 'a'], 2],
    [['--timeout', '1s', 'a'], 2],
    [['--hub', 'file:///etc/passwd', 'a'], 2],
    [['--hub', '-K/etc/passwd', 'a'], 2],
    [['-o', '/dev/null', 'a'], 2],
    [['-o', '/tmp', 'a'], 2],
    [['--help'], 0],
  ])('%j ends with %i', async (args, code) => {
    const ran = await run(standard, ...args)
    expect(ran.code).toBe(code)
    expect(await leftovers()).toEqual([])
  })

  it.each(['$(touch pwned)', '`touch pwned`', "'; touch pwned; '", 'a b', '*', '%2e%2e', '"'])(
    '%s as a name runs nothing',
    async (name) => {
      for (const args of [
        [name],
        ['--tool', name, plus],
        ['--distro', name, plus],
        ['--banner', name, plus],
      ]) {
        expect((await run(standard, ...args)).code).not.toBe(0)
      }
      expect(await leftovers()).toEqual([])
    },
  )

  it('that was cut off anywhere does nothing', async () => {
    for (let end = 0; end < script.length - 12; end += 401) {
      const ran = await run({ ...standard, text: script.slice(0, end) }, ...full)
      expect(ran.out).toBe('')
      expect(await leftovers()).toEqual([])
    }
  })

  it.skipIf(has['shellcheck'] !== true)('is clean to shellcheck (skipped where that is missing)', () => {
    for (const shell of ['sh', 'dash', 'bash', 'busybox']) {
      const file = join(packageRoot, 'registry', 'get.sh')
      const checked = spawnSync('shellcheck', ['-s', shell === 'busybox' ? 'sh' : shell, file], {
        encoding: 'utf8',
      })
      expect(checked.stdout).toBe('')
      expect(checked.status).toBe(0)
    }
  })

  it("knows the hub's own URL, as the operator, a proxy or the request says", async () => {
    const url = async (headers: Record<string, string>, publicUrl?: string): Promise<string | undefined> => {
      const app = createApp(
        createHub({ ...store, log: silentLog, ...(publicUrl === undefined ? {} : { publicUrl }) }),
      )
      const response = await app.request('/get.sh', { headers })
      if (response.status !== 200) return String(response.status)
      expect(response.headers.get('cache-control')).toContain('no-store')
      return /BTFHUB_URL:-(.*)\}/.exec(await response.text())?.[1]
    }
    expect(await url({ host: 'hub.example:8080' })).toBe("'http://hub.example:8080'")
    expect(await url({ host: '[::1]:80' })).toBe("'http://[::1]:80'")
    const forwarded = { host: 'inner', 'x-forwarded-host': 'hub.example', 'x-forwarded-proto': 'https' }
    expect(await url(forwarded)).toBe("'https://hub.example'")
    expect(await url(forwarded, 'https://public.example/btf/')).toBe("'https://public.example/btf'")
    expect(await url({}, "https://a.example/it's")).toBe("'https://a.example/it'\\''s'")
    for (const host of ['a$(id)', "a';id;'", 'a b', 'a/../b', 'a"', 'a\\b', '-a', 'a}', '']) {
      expect(await url({ host: 'x', 'x-forwarded-host': host })).toBe('400')
    }
    expect(await url({ host: 'x', 'x-forwarded-proto': 'javascript' })).toBe('400')
  })
})
