import { readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { writeFileAtomic } from '../../core/temp-file.ts'
import { minimizeFor, parseBpfObject, prepareTool } from '../../minimize/index.ts'
import { UsageError } from '../exit.ts'
import { readBtf } from '../input.ts'
import type { Invocation } from '../main.ts'

export interface MinimizeOptions {
  readonly btf: readonly string[]
  readonly object: readonly string[]
  readonly output: string
  readonly json: boolean
}

/** `btfhub minimize --btf FILE… --object FILE… -o PATH`: min BTF without a hub. */
export async function minimizeFiles(options: MinimizeOptions, invocation: Invocation): Promise<void> {
  const { terminal } = invocation
  const target = await outputs(options)
  const objects = []
  for (const file of options.object) objects.push(parseBpfObject(file, await readFile(file)))
  const tool = prepareTool(objects)
  for (const [file, output] of target) {
    invocation.signal.throwIfAborted()
    const btf = await readBtf(file, invocation)
    const { bytes, types, counts } = minimizeFor(tool, btf)
    await writeFileAtomic(output, bytes)
    const facts = {
      btf: file,
      output,
      fullBytes: btf.bytes.byteLength,
      minBytes: bytes.byteLength,
      types,
      counts,
    }
    if (options.json) terminal.out(JSON.stringify(facts))
    else {
      const outcomes = Object.entries(counts).map(([status, count]) => `${count} ${status}`)
      terminal.err(
        `${output}: ${facts.minBytes} of ${facts.fullBytes} bytes, ${types} types; ${outcomes.join(', ')}`,
      )
    }
  }
}

/** Which file goes where; two that would go to one place are refused before anything is written. */
async function outputs({ btf, output }: MinimizeOptions): Promise<ReadonlyMap<string, string>> {
  const isFolder =
    output.endsWith('/') ||
    (await stat(output).then(
      (s) => s.isDirectory(),
      () => false,
    ))
  const [only, ...others] = btf
  if (!isFolder) {
    if (only === undefined || others.length > 0)
      throw new UsageError(`-o ${output}: several BTFs need a folder`)
    return new Map([[only, output]])
  }
  const byOutput = new Map<string, string>()
  for (const file of btf) {
    // `6.1.0-50-amd64.btf.tar.xz` becomes `6.1.0-50-amd64.btf`.
    const path = join(output, `${basename(file).replace(/(\.btf)?(\.tar)?(\.(xz|gz|zst))?$/, '')}.btf`)
    const other = byOutput.get(path)
    if (other !== undefined) throw new UsageError(`${other} and ${file} would both be written to ${path}`)
    byOutput.set(path, file)
  }
  return new Map([...byOutput].map(([path, file]) => [file, path]))
}
