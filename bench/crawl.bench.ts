import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../core/version.ts'
import { type Fleet, fleetArgs, openFleet } from '../test/mirrors/fleet.ts'
import { addFillers, fillersFor } from '../test/mirrors/large-index.ts'
import { startNginx } from '../test/mirrors/servers.ts'
import { watchPeakMemory } from '../test/helpers/peak-memory.ts'
import { compare, type ComparisonResult } from './measure.ts'

/** A list of so many bytes is the largest known; what reading it may take, in bytes. */
const LARGEST_INDEX_BYTES = 200_000_000
const MEMORY_GOAL_BYTES = 300_000_000
const PACKAGES = 100_000
/** A repository of the fleet whose list is packed by gzip. */
const REPO = 'centos-vault/7.9.2009/updates/x86_64'
const CENTOS = ['crawl', 'centos', '--version', '7', '--arch', 'x86_64']

/** What a night costs: with nothing new, with the largest index, and by how many packages at a time. */
export async function* benchCrawl(dir: string): AsyncGenerator<ComparisonResult> {
  const fleet = await openFleet()
  yield* secondCrawl(fleet, dir)
  yield await largestIndex(fleet, dir)
  yield* packagesAtATime(fleet, dir)
}

/** A crawl of an index that has not changed, against the first of the same: its time, and what it transfers. */
async function* secondCrawl(fleet: Fleet, dir: string): AsyncGenerator<ComparisonResult> {
  const bytes = await withRepo(fleet, join(dir, 'many'), PACKAGES)
  const nginx = await startNginx(join(dir, 'many'), dir)
  try {
    const wire = { first: 0, second: 0 }
    const crawl = async (data: string, which: keyof typeof wire): Promise<string> => {
      const mirror = ['--mirror', `${nginx.url}/centos-vault`]
      const report = JSON.parse(await btfhub([...CENTOS, ...mirror, '--data', data, '--json'])) as Report
      wire[which] = report.bytes
      return `${report.builds.length} kernels, ${report.requests} requests, ${report.bytes} bytes`
    }
    const known = join(dir, 'known')
    await crawl(known, 'first')
    const input = `primary.xml of ${PACKAGES} packages, ${bytes} bytes; three kernels`
    yield await compare({
      work: 'crawl with nothing new; against the first of the same index',
      input: `${input}; whole processes`,
      ours: { name: 'second', run: () => crawl(known, 'second') },
      theirs: { name: 'first', run: () => inNewFolder(dir, (data) => crawl(data, 'first')) },
      // Node's start, and a question for each of the folders that are not there, cost the same both times.
      atLeast: 2,
      rounds: 3,
    })
    yield {
      work: 'transfer of a crawl with nothing new; against the first of the same index',
      input,
      oursMB: wire.second / 1e6,
      theirsMB: wire.first / 1e6,
      ratio: wire.first / wire.second,
      atLeast: 100,
      notes: [],
    }
  } finally {
    await nginx.close()
  }
}

/** What the largest index takes to read, against what is allowed. */
async function largestIndex(fleet: Fleet, dir: string): Promise<ComparisonResult> {
  const bytes = await withRepo(fleet, join(dir, 'large'), fillersFor(LARGEST_INDEX_BYTES))
  const nginx = await startNginx(join(dir, 'large'), dir)
  try {
    const started = start([
      ...CENTOS,
      ...['--plan', '--json', '--mirror', `${nginx.url}/centos-vault`, '--data', join(dir, 'planned')],
    ])
    const peak = watchPeakMemory(started)
    await ended(started)
    return {
      work: 'memory of a crawl that reads the largest index; against what it may take',
      input: `primary.xml of ${bytes} bytes; the whole process at its peak`,
      oursMB: peak() / 1e6,
      theirsMB: MEMORY_GOAL_BYTES / 1e6,
      ratio: MEMORY_GOAL_BYTES / peak(),
      atLeast: 1,
      notes: [],
    }
  } finally {
    await nginx.close()
  }
}

/** How many packages at a time are worth it. */
async function* packagesAtATime(fleet: Fleet, dir: string): AsyncGenerator<ComparisonResult> {
  const nginx = await startNginx(fleet.root, dir)
  const crawl = (jobs: number) => (): Promise<string> =>
    inNewFolder(dir, async (data) => {
      const startedMs = performance.now()
      const args = [...fleetArgs(nginx.url, fleet.root), '--jobs', String(jobs), '--data', data, '--json']
      const { builds } = JSON.parse(await btfhub(args)) as Report
      const minutes = (performance.now() - startedMs) / 60_000
      return `${(builds.length / minutes).toFixed(0)} packages a minute`
    })
  try {
    for (const jobs of [2, 4]) {
      yield await compare({
        work: `crawl of the test mirrors by ${jobs} packages at a time; against one at a time`,
        input: `${fleet.kernels.length} small kernels of three distributions; whole processes`,
        ours: { name: `--jobs ${jobs}`, run: crawl(jobs) },
        theirs: { name: '--jobs 1', run: crawl(1) },
        // On two cores one pahole keeps both busy: more at a time is for waiting on mirrors, and must cost nothing here.
        atLeast: 0.8,
        rounds: 3,
      })
    }
  } finally {
    await nginx.close()
  }
}

/** CentOS 7's mirrors under `root`, one of its lists grown. */
async function withRepo(fleet: Fleet, root: string, packages: number): Promise<number> {
  for (const part of ['centos-vault', 'centos-debuginfo']) {
    await cp(join(fleet.root, part), join(root, part), { recursive: true })
  }
  return await addFillers(join(root, REPO), packages)
}

async function inNewFolder<T>(dir: string, work: (data: string) => Promise<T>): Promise<T> {
  const data = await mkdtemp(join(dir, 'hub-'))
  try {
    return await work(data)
  } finally {
    await rm(data, { recursive: true, force: true })
  }
}

interface Report {
  readonly requests: number
  readonly bytes: number
  readonly builds: readonly object[]
}

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [join(packageRoot, 'bin/btfhub'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function ended(child: ChildProcess): Promise<string> {
  let stdout = ''
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`btfhub ended with ${code}: ${stderr}`)
  return stdout
}

async function btfhub(args: readonly string[]): Promise<string> {
  return await ended(start(args))
}
