import { availableParallelism, tmpdir } from 'node:os'
import { type CompatLevel, loadBtf, lowerBtf, parseBtf } from '../../btf/index.ts'
import { sha256Of } from '../../core/digest.ts'
import { createLog } from '../../core/log.ts'
import { withTempFile, writeFileAtomic } from '../../core/temp-file.ts'
import { type Extracted, type ExtractedModules, extractModules, mergeModules } from '../../extractor/index.ts'
import { UsageError } from '../exit.ts'
import { cliHttp } from '../http.ts'
import { spool } from '../hub/ingest-modules.ts'
import { extractBytes, localPathOf, openInput, readAll } from '../input.ts'
import type { Invocation } from '../main.ts'
import { refuseFullFolder, writeModules } from '../module-files.ts'
import { createProgress, formatBytes } from '../terminal.ts'

export interface ExtractCommandOptions {
  readonly output?: string
  readonly release?: string
  readonly forceDwarf: boolean
  readonly unverified: boolean
  /** A folder for split BTF. */
  readonly modules?: string
  /** A file for the kernel and its modules in one id space. */
  readonly merged?: string
  /** The kernel's BTF, where the file has only modules. */
  readonly base?: string
  readonly compat?: CompatLevel | 'native'
  readonly json: boolean
}

/** `btfhub extract FILE`: one file to BTF; provenance on stderr, or as JSON on stdout. */
export async function extractFile(
  file: string,
  options: ExtractCommandOptions,
  invocation: Invocation,
): Promise<void> {
  checkOptions(options)
  if (options.modules !== undefined) await refuseFullFolder(options.modules)
  const { terminal } = invocation
  const progress = createProgress(terminal)
  if (terminal.isInteractive) progress.start(file, file, null)
  try {
    const onProgress = (phase: string, bytesRead: number): void => progress.update(file, bytesRead, phase)
    const found = await readFile(file, options, invocation, onProgress)
    const facts = await write(file, found, options)
    progress.close()
    if (options.json) terminal.out(JSON.stringify(facts, null, 2))
    else terminal.err(describe(facts, options))
  } finally {
    progress.close()
  }
}

function checkOptions({ modules, merged, base, compat, output, forceDwarf }: ExtractCommandOptions): void {
  const wantsModules = modules !== undefined || merged !== undefined
  if (base !== undefined && !wantsModules) throw new UsageError('--base: expected --modules or --merged')
  if (base !== undefined && (output !== undefined || forceDwarf)) {
    throw new UsageError('--base: the kernel is read from there, so -o and --force-dwarf have nothing to do')
  }
  if (modules !== undefined && compat !== undefined && compat !== 'native') {
    throw new UsageError(`--compat ${compat}: readers of old know no split BTF; expected --merged alone`)
  }
}

/** What a file gave; `kernel` is null where its BTF was given. */
interface Found {
  readonly btf: Uint8Array
  readonly kernel: Omit<Extracted, 'btf'> | null
  readonly modules: ExtractedModules | null
}

async function readFile(
  file: string,
  options: ExtractCommandOptions,
  { env, signal, logLevel }: Invocation,
  onProgress: (phase: string, bytesRead: number) => void,
): Promise<Found> {
  const log = createLog(logLevel)
  const http = cliHttp(env, log)
  const open = (path: string): ReturnType<typeof openInput> => openInput(path, http, signal)
  const jobs = availableParallelism()
  const release = options.release ?? null
  const localPath = localPathOf(file)
  const kernelOptions = { release, forceDwarf: options.forceDwarf, jobs, onProgress, localPath }
  const moduleOptions = { release, tempDir: tmpdir(), jobs, signal, onProgress }
  try {
    if (options.base !== undefined) {
      const btf = loadBtf(await readAll(await open(options.base))).bytes
      const input = { name: file, bytes: await open(file) }
      return { btf, kernel: null, modules: await extractModules(input, { ...moduleOptions, base: btf }) }
    }
    if (options.modules === undefined && options.merged === undefined) {
      const whole = { ...kernelOptions, readToEnd: !options.unverified }
      const { btf, ...kernel } = await extractBytes(file, await open(file), whole, { log, signal })
      return { btf, kernel, modules: null }
    }
    // Read twice, for the kernel and for the modules on it, but fetched once.
    return await withTempFile(tmpdir(), async (path) => {
      const bytes = spool(await open(file), path)
      const { btf, ...kernel } = await extractBytes(file, bytes, kernelOptions, { log, signal })
      const input = { name: file, bytes: await open(path) }
      return { btf, kernel, modules: await extractModules(input, { ...moduleOptions, base: btf }) }
    })
  } finally {
    await http.close()
  }
}

