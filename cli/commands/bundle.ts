import { ARCHES, formatKernel, parseArch } from '../../core/kernel.ts'
import type { Log } from '../../core/log.ts'
import type { BundleItem, BundleLayout } from '../../minimize/index.ts'
import type { Store, Tool } from '../../store/index.ts'
import { Exit, ExitCode, UsageError } from '../exit.ts'
import { type WrittenBundle, writeBundle } from '../hub/bundle-write.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'
import { createProgress, formatBytes, type Terminal } from '../terminal.ts'

export interface BundleOptions {
  readonly layout: BundleLayout
  readonly output: string
  readonly arch?: string
  readonly data: string
  readonly json: boolean
}

/** `btfhub bundle TOOL --layout … -o FILE`: all min BTF of a tool. Exit code 3 where there is no such tool. */
export async function bundle(spec: string, options: BundleOptions, invocation: Invocation): Promise<void> {
  const { terminal, signal } = invocation
  const arch = options.arch === undefined ? null : parseArch(options.arch)
  if (arch === null && options.arch !== undefined)
    throw new UsageError(`--arch ${options.arch}: expected one of ${ARCHES.join(', ')}`)
  const [name = '', version] = spec.split('@')
  await withStore({ data: options.data }, invocation, async (store, log) => {
    const tool = await store.catalog.tool(name, version)
    if (tool === null) {
      terminal.err(`btfhub: no tool ${spec}; \`btfhub tool list\` shows what there is`)
      throw new Exit(ExitCode.notFound)
    }
    const found = await itemsOf(tool, store, log, invocation)
    const items = found.filter(({ kernel }) => arch === null || kernel.arch === arch)
    if (items.length === 0) throw new UsageError(`no min BTF of ${spec} to bundle`)
    tellBundle(await writeBundle(options.layout, items, options.output, signal), options, terminal)
  })
}

/** What was written, and what had to be left out. */
export function tellBundle(
  written: WrittenBundle,
  { output, json }: { readonly output: string; readonly json: boolean },
  terminal: Terminal,
): void {
  const { layout, names, contents, sizeBytes, leftOut } = written
  if (json) {
    terminal.out(JSON.stringify({ output, ...written }))
    return
  }
  for (const { name, kernels, why } of leftOut) {
    const of = kernels.map(formatKernel).join(', ')
    const text =
      why === 'ambiguous' ? 'kernels of this name need different BTF' : 'longer than its readers take'
    terminal.err(`left out ${name}: ${text} (${of})`)
  }
  terminal.err(`${output}: ${layout}, ${names} names, ${contents} contents, ${formatBytes(sizeBytes)}`)
}

/** The min BTF of each build; what is not ready is made. */
async function itemsOf(
  tool: Tool,
  store: Store,
  log: Log,
  { terminal, signal }: Invocation,
): Promise<BundleItem[]> {
  const label = `${tool.name}@${tool.version}`
  const progress = createProgress(terminal, 'items')
  try {
    const { unfit } = await createMinMaker(store, log).forTool(tool, signal, (done, total) => {
      if (!terminal.isInteractive) return
      if (done === 1) progress.start(label, label, total)
      progress.update(label, done, 'kernels')
    })
    for (const { btf, reason } of unfit) terminal.err(`no min BTF of ${btf.slice(0, 12)}: ${reason}`)
  } finally {
    progress.close()
  }
  const refs = await store.catalog.minBtfs(tool.id)
  const contents = new Map<string, Uint8Array>()
  const items: BundleItem[] = []
  for (const { kernel, btf } of await store.catalog.builds()) {
    const ref = refs.get(btf.digest)
    if (ref === undefined) continue
    const bytes = contents.get(ref.digest) ?? (await store.blobs.read(ref.digest))
    contents.set(ref.digest, bytes)
    items.push({ kernel, bytes })
  }
  return items
}
