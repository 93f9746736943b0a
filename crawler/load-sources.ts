import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { describeError } from '../core/errors.ts'
import type { HostPolicies, HostPolicy } from '../core/hosts.ts'
import { politeHosts } from '../core/hosts.ts'
import { type Index, SourceFile } from './schema.ts'
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
  for (const file of files) {
    for (const { host, policy } of file.indexes.flatMap((index) => hostsOf(index, file.politeness))) {
      const other = byHost[host] ?? policy
      byHost[host] = {
        concurrency: Math.min(policy.concurrency, other.concurrency),
        delayMs: Math.max(policy.delayMs, other.delayMs),
      }
    }
  }
  return { others: politeHosts.others, byHost }
}

function hostsOf(index: Index, usual: HostPolicy): { readonly host: string; readonly policy: HostPolicy }[] {
  const more = index.format === 'launchpad' ? [index.files, index.snapshots?.base] : []
  return [
    ...index.archives.flatMap(({ mirrors, politeness }) =>
      mirrors.map((url) => ({ url, policy: politeness ?? usual })),
    ),
    ...more.filter((url) => url !== undefined).map((url) => ({ url, policy: usual })),
  ].map(({ url, policy }) => ({ host: new URL(url).host, policy }))
}
