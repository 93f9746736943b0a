import { readFile } from 'node:fs/promises'
import { type Arch, ARCHES, parseArch } from '../../core/kernel.ts'
import {
  type CheckedObject,
  type CheckResult,
  countPrograms,
  type Finding,
  formatFinding,
  type KernelOnly,
  type MinimizePool,
  type ObjectCheck,
  type PoolTool,
  prepareCheck,
  summarize,
} from '../../minimize/index.ts'
import { nameModules } from '../../registry/index.ts'
import { Exit, ExitCode, UsageError } from '../exit.ts'
import { groupsOfFiles, groupsOfHub, type KernelGroup } from '../hub/check-kernels.ts'
import { withStore } from '../hub/open.ts'
import { checkKernel, READ_AHEAD, withThreads } from '../kernel-threads.ts'
import type { Invocation } from '../main.ts'
import { readAhead } from '../read-ahead.ts'
import { createProgress, formatTable } from '../terminal.ts'

export interface CheckOptions {
  readonly object: readonly string[]
  readonly btf?: readonly string[]
  readonly all: boolean
  readonly arch?: string
  readonly data: string
  readonly json: boolean
}

interface Checked {
  readonly results: readonly CheckResult[]
  readonly findings: readonly Finding[]
}

/** Objects, read and as threads take them. */
interface Asked {
  readonly objects: readonly CheckedObject[]
  readonly tool: PoolTool
  readonly isBrief: boolean
}

/**
 * `btfhub check --object FILE… [--btf FILE…|--all]`: on which kernels each relocation resolves, is guarded or fails.
 * Exit code 1 where anything fails that no check guards.
 */
export async function check(options: CheckOptions, invocation: Invocation): Promise<void> {
  if (options.btf !== undefined && options.all) throw new UsageError('--btf and --all: expected one of them')
  const arch = options.arch === undefined ? null : parseArch(options.arch)
  if (arch === null && options.arch !== undefined)
    throw new UsageError(`--arch ${options.arch}: expected one of ${ARCHES.join(', ')}`)
  const files = []
  for (const name of options.object) files.push({ name, bytes: new Uint8Array(await readFile(name)) })
  const objects = files.map(({ name, bytes }) => prepareCheck(name, bytes))
  const asked = { objects, tool: { objects: files }, isBrief: !options.json }
  const kernelOnly = new Map(objects.map((each) => [each.prepared.object.name, each.kernelOnly]))
  const checkOn = async (groups: readonly KernelGroup[]): Promise<Checked> => {
    const results = await checkAll(asked, groups, arch, invocation)
    return { results, findings: summarize(results, kernelOnly) }
  }
  const { results, findings } =
    options.btf === undefined
      ? await withStore({ data: options.data, readOnly: true }, invocation, async (store) => {
          const checked = await checkOn(await groupsOfHub(store))
          const builds = await store.catalog.builds()
          const named = await nameModules(store, builds, checked.findings, invocation.signal)
          return { ...checked, findings: named }
        })
      : await checkOn(await groupsOfFiles(options.btf, invocation))
  if (results.length === 0) throw new UsageError('no kernels to check on: give --btf FILE, or fill the hub')
  if (options.json) invocation.terminal.out(asJson(results, findings, kernelOnly))
  else await print(results, findings, kernelOnly, invocation)
  if (findings.some(({ effect }) => effect !== 'guarded')) throw new Exit(ExitCode.failed)
}

async function checkAll(
  { objects, tool, isBrief }: Asked,
  groups: readonly KernelGroup[],
  arch: Arch | null,
  { signal, terminal }: Invocation,
): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  const wanted = groups.flatMap(({ kernels: found, load }) => {
    const kernels = found.filter((kernel) => arch === null || kernel.arch === arch)
    return kernels.length === 0 ? [] : [{ kernels, load }]
  })
  const progress = terminal.isInteractive ? createProgress(terminal, 'items') : null
  progress?.start('check', 'check', wanted.length)
  const checkGroup = async (
    pool: MinimizePool | null,
    { load }: KernelGroup,
  ): Promise<readonly ObjectCheck[]> => {
    const btf = await load()
    signal.throwIfAborted()
    return checkKernel(pool, objects, tool, btf, isBrief)
  }
  try {
    await withThreads(wanted.length, async (pool) => {
      for await (const { item, result } of readAhead(wanted, READ_AHEAD, (group) =>
        checkGroup(pool, group),
      )) {
        results.push({ kernels: item.kernels, objects: result })
        progress?.update('check', results.length, 'kernels')
      }
    })
  } finally {
    progress?.close()
  }
  return results
}

/** For each program, on how many kernels it loads; then what fails and what is guarded. */
async function print(
  results: readonly CheckResult[],
  findings: readonly Finding[],
  kernelOnly: ReadonlyMap<string, readonly KernelOnly[]>,
  { terminal }: Invocation,
): Promise<void> {
  const lines: string[] = []
  const total = results.reduce((sum, { kernels }) => sum + kernels.length, 0)
  const rows = countPrograms(results, findings).map((each) => [
    each.object,
    each.program,
    each.section,
    each.loads,
    each.guarded,
    each.fails,
  ])
  lines.push(formatTable(['OBJECT', 'PROGRAM', 'SECTION', 'LOADS', 'GUARDED', 'FAILS'], rows))
  let object: string | null = null
  for (const finding of findings) {
    if (finding.object !== object) lines.push('', `${finding.object}:`)
    object = finding.object
    lines.push(`  ${formatFinding(finding)}`)
  }
  for (const [name, parts] of kernelOnly) {
    if (parts.length === 0) continue
    lines.push('', `${name}: no file helps these on kernels without BTF of their own:`)
    for (const part of parts) lines.push(`  ${part.name} (${part.what})`)
  }
  const failing = findings.filter(({ effect }) => effect !== 'guarded').length
  await terminal.outLines(lines.flatMap((line) => line.split('\n')))
  terminal.err(`${total} kernels; ${failing === 0 ? 'nothing fails' : `${failing} findings fail`}`)
}

function asJson(
  results: readonly CheckResult[],
  findings: readonly Finding[],
  kernelOnly: ReadonlyMap<string, readonly KernelOnly[]>,
): string {
  const told = findings.map((finding) => ({ ...finding, text: formatFinding(finding) }))
  const facts = { findings: told, kernelOnly: Object.fromEntries(kernelOnly), results }
  return JSON.stringify(
    facts,
    (_, value: unknown) => (typeof value === 'bigint' ? asNumber(value) : value),
    2,
  )
}

/** JSON numbers are exact up to 53 bits; enumerators may be longer. */
function asNumber(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value)
}
