import { mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../core/version.ts'
import { quantile, startAgents } from '../test/helpers/agents-at-once.ts'
import { serveCli } from '../test/helpers/cli.ts'
import { bannerOf, buildIdOf, makeSyntheticHub, releaseOf, toolOf } from '../test/helpers/synthetic-hub.ts'
import { type ComparisonResult, median } from './measure.ts'
import { startNginx } from './nginx.ts'
import { shell } from './shell.ts'

const BIN = join(packageRoot, 'bin/btfhub')
const RELEASE = '6.0.0-bench'
const CONNECTIONS = [1, 32, 256]
const SECONDS = 2
const ROUNDS = 5

const KERNELS = 20_000
const TOOLS = 50
const AGENTS = 10_000
const MAX_RSS_BYTES = 1024 ** 3

/** What a registry does a second against nginx with the same bytes in files; then a large one, and a fleet's start. */
export async function* benchRegistry(dir: string): AsyncGenerator<ComparisonResult> {
  yield* againstNginx(dir)
  yield* atScale(dir)
}

async function* againstNginx(dir: string): AsyncGenerator<ComparisonResult> {
  const data = join(dir, 'hub')
  await shell(
    `make --silent -C ${join(packageRoot, 'examples/c')} OUT=${dir}/build
     node ${BIN} import /sys/kernel/btf/vmlinux --as debian/12/x86_64/${RELEASE} --data ${data}
     node ${BIN} tool add execwatch@1 ${dir}/build/execwatch.bpf.o --data ${data}`,
    dir,
  )
  const server = await serveCli(data)
  const files = join(dir, 'files')
  await mkdir(files)
  const paths = { min: `/v1/min/execwatch/${RELEASE}`, full: `/v1/btf/${RELEASE}` }
  for (const [name, path] of Object.entries(paths)) {
    await shell(`curl -fsS -o ${files}/${name}.btf ${server.url}${path}`, dir)
  }
  const workers = availableParallelism()
  const nginxes = {
    one: await startNginx(files, join(dir, 'one')),
    tuned: await startNginx(files, join(dir, 'tuned'), { openFileCache: true }),
    auto: await startNginx(files, join(dir, 'auto'), { workers }),
  }
  try {
    for (const what of ['min', 'full'] as const) {
      for (const connections of CONNECTIONS) {
        const urls = {
          ours: server.url + paths[what],
          one: `${nginxes.one.url}/${what}.btf`,
          tuned: `${nginxes.tuned.url}/${what}.btf`,
          auto: `${nginxes.auto.url}/${what}.btf`,
        }
        const unit = what === 'min' ? 'requests' : 'MB'
        const rate = await rates(urls, unit, connections, dir)
        yield {
          work: `GET of a ${what} BTF by release, ${connections} connections; against nginx, one worker, Debian's directives`,
          input: `wrk -t1 -d${SECONDS}s, ${ROUNDS} rounds, client and server on the same ${workers} cores; one process of ours`,
          oursMs: 1000 / rate.ours,
          theirsMs: 1000 / rate.one,
          ratio: rate.ours / rate.one,
          atLeast: what === 'min' ? 0.8 : 0.9,
          notes: [
            `ours ${rate.ours.toFixed(0)} ${unit}/s, nginx ${rate.one.toFixed(0)}`,
            `nginx with open_file_cache ${rate.tuned.toFixed(0)}: ${(rate.ours / rate.tuned).toFixed(2)}x`,
            `nginx with ${workers} workers ${rate.auto.toFixed(0)}: ${(rate.ours / rate.auto).toFixed(2)}x`,
          ],
        }
      }
    }
  } finally {
    await Promise.all(Object.values(nginxes).map((nginx) => nginx.stop()))
    await server.stop()
  }
}

/** Requests or bytes per second of each URL: medians of rounds whose order turns. */
async function rates<Name extends string>(
  urls: Readonly<Record<Name, string>>,
  unit: 'requests' | 'MB',
  connections: number,
  dir: string,
): Promise<Record<Name, number>> {
  const names = Object.keys(urls) as Name[]
  const seen = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  // The first seconds of a process are compiling.
  for (const name of names) await shell(`wrk -t1 -c${connections} -d1s ${urls[name]}`, dir)
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const text = await shell(`wrk -t1 -c${connections} -d${SECONDS}s --timeout 10s ${urls[name]}`, dir)
      if (/Non-2xx|Socket errors/.test(text)) throw new Error(`${urls[name]}: ${text}`)
      seen[name].push(unit === 'MB' ? megabytesIn(text) : Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]))
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(seen[name])])) as Record<Name, number>
}

