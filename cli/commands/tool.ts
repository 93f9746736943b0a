import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { sha256Of } from '../../core/digest.ts'
import { checkName } from '../../core/kernel.ts'
import { limits } from '../../core/limits.ts'
import { parseBpfObject } from '../../minimize/index.ts'
import type { ToolObject } from '../../store/index.ts'
import { Exit, ExitCode, UsageError } from '../exit.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'
import { createProgress, formatBytes, formatTable } from '../terminal.ts'

interface ToolCommandOptions {
  readonly data: string
  readonly json: boolean
}

/** `btfhub tool add NAME[@VERSION] FILE…`: registers objects and makes their min BTF for every kernel. */
export async function toolAdd(
  spec: string,
  files: readonly string[],
  options: ToolCommandOptions,
  invocation: Invocation,
): Promise<void> {
  const { terminal, signal } = invocation
  if (files.length > limits.object.maxCount) {
    throw new UsageError(`${files.length} objects, ${limits.object.maxCount} are allowed`)
  }
  const objects = await readObjects(files)
  const { name, version } = parseTool(spec)
  await withStore({ data: options.data }, invocation, async (store, log) => {
    const kept: ToolObject[] = []
    for (const object of objects) kept.push({ name: object.name, ...(await store.blobs.put(object.bytes)) })
    const tool = await store.catalog.addTool({
      name,
      version: version ?? contentVersion(kept),
      objects: kept,
    })
    const label = `${tool.name}@${tool.version}`
    const progress = createProgress(terminal, 'items')
    try {
      const coverage = await createMinMaker(store, log).forTool(tool, signal, (done, total) => {
        if (!terminal.isInteractive) return
        if (done === 1) progress.start(label, label, total)
        progress.update(label, done, 'kernels')
      })
      progress.close()
      if (options.json) terminal.out(JSON.stringify({ tool, ...coverage }, null, 2))
      else {
        for (const { btf, reason } of coverage.unfit)
          terminal.err(`no min BTF of ${btf.slice(0, 12)}: ${reason}`)
        terminal.err(
          `${label}: min BTF for ${coverage.kernels} different BTFs, ` +
            `${coverage.contents} different contents of ${formatBytes(coverage.bytes)} in all`,
        )
      }
      if (coverage.unfit.length > 0) throw new Exit(ExitCode.failed)
    } finally {
      progress.close()
    }
  })
}

export interface ToolPushOptions {
  readonly hub?: readonly string[]
  readonly tokenFile?: string
  readonly json: boolean
}

/** `btfhub tool push NAME@VERSION FILE…`: registers objects at a hub, which makes their min BTF. */
export async function toolPush(
  spec: string,
  files: readonly string[],
  options: ToolPushOptions,
  { terminal, env, signal }: Invocation,
): Promise<void> {
  const { name, version } = parseTool(spec)
  if (version === undefined) throw new UsageError(`tool ${spec}: expected NAME@VERSION`)
  const [hub, ...others] = options.hub ?? []
  if (hub === undefined || others.length > 0) throw new UsageError('--hub: expected the one hub to push to')
  const secret = (
    options.tokenFile === undefined ? env['BTFHUB_TOKEN'] : await readFile(options.tokenFile, 'utf8')
  )?.trim()
  if (secret === undefined || secret === '')
    throw new UsageError('expected a token in --token-file or BTFHUB_TOKEN')
  const objects = await readObjects(files)
  const { pushTool } = await import('../../client/api.ts')
  const { state, done, total } = await pushTool({ name, version, objects }, { hub, secret, signal })
  if (options.json) terminal.out(JSON.stringify({ state, done, total }, null, 2))
  else terminal.err(`${spec}: ${state}, min BTF for ${done} of ${total} different BTFs`)
}

/** `btfhub tool list`. */
export async function toolList(options: ToolCommandOptions, invocation: Invocation): Promise<void> {
  const { terminal } = invocation
  const tools = await withStore({ data: options.data, readOnly: true }, invocation, (store) =>
    store.catalog.tools(),
  )
  if (options.json) terminal.out(JSON.stringify(tools, null, 2))
  else if (tools.length === 0)
    terminal.err('no tools: `btfhub tool add NAME@VERSION FILE.bpf.o` registers one')
  else {
    terminal.out(
      formatTable(
        ['TOOL', 'VERSION', 'OBJECTS', 'ADDED'],
        tools.map((tool) => [
          tool.name,
          tool.version,
          tool.objects.map((object) => object.name).join(' '),
          tool.createdAt.slice(0, 16),
        ]),
      ),
    )
  }
}

/** `btfhub tool rm NAME[@VERSION]`. Exit code 3 where there is none. */
export async function toolRemove(
  spec: string,
  options: Pick<ToolCommandOptions, 'data'>,
  invocation: Invocation,
): Promise<void> {
  const { name, version } = parseTool(spec)
  const removed = await withStore({ data: options.data }, invocation, (store) =>
    store.catalog.removeTool(name, version),
  )
  if (removed === 0) {
    invocation.terminal.err(`btfhub: no tool ${spec}; \`btfhub tool list\` shows what there is`)
    throw new Exit(ExitCode.notFound)
  }
  invocation.terminal.err(`${spec}: ${removed} removed; \`btfhub gc\` frees the space`)
}

function parseTool(spec: string): { name: string; version?: string } {
  const [name = '', version, ...rest] = spec.split('@')
  if (rest.length > 0) throw new UsageError(`tool ${spec}: expected NAME or NAME@VERSION`)
  checkName('tool name', name)
  return version === undefined ? { name } : { name, version: checkName('tool version', version) }
}

/** Objects whose version nobody names are known by what they are. */
function contentVersion(objects: readonly ToolObject[]): string {
  const digests = objects.map((object) => `${object.name} ${object.digest}`).sort()
  return `sha256-${sha256Of(digests.join('\n')).slice(0, 12)}`
}

/** Every object is parsed before anything is kept. */
async function readObjects(files: readonly string[]): Promise<{ name: string; bytes: Uint8Array }[]> {
  const names = new Set<string>()
  const objects: { name: string; bytes: Uint8Array }[] = []
  for (const file of files) {
    const name = basename(file)
    if (names.has(name)) throw new UsageError(`${file}: two objects are named ${name}`)
    names.add(name)
    const bytes = await readFile(file)
    parseBpfObject(file, bytes)
    objects.push({ name, bytes })
  }
  return objects
}
