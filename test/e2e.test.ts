import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { hostname, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findMember, loadBtf, parseBtf, sizeOf } from '../btf/index.ts'
import { packageRoot } from '../core/version.ts'
import { btfhub, runCli, type RunningServer, serveCli } from './helpers/cli.ts'
import { canLoadBpf, corpusDir, havePrograms } from './helpers/machine.ts'

/** What examples/c/execwatch says of one exec. */
interface ExecEvent {
  readonly pid: number
  readonly ppid: number
  readonly prio: number
  readonly uid: number
  readonly start_ns: number
  readonly task_bytes: number
  readonly pidtype_sid: number
  readonly comm: string
  readonly nodename: string
  readonly filename: string
}

const able = canLoadBpf() && havePrograms('clang', 'gcc', 'make')
const HOST_BTF = '/sys/kernel/btf/vmlinux'
/** Clock ticks per second in /proc/PID/stat, on every Linux of ours. */
const USER_HZ = 100

describe.skipIf(!able)(
  'a real agent in this kernel (skipped without root, clang, gcc, make, or kernel BTF)',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-e2e-'))
    const data = join(dir, 'hub')
    const object = join(dir, 'build/execwatch.bpf.o')
    const uname = release()
    const env = { BTFHUB_CACHE: join(dir, 'cache') }
    let server: RunningServer

    beforeAll(async () => {
      execFileSync('make', ['--silent', '-C', join(packageRoot, 'examples/c'), `OUT=${join(dir, 'build')}`])
      await btfhub(['extract', HOST_BTF, '-o', join(dir, 'host.btf')])
      const kernel = `debian/12/x86_64/${uname}`
      const banner = readFileSync('/proc/version', 'utf8')
      await btfhub(['import', join(dir, 'host.btf'), '--as', kernel, '--banner', banner, '--data', data])
      await btfhub(['tool', 'add', 'execwatch@1', object, '--data', data])
      server = await serveCli(data)
    })

    afterAll(async () => {
      await server.stop()
      rmSync(dir, { recursive: true, force: true })
    })

    async function getMin(): Promise<string> {
      return await btfhub(['get', '--force', '--tool', 'execwatch', '--hub', server.url], env)
    }

    it('extracts and serves the very BTF of this kernel', async () => {
      const path = await btfhub(['get', '--force', '--hub', server.url], env)
      expect(readFileSync(path).equals(readFileSync(HOST_BTF))).toBe(true)
    })

    it('gives the path of the kernel itself where it has BTF and nobody forces another', async () => {
      expect(await btfhub(['get', '--hub', server.url], env)).toBe(HOST_BTF)
    })

    it('serves a min BTF a thousandth as large, with which the agent reads the truth', async () => {
      const min = await getMin()
      expect(statSync(min).size * 1000).toBeLessThan(statSync(HOST_BTF).size)

      const { event, truth } = await watchOneExec(dir, min)
      expect(event).toEqual(truth)
    })

    it('shows what the agent reads with no BTF of ours, so that the comparison means something', async () => {
      const { event, truth } = await watchOneExec(dir, undefined)
      expect(event).toEqual(truth)
    })

    const corpus = corpusDir()
    it.skipIf(corpus === null)(
      "sees garbage or a refusal with another kernel's BTF (skipped without corpus)",
      async () => {
        const other = join(dir, 'other.btf')
        const packed = join(corpus ?? '', 'btf/debian/11/x86_64/5.10.0-30-cloud-amd64.btf.xz')
        await btfhub(['extract', packed, '-o', other])
        const min = join(dir, 'other.min.btf')
        await btfhub(['minimize', '--btf', other, '--object', object, '-o', min])
        const outcome = await watchOneExec(dir, min).catch((err: unknown) => err)
        if (outcome instanceof Error) expect(outcome.message).toMatch(/execwatch ended/)
        else expect((outcome as { event: object }).event).not.toEqual((outcome as { truth: object }).truth)
      },
    )

    it('refuses to load with BTF that lacks what the agent reads', async () => {
      const nothing = join(dir, 'nothing.btf')
      // Only the header and an empty string: valid BTF of no types.
      execFileSync('sh', [
        '-c',
        `printf '\\237\\353\\001\\000\\030\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\001\\000\\000\\000\\000' > "${nothing}"`,
      ])
      expect(parseBtf(readFileSync(nothing)).idCount).toBe(1)
      await expect(watchOneExec(dir, nothing)).rejects.toThrow(/execwatch ended/)
    })

    it('answers 3 and prints nothing on stdout for a kernel that the hub lacks', async () => {
      const { code, stdout, stderr } = await runCli(
        ['get', '9.9.9-none', '--arch', 'x86_64', '--hub', server.url],
        env,
      )
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
      expect(stderr).toContain('9.9.9-none')
    })
  },
)

