import { readFile } from 'node:fs/promises'
import {
  agentEnvironment,
  BtfCache,
  ClientError,
  createClient,
  defaultCacheDir,
  type Form,
  get as getBtf,
  type GetOptions,
  type Got,
  installPath,
  place,
  releaseOf,
  readHost,
} from '../../client/index.ts'
import { sha256Of } from '../../core/digest.ts'
import { createLog } from '../../core/log.ts'
import { Exit, exitCodeOf, UsageError } from '../exit.ts'
import type { Invocation } from '../main.ts'

export interface GetCommandOptions {
  readonly hub?: readonly string[]
  readonly key?: readonly string[]
  readonly tool?: string
  readonly object?: readonly string[]
  readonly variant?: 'full' | 'merged'
  readonly module?: string
  readonly compat?: NonNullable<GetOptions['compat']>
  readonly arch?: string
  readonly distro?: string
  readonly version?: string
  readonly buildId?: string
  readonly banner?: string
  readonly output?: string
  readonly format: 'raw' | Form
  readonly install: boolean
  readonly env: boolean
  readonly like: boolean
  readonly predict: boolean
  readonly force: boolean
  readonly cache?: string
  /** Seconds that hubs have for it all. */
  readonly timeout?: number
  readonly json: boolean
}

/** `btfhub get [RELEASE]`: the path of a verified BTF on stdout, and nothing else. */
export async function get(
  release: string | undefined,
  options: GetCommandOptions,
  invocation: Invocation,
): Promise<void> {
  const { terminal, signal, env } = invocation
  checkOptions(options)
  const log = createLog(invocation.logLevel)
  const cacheDir = options.cache ?? defaultCacheDir(env)
  const client = createClient({
    hubs: options.hub ?? [],
    keys: options.key ?? [],
    cacheDir,
    signal,
    ...(options.timeout !== undefined && { timeouts: { wholeMs: options.timeout * 1000 } }),
    log: { warn: (message: string) => log.info({}, message) },
  })
  try {
    const asked = toQuery(release, options)
    const host = await readHost()
    const got =
      options.object === undefined
        ? await getBtf({ ...asked, output: options.output, install: options.install }, { client, host })
        : await minimized(await getBtf(asked, { client, host }), options.object, cacheDir, (full) =>
            options.install ? installPath('/', release ?? releaseOf(full)) : options.output,
          )
    if ('predictedFrom' in got && got.predictedFrom !== undefined)
      terminal.err(
        `btfhub: predicted, not known: no hub has this kernel; ${got.predictedFrom.join(' and ')} agree`,
      )
    if (options.json) terminal.out(JSON.stringify(got, null, 2))
    else if (options.env) terminal.out(agentEnvironment(got.path).join('\n'))
    else terminal.out(got.path)
  } catch (err) {
    if (!(err instanceof ClientError)) throw err
    terminal.err(describe(err))
    throw new Exit(exitCodeOf(err))
  } finally {
    await client.close()
  }
}

function checkOptions(options: GetCommandOptions): void {
  const both = (a: unknown, b: unknown): boolean =>
    a !== undefined && a !== false && b !== undefined && b !== false
  if (both(options.tool, options.object)) throw new UsageError('--tool and --object: give one of them')
  if (both(options.tool ?? options.object, options.module)) {
    throw new UsageError('--module: min BTF is cut of --variant full or merged')
  }
  if (both(options.variant, options.module)) throw new UsageError('--variant and --module: give one of them')
  if (both(options.object, options.compat)) {
    throw new UsageError('--object and --compat: `btfhub minimize`, then `btfhub extract --compat`')
  }
  if (both(options.output, options.install)) throw new UsageError('--output and --install: give one of them')
  if (options.predict && options.tool === undefined) {
    throw new UsageError('--predict: only min BTF is predicted, expected --tool')
  }
  if (options.predict && options.format !== 'raw') {
    throw new UsageError(`--predict gives raw BTF, not ${options.format}`)
  }
  if (options.object !== undefined && options.format !== 'raw') {
    throw new UsageError(`--object gives raw BTF, not ${options.format}`)
  }
}

function toQuery(release: string | undefined, options: GetCommandOptions): GetOptions {
  const { tool, arch, distro, version, buildId, banner, format, like, predict, force } = options
  const { variant, module, compat } = options
  const which = { variant, module, compat }
  return { release, tool, ...which, arch, distro, version, buildId, banner, format, like, predict, force }
}

/** Cuts a full BTF down on this machine, and keeps the result as if a hub had sent it. */
async function minimized(
  full: Got,
  objects: readonly string[],
  cacheDir: string,
  destinationOf: (full: Got) => string | undefined,
): Promise<Got> {
  // Only here: `get` is to start fast.
  const { minimize, parseBpfObject } = await import('../../minimize/index.ts')
  const { loadBtf } = await import('../../btf/index.ts')
  const parsed = []
  for (const object of objects) parsed.push(parseBpfObject(object, await readFile(object)))
  const { bytes } = minimize(loadBtf(await readFile(full.path)), parsed)
  const digest = sha256Of(bytes)
  const destination = destinationOf(full)
  if (destination !== undefined) await place(bytes, destination)
  const path = destination ?? (await new BtfCache(cacheDir).keep(digest, bytes))
  return full.from === 'kernel' ? { ...full, path } : { ...full, path, digest }
}

/** What happened, and what would help. */
function describe(err: ClientError): string {
  const lines = [`btfhub: ${err.message}`]
  for (const choice of err.choices) {
    const facts = [
      kernelPath(choice.kernel),
      choice.package_version,
      choice.build_id === null ? null : `build-id ${choice.build_id}`,
    ]
    lines.push(`  ${facts.filter((fact) => fact !== null).join('  ')}`)
  }
  if (err.nearest.length > 0) lines.push(`similar names: ${err.nearest.map(kernelPath).join(', ')}`)
  return lines.join('\n')
}

function kernelPath(kernel: { distro: string; version: string; arch: string; release: string }): string {
  return `${kernel.distro}/${kernel.version}/${kernel.arch}/${kernel.release}`
}
