import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchBusyRegistry } from './busy-registry.bench.ts'
import { benchCrawl } from './crawl.bench.ts'
import { benchExtract } from './extract.bench.ts'
import { benchExtractLarge } from './extract-large.bench.ts'
import { benchIndex } from './index.bench.ts'
import { benchMinimize } from './minimize.bench.ts'
import { benchRegistry } from './registry.bench.ts'
import { type ComparisonResult, describeResult } from './measure.ts'

type Bench = (dir: string) => AsyncGenerator<ComparisonResult>

const BENCHES: Readonly<Record<string, Bench>> = {
  index: benchIndex,
  minimize: benchMinimize,
  registry: benchRegistry,
  'busy-registry': benchBusyRegistry,
  extract: benchExtract,
  'extract-large': benchExtractLarge,
  crawl: benchCrawl,
}

/** `make bench`, or `node dist/bench/main.js NAME…`: ratios, each measured side by side in this run. */
async function main(names: readonly string[]): Promise<void> {
  const unknown = names.filter((name) => BENCHES[name] === undefined)
  if (unknown.length > 0) {
    process.stderr.write(`no bench ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}\n`)
    process.exitCode = 2
    return
  }
  const below: string[] = []
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (names.length > 0 && !names.includes(name)) continue
    const dir = await mkdtemp(join(tmpdir(), 'btfhub-bench-'))
    try {
      for await (const result of bench(dir)) {
        process.stdout.write(`${describeResult(result)}\n`)
        if (result.ratio < result.atLeast) below.push(result.work)
      }
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  }
  if (below.length > 0) {
    process.stdout.write(`${below.length} below their goal\n`)
    process.exitCode = 1
  }
}

await main(process.argv.slice(2))