/** Runs the agent while one known process is started, and gives what it said of it and what /proc says. */
async function watchOneExec(
  dir: string,
  btf: string | undefined,
): Promise<{ event: ExecEvent; truth: ExecEvent }> {
  const agent = spawn(join(dir, 'build/execwatch'), [join(dir, 'build/execwatch.bpf.o')], {
    env: { ...process.env, ...(btf !== undefined && { BPF_CUSTOM_BTF: btf }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let child: ChildProcess | undefined
  try {
    await ready(agent)
    const events = createInterface({ input: agent.stdout as NodeJS.ReadableStream })
    // Long enough that the agent's poll and our look into /proc find it alive.
    child = spawn('/bin/sleep', ['30'], { stdio: 'ignore' })
    const pid = child.pid ?? 0
    const truth = truthOf(pid)
    const deadline = setTimeout(() => events.close(), 5000)
    let last: ExecEvent | undefined
    for await (const line of events) {
      const event = parseEvent(line)
      // With wrong offsets the pid is wrong as well: the filename is told by another struct.
      if (event !== null && (event.pid === pid || event.filename === truth.filename)) {
        last = event
        break
      }
    }
    clearTimeout(deadline)
    if (last === undefined) throw new Error('execwatch ended up with nothing about the exec')
    // /proc has ticks of 10 ms where the kernel has nanoseconds.
    return { event: { ...last, start_ns: toTicks(last.start_ns) }, truth }
  } finally {
    child?.kill('SIGKILL')
    agent.kill('SIGKILL')
  }
}

function parseEvent(line: string): ExecEvent | null {
  try {
    return JSON.parse(line) as ExecEvent
  } catch {
    // What was read at wrong offsets need not be text.
    return null
  }
}

async function ready(agent: ChildProcess): Promise<void> {
  let stderr = ''
  await new Promise<void>((resolve, reject) => {
    agent.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
      if (stderr.includes('ready')) resolve()
    })
    once(agent, 'close').then(
      ([code]) => reject(new Error(`execwatch ended with ${String(code)}: ${stderr.slice(-400)}`)),
      reject,
    )
  })
}

function toTicks(ns: number): number {
  return Math.floor(ns / (1e9 / USER_HZ))
}

/** The same facts from /proc and from the kernel's full BTF, none of them through CO-RE. */
function truthOf(pid: number): ExecEvent {
  // comm may have spaces: fields are counted behind the last parenthesis (proc(5)).
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const btf = loadBtf(readFileSync(HOST_BTF))
  const [task = 0] = btf.idsByName('task_struct')
  const [pidType = 0] = btf.idsByName('pid_type')
  const enumeration = btf.type(pidType)
  if (enumeration.kind !== 'enum' || findMember(btf, task, 'pid') === null)
    throw new Error('unexpected kernel BTF')
  return {
    pid,
    ppid: process.pid,
    // proc(5): what is shown for a normal process is the kernel's value less 100.
    prio: Number(fields[15]) + 100,
    uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]),
    start_ns: Number(fields[19]),
    task_bytes: sizeOf(btf, task) ?? 0,
    pidtype_sid: Number(enumeration.values.find((v) => v.name === 'PIDTYPE_SID')?.value),
    comm: readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd(),
    nodename: hostname(),
    filename: '/bin/sleep',
  }
}
