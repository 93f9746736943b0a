import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { describeError } from '../core/errors.ts'
import type { HostPolicies, HostPolicy } from '../core/hosts.ts'
import { politeHosts } from '../core/hosts.ts'
import { SourceFile } from './schema.ts'
import { CrawlError } from './types.ts'

/** Every source file (`*.yaml`) of a folder, checked, in order of their names. Throws `BAD_SOURCE`. */
export async function loadSources(dir: string): Promise<readonly SourceFile[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.yaml')).sort()
  return Promise.all(names.map(async (name) => parseSource(name, await readFile(join(dir, name), 'utf8'))))
}

/** One source file from its text. Throws `BAD_SOURCE` with the place of every fault. */
export function parseSource(name: string, text: string): SourceFile {
  let value: unknown
  try {
    value = parse(text)
  } catch (err) {
    throw new CrawlError('BAD_SOURCE', `${name}: ${describeError(err)}`, { cause: err })
  }
  const result = SourceFile.safeParse(value)
  if (!result.success) throw new CrawlError('BAD_SOURCE', `${name}: ${z.prettifyError(result.error)}`)
  if (`${result.data.id}.yaml` !== name) {
    throw new CrawlError(
      'BAD_SOURCE',
      `${name}: expected the id to be the file's name, got ${result.data.id}`,
    )
  }
  return result.data
}

/** How the hosts that sources name want to be treated; where two sources share one, the gentler holds. */
export function hostPolicies(files: readonly SourceFile[]): HostPolicies {
  const byHost: Record<string, HostPolicy> = {}
  for (const { politeness, indexes } of files) {
    const mirrors = indexes.flatMap((index) => index.archives.flatMap((archive) => archive.mirrors))
    for (const host of new Set(mirrors.map((mirror) => new URL(mirror).host))) {
      const other = byHost[host] ?? politeness
      byHost[host] = {
        concurrency: Math.min(politeness.concurrency, other.concurrency),
        delayMs: Math.max(politeness.delayMs, other.delayMs),
      }
    }
  }
  return { others: politeHosts.others, byHost }
}