function megabytesIn(wrk: string): number {
  const [, amount, unit] = /Transfer\/sec:\s+([\d.]+)([KMG])B/.exec(wrk) ?? []
  return Number(amount) * ({ K: 1 / 1024, M: 1, G: 1024 }[unit ?? ''] ?? NaN)
}

async function* atScale(dir: string): AsyncGenerator<ComparisonResult> {
  const data = join(dir, 'large')
  await makeSyntheticHub(data, { kernels: KERNELS, tools: TOOLS })
  const server = await serveCli(data)
  const input = `${KERNELS} kernels, ${TOOLS} tools, ${KERNELS * TOOLS} min BTF`
  const path = (tool: number, i: number, facts: Record<string, string> = {}): string =>
    `/v1/min/${toolOf(tool)}/${releaseOf(i)}?${new URLSearchParams(facts).toString()}`
  try {
    const byRelease = await coldMs(server.url, (i) => path(0, i))
    for (const [name, facts] of [
      ['build-id', (i: number) => ({ build_id: buildIdOf(i) })],
      ['banner', (i: number) => ({ banner: bannerOf(i) })],
    ] as const) {
      const oursMs = await coldMs(server.url, (i) => path(name === 'banner' ? 2 : 1, i, facts(i)))
      yield {
        work: `resolving by ${name}, not hot; against by release alone`,
        input,
        oursMs,
        theirsMs: byRelease,
        ratio: byRelease / oursMs,
        atLeast: 0.7,
        notes: [`${((oursMs - byRelease) * 1000).toFixed(0)} µs more a request`],
      }
    }
    const paths = Array.from({ length: AGENTS }, (_, i) => path(3, i))
    const { errors, latenciesMs } = await startAgents(server.url, paths)
    if (errors.length > 0) throw new Error(`${AGENTS} agents at once: ${errors.join(', ')}`)
    const [p50, p99] = [quantile(latenciesMs, 0.5), quantile(latenciesMs, 0.99)]
    const peakBytes = await peakResidentBytes(server.pid)
    yield {
      work: `${AGENTS} agents at once, distinct releases, nothing hot: memory against 1 GiB`,
      input,
      oursMs: p99,
      theirsMs: p99,
      ratio: MAX_RSS_BYTES / peakBytes,
      atLeast: 1,
      notes: [
        `no error; p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, the last after ${(latenciesMs.at(-1) ?? NaN).toFixed(0)} ms, all on the same cores`,
        `at most ${(peakBytes / 1024 ** 2).toFixed(0)} MiB resident`,
      ],
    }
  } finally {
    await server.stop()
  }
}

/** The median time of requests one after the other on one connection, each for another kernel. */
async function coldMs(url: string, path: (i: number) => string): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < 2000; i++) {
    const start = performance.now()
    const answer = await fetch(url + path(i))
    await answer.arrayBuffer()
    if (answer.status !== 200) throw new Error(`${path(i)}: ${answer.status}`)
    times.push(performance.now() - start)
  }
  return median(times)
}

/** `VmHWM`: the most that a process has had since it started. */
async function peakResidentBytes(pid: number): Promise<number> {
  const text = await shell(`cat /proc/${pid}/status`, '/')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024
}
