import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { packageRoot } from '../core/version.ts'
import { quantile } from '../test/helpers/agents-at-once.ts'
import { type RunningServer, serveCli } from '../test/helpers/cli.ts'
import { debianCloudRelease } from '../test/helpers/debian-kernel.ts'
import { askSteadily } from '../test/helpers/open-loop.ts'
import { type ComparisonResult, median } from './measure.ts'
import { shell } from './shell.ts'

const BIN = join(packageRoot, 'bin/btfhub')
const RELEASE = '6.0.0-bench'
const ROUNDS = 5
const SECONDS = 2
const PER_SECOND = 200

/** What a registry loses by an access log, and who waits while it extracts a kernel on demand. */
export async function* benchBusyRegistry(dir: string): AsyncGenerator<ComparisonResult> {
  const data = join(dir, 'busy')
  await shell(
    `node ${BIN} import /sys/kernel/btf/vmlinux --as debian/12/x86_64/${RELEASE} --data ${data}`,
    dir,
  )
  yield await accessLog(data, dir)
  const release = await debianCloudRelease()
  if (release !== null) yield await whileExtracting(data, release, dir)
}

/** Hot answers, the cheapest there are: nowhere does a line cost more in proportion. */
async function accessLog(data: string, dir: string): Promise<ComparisonResult> {
  const servers = {
    without: await serveCli(data),
    with: await serveCli(data, '--access-log', join(dir, 'access.log')),
  }
  const path = `/v1/btf/${RELEASE}?format=sha256`
  const rates = { without: [] as number[], with: [] as number[] }
  try {
    for (let round = 0; round <= ROUNDS; round++) {
      for (const name of round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)) {
        const text = await shell(`wrk -t1 -c32 -d${SECONDS}s ${servers[name].url}${path}`, dir)
        if (/Non-2xx|Socket errors/.test(text)) throw new Error(`access log ${name}: ${text}`)
        // The first round is compiling.
        if (round > 0) rates[name].push(Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]))
      }
    }
  } finally {
    await Promise.all(Object.values(servers).map((server: RunningServer) => server.stop()))
  }
  const [on, off] = [median(rates.with), median(rates.without)]
  return {
    work: 'GET, hot, with an access log against without',
    input: `wrk -t1 -c32 -d${SECONDS}s, ${ROUNDS} rounds in turn`,
    oursMs: 1000 / on,
    theirsMs: 1000 / off,
    ratio: on / off,
    atLeast: 0.5,
    notes: [`${on.toFixed(0)} requests/s with, ${off.toFixed(0)} without`],
  }
}

async function whileExtracting(data: string, release: string, dir: string): Promise<ComparisonResult> {
  // What was never listed is nobody's to extract on demand.
  await shell(`node ${BIN} crawl debian --plan --version 12 --arch x86_64 --data ${data}`, dir)
  const server = await serveCli(data, '--on-demand', 'debian', '--wait', '5m')
  try {
    const url = `${server.url}/v1/btf/${RELEASE}?format=sha256`
    await askSteadily(url, PER_SECOND, sleep(2000))
    const idle = await askSteadily(url, PER_SECOND, sleep(5000))
    const start = performance.now()
    const extracting = fetch(`${server.url}/v1/btf/${release}?distro=debian&version=12`).then(
      async (answer) => {
        await answer.arrayBuffer()
        if (answer.status !== 200) throw new Error(`${release} on demand: ${answer.status}`)
      },
    )
    const busy = await askSteadily(url, PER_SECOND, extracting)
    await extracting
    const tookMs = performance.now() - start
    const at = (times: readonly number[], part: number): number => quantile(times, part)
    const told = (times: readonly number[]): string =>
      `p50 ${at(times, 0.5).toFixed(1)}, p99 ${at(times, 0.99).toFixed(1)}, longest ${(times.at(-1) ?? NaN).toFixed(1)} ms`
    return {
      work: 'GET, hot, while a kernel is extracted on demand: p99 against that of an idle hub',
      input: `${release} of Debian’s mirror, downloaded and extracted in ${(tookMs / 1000).toFixed(1)} s; ${PER_SECOND} requests a second, from when each was due`,
      oursMs: at(busy, 0.99),
      theirsMs: at(idle, 0.99),
      ratio: at(idle, 0.99) / at(busy, 0.99),
      // With as many cores as the extraction has programs, those that ask have to wait for one.
      atLeast: 0.1,
      notes: [`idle: ${told(idle)}`, `extracting: ${told(busy)}`],
    }
  } finally {
    await server.stop()
  }
}
