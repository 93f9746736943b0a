import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Btf } from '../../btf/index.ts'
import { writeFileAtomic } from '../../core/temp-file.ts'
import {
  type BundleItem,
  type BundleLayout,
  parseBpfObject,
  type PreparedTool,
  prepareTool,
} from '../../minimize/index.ts'
import { UsageError } from '../exit.ts'
import { readBtf } from '../input.ts'
import { baseRelease, findKernelFiles, type KernelFile } from '../kernel-files.ts'
import { cutInThread, READ_AHEAD, withThreads } from '../kernel-threads.ts'
import type { Invocation } from '../main.ts'
import { compareEngines, type Cut, type Cutter, cutWithBpftool, cutWithOurs } from '../minimize-engines.ts'
import { readAhead } from '../read-ahead.ts'

export interface MinimizeOptions {
  readonly btf: readonly string[]
  readonly object: readonly string[]
  readonly output: string
  readonly layout?: BundleLayout
  readonly engine: 'btfhub' | 'bpftool'
  readonly compare: boolean
  readonly json: boolean
}

/**
 * `btfhub minimize --btf FILE… --object FILE… -o PATH`: min BTF without a hub, as files, or with `--layout` as a bundle
 * for embedding.
 */
export async function minimizeFiles(options: MinimizeOptions, invocation: Invocation): Promise<void> {
  // What is wrong with the call is told before anything is read.
  const files = await findKernelFiles(options.btf)
  const target = options.layout === undefined ? await outputs(files, options.output) : null
  const objects: { name: string; bytes: Uint8Array }[] = []
  for (const file of options.object) objects.push({ name: file, bytes: new Uint8Array(await readFile(file)) })
  const tool = prepareTool(objects.map(({ name, bytes }) => parseBpfObject(name, bytes)))
  const isBpftool = options.engine === 'bpftool'
  await withThreads(isBpftool ? 0 : files.length, async (pool) => {
    const poolTool = { objects }
    const cut: Cutter = isBpftool
      ? (btf) => cutWithBpftool(options.object, btf, invocation.signal)
      : pool === null
        ? (btf) => cutWithOurs(tool, btf)
        : (btf) => cutInThread(pool, poolTool, btf)
    const work = { options, tool, cut, invocation }
    if (target !== null) await writeEach(target, work)
    else if (options.layout !== undefined) await writeLayout(files, options.layout, work)
  })
}

interface Work {
  readonly options: MinimizeOptions
  readonly tool: PreparedTool
  readonly cut: Cutter
  readonly invocation: Invocation
}

/** A kernel, and what was cut out of it. */
interface Made {
  readonly btf: Btf
  readonly cut: Cut
}

async function cutFile(file: string, { cut, invocation }: Work): Promise<Made> {
  const btf = await readBtf(file, invocation)
  invocation.signal.throwIfAborted()
  return { btf, cut: await cut(btf) }
}

async function writeEach(target: ReadonlyMap<string, string>, work: Work): Promise<void> {
  const make = ([file]: readonly [string, string]): Promise<Made> => cutFile(file, work)
  for await (const { item, result } of readAhead([...target], READ_AHEAD, make)) {
    const [file, output] = item
    await writeFileAtomic(output, result.cut.bytes)
    await tell(file, output, result, work)
  }
}

/** Each kernel's name is its place in the bundle, so that files without are refused before anything is done. */
async function writeLayout(files: readonly KernelFile[], layout: BundleLayout, work: Work): Promise<void> {
  const items: BundleItem[] = []
  const named = files.map(({ path, kernel }) => {
    if (kernel === null)
      throw new UsageError(`${path}: --layout needs files at DISTRO/VERSION/ARCH/RELEASE.btf`)
    return { path, kernel }
  })
  const make = ({ path }: { readonly path: string }): Promise<Made> => cutFile(path, work)
  for await (const { item, result } of readAhead(named, READ_AHEAD, make)) {
    const { path, kernel } = item
    items.push({ kernel, bytes: result.cut.bytes })
    await tell(path, `${kernel.release}.btf`, result, work)
  }
  const { options, invocation } = work
  // What packs and tells bundles brings the hub with it: three times what cutting for one kernel loads.
  const { writeBundle } = await import('../hub/bundle-write.ts')
  const { tellBundle } = await import('./bundle.ts')
  tellBundle(
    await writeBundle(layout, items, options.output, invocation.signal),
    options,
    invocation.terminal,
  )
}

async function tell(file: string, output: string, { btf, cut: made }: Made, work: Work): Promise<void> {
  const { options, tool, invocation } = work
  const differences = options.compare
    ? await compareEngines(tool, options.object, btf, invocation.signal)
    : undefined
  const facts = {
    btf: file,
    output,
    fullBytes: btf.bytes.byteLength,
    minBytes: made.bytes.byteLength,
    types: made.types,
    counts: made.counts,
    ...(differences === undefined ? {} : { differences }),
  }
  if (options.json) invocation.terminal.out(JSON.stringify(facts))
  else {
    const outcomes = Object.entries(made.counts ?? {}).map(([status, count]) => `${count} ${status}`)
    const { terminal } = invocation
    const parts = [`${facts.minBytes} of ${facts.fullBytes} bytes, ${made.types} types`, outcomes.join(', ')]
    terminal.err(`${output}: ${parts.filter((part) => part !== '').join('; ')}`)
    for (const line of differences ?? []) terminal.out(line)
  }
}

/** Which file goes where; two that would go to one place are refused before anything is written. */
async function outputs(files: readonly KernelFile[], output: string): Promise<ReadonlyMap<string, string>> {
  const isFolder =
    output.endsWith('/') ||
    (await stat(output).then(
      (s) => s.isDirectory(),
      () => false,
    ))
  const [only, ...others] = files
  if (!isFolder) {
    if (only === undefined || others.length > 0)
      throw new UsageError(`-o ${output}: several BTFs need a folder`)
    return new Map([[only.path, output]])
  }
  const byOutput = new Map<string, string>()
  for (const { path: file } of files) {
    const path = join(output, `${baseRelease(file)}.btf`)
    const other = byOutput.get(path)
    if (other !== undefined) throw new UsageError(`${other} and ${file} would both be written to ${path}`)
    byOutput.set(path, file)
  }
  return new Map([...byOutput].map(([path, file]) => [file, path]))
}