/** Writes what was asked for, and tells what it is. */
async function write(file: string, found: Found, options: ExtractCommandOptions): Promise<Facts> {
  const { compat = 'native' } = options
  const lower = (bytes: Uint8Array): Uint8Array =>
    compat === 'native' ? bytes : lowerBtf(parseBtf(bytes), compat)
  const { modules } = found
  const btf = lower(found.btf)
  const merged =
    options.merged === undefined || modules === null ? null : lower(mergeModules(found.btf, modules.modules))
  if (options.output !== undefined) await writeFileAtomic(options.output, btf)
  if (options.merged !== undefined && merged !== null) await writeFileAtomic(options.merged, merged)
  if (options.modules !== undefined && modules !== null) {
    await writeModules(options.modules, found.btf, modules.modules)
  }
  return {
    file,
    ...(found.kernel ?? {
      sha256: modules?.sha256 ?? null,
      bytesRead: modules?.bytesRead ?? 0,
      warnings: [],
    }),
    ...(compat === 'native' ? {} : { compat }),
    btfSha256: sha256Of(btf),
    btfBytes: btf.byteLength,
    ...(modules === null
      ? {}
      : {
          modules: modules.modules.map((m) => ({
            name: m.name,
            origin: m.origin,
            btfSha256: sha256Of(m.btf),
          })),
          modulesWithoutTypes: modules.untyped,
          modulesRefused: modules.refused,
        }),
    ...(merged === null ? {} : { mergedSha256: sha256Of(merged), mergedBytes: merged.byteLength }),
  }
}

interface Facts
  extends
    Pick<Extracted, 'sha256' | 'bytesRead' | 'warnings'>,
    Partial<Pick<Extracted, 'origin' | 'buildId' | 'banner' | 'paholeVersion' | 'paholeFlags'>> {
  readonly file: string
  readonly compat?: string
  readonly btfSha256: string
  readonly btfBytes: number
  readonly modules?: readonly { readonly name: string; readonly origin: string; readonly btfSha256: string }[]
  readonly modulesWithoutTypes?: number
  readonly modulesRefused?: readonly string[]
  readonly mergedSha256?: string
  readonly mergedBytes?: number
}

function describe(facts: Facts, { output, modules, merged }: ExtractCommandOptions): string {
  const { paholeVersion = null } = facts
  const rows: [string, string | null][] = [
    ['file', facts.file],
    ['sha256', facts.sha256 ?? '(not read to its end)'],
    ['read', formatBytes(facts.bytesRead)],
    ['origin', facts.origin ?? null],
    ['build-id', facts.buildId ?? null],
    ['banner', facts.banner ?? null],
    ['pahole', paholeVersion === null ? null : `${paholeVersion} ${facts.paholeFlags?.join(' ') ?? ''}`],
    ['compat', facts.compat ?? null],
    ['BTF', `${facts.btfBytes} bytes, sha256 ${facts.btfSha256}`],
    ['written to', output ?? (facts.modules === undefined ? '(nowhere: -o FILE writes it)' : null)],
    [
      'modules',
      facts.modules === undefined
        ? null
        : `${facts.modules.length}${modules === undefined ? '' : ` in ${modules}`}, ${facts.modulesWithoutTypes} without types`,
    ],
    ['merged', facts.mergedBytes === undefined ? null : `${facts.mergedBytes} bytes in ${merged}`],
    ...[...facts.warnings, ...(facts.modulesRefused ?? [])].map((text): [string, string] => [
      'warning',
      text,
    ]),
  ]
  return rows
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name.padEnd(10)}  ${value}`)
    .join('\n')
}
