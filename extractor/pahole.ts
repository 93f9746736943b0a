import { describeError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { withTempFile } from '../core/temp-file.ts'
import { readFile, stat } from 'node:fs/promises'
import type { AltFiles } from './alt-files.ts'
import { readAltLink } from './alt-link.ts'
import { mergeAlt } from './alt-merge.ts'
import { type Child, confined, type Exit, type Program, start } from './child.ts'
import { undoDwz } from './dwz.ts'
import { type PaholeAbilities, paholeFlags } from './pahole-flags.ts'
import { unpackDebugSections } from './plain-sections.ts'
import { type SoundBtf, soundBtf } from './sound-btf.ts'
import type { TempSpace } from './temp-space.ts'
import { ExtractError, type Expected } from './types.ts'

const PAHOLE: Program = { name: 'pahole', packages: 'pahole (on older systems: dwarves)' }

/** BTF made from DWARF, and what made it. */
export interface Encoded {
  readonly btf: Uint8Array
  readonly version: string
  readonly flags: readonly string[]
  /** What pahole said, line by line, and what the check of its output found odd. */
  readonly warnings: readonly string[]
}

export interface Encoding {
  /** For messages. */
  readonly name: string
  readonly tempDir: string
  /** Room in that folder, for debug sections that have to be unpacked; without, nobody else's files are reckoned with. */
  readonly space?: TempSpace
  /** Where the file is that the DWARF goes on in, if it does; without, there is none. */
  readonly alts?: Pick<AltFiles, 'fileFor'>
  /** Cores to use, where that leaves the output the same. */
  readonly jobs: number
  readonly signal: AbortSignal
  readonly expected: Expected | null
  /** Of a module: the path of the raw BTF of its kernel, and what its own is checked with instead of a kernel's. */
  readonly module?: { readonly base: string; readonly check: (btf: Uint8Array) => void }
  /** Instead of `limits.process.paholeTimeoutMs`. */
  readonly timeoutMs?: number
  /** Instead of `limits.process.paholeMaxBytes`. */
  readonly memoryBytes?: number
}

/**
 * Encodes the DWARF of the ELF file at `vmlinux`, which is ours to change, as BTF with the pahole of this machine. Exit
 * code 0 is not believed: pahole leaves an empty or partial file behind on DWARF that it cannot read. Where an attempt
 * fails and another way is left (one thread, the file without what dwz put in), that is tried, and the warnings tell.
 * `known` is what {@link paholeAbilities} gave, for who encodes many.
 * Throws ExtractError `TOOL` where pahole is missing, too old, fails or takes more time or memory than the limits;
 * `INVALID` where its output is not a kernel's BTF; `UNSUPPORTED` where types are in a file that is not here, and what
 * {@link mergeAlt} throws.
 */
export async function encodeDwarf(
  vmlinux: string,
  how: Encoding,
  known?: Promise<PaholeAbilities>,
): Promise<Encoded> {
  const pahole = await (known ?? paholeAbilities(how.signal))
  const whole = paholeFlags(pahole, how.jobs)
  if (whole === null) {
    throw new ExtractError(
      'TOOL',
      `pahole ${pahole.version} is too old: 1.22 is the first that can write BTF alone`,
    )
  }
  // The limit is for the job, however often it has to begin again.
  const timeoutMs = how.timeoutMs ?? limits.process.paholeTimeoutMs
  const timeout = AbortSignal.timeout(timeoutMs)
  const single = paholeFlags(pahole, 1) as string[]
  const notes = await makeWhole(vmlinux, how)
  await unpackDebugSections(vmlinux, 'zstd', how)
  let flags = whole
  for (;;) {
    try {
      const made = await attempt(vmlinux, flags, pahole.version, how, timeout)
      return { ...made, version: pahole.version, flags, warnings: [...notes, ...made.warnings] }
    } catch (err) {
      if (!(err instanceof ExtractError) || err.code === 'NO_SPACE') throw err
      if (timeout.aborted) {
        throw new ExtractError('TOOL', `${how.name}: pahole took longer than ${timeoutMs} ms`, { cause: err })
      }
      const next = await otherWay(vmlinux, how, flags, single)
      if (next === null) throw notes.length === 0 ? err : giveUp(err, notes)
      notes.push(`tried again ${next.how}: ${describeError(err)}`)
      flags = next.flags
    }
  }
}

/**
 * Puts back what `dwz -m` moved to another file; says so, a line, where it did. Before pahole sees the file: it would
 * take references to the other file for references within this one.
 */
async function makeWhole(vmlinux: string, how: Encoding): Promise<string[]> {
  const link = await readAltLink(vmlinux, how.name)
  if (link === null) return []
  if (how.alts === undefined) {
    throw new ExtractError(
      'UNSUPPORTED',
      `${how.name}: its DWARF goes on in another file, ${link.path} (dwz -m)`,
    )
  }
  await mergeAlt(vmlinux, await how.alts.fileFor(link), how)
  undoDwz(vmlinux)
  return [`with the DWARF that dwz had moved to ${link.path}, build-id ${link.id}`]
}

/** A way that is left after an attempt failed; null where there is none. */
async function otherWay(
  vmlinux: string,
  how: Encoding,
  flags: readonly string[],
  single: string[],
): Promise<{ readonly how: string; readonly flags: string[] } | null> {
  await unpackDebugSections(vmlinux, 'all', how)
  if (undoDwz(vmlinux)) return { how: 'without the imported units that dwz made', flags: single }
  return flags.join() === single.join() ? null : { how: 'in one thread', flags: single }
}

function giveUp(err: ExtractError, notes: readonly string[]): ExtractError {
  return new ExtractError(err.code, `${err.message}; ${notes.join('; ')}`, { cause: err.cause })
}

/** btf_encoder.c, btf_encoder__write_raw_file: a short write is told by its sizes, a failed one by its errno. */
const DISK_FULL = /No space left on device|Could only write -?\d+ bytes to/

async function attempt(
  vmlinux: string,
  flags: readonly string[],
  version: string,
  how: Encoding,
  timeout: AbortSignal,
): Promise<SoundBtf> {
  return await withTempFile(how.tempDir, async (output) => {
    const base = how.module === undefined ? [] : [`--btf_base=${how.module.base}`]
    const args = [...flags, ...base, `--btf_encode_detached=${output}`, vmlinux]
    const signal = AbortSignal.any([how.signal, timeout])
    const exit = await run(args, signal, how.memoryBytes ?? limits.process.paholeMaxBytes)
    how.signal.throwIfAborted()
    const said = lines(exit.stderr, vmlinux)
    const words = said.length === 0 ? 'it said nothing' : said.slice(-5).join('; ')
    if (exit.code !== 0) {
      const ending = exit.signal === null ? `exit code ${exit.code}` : `killed by ${exit.signal}`
      const code = said.some((line) => DISK_FULL.test(line)) ? 'NO_SPACE' : 'TOOL'
      throw new ExtractError(code, `${how.name}: pahole ${version} failed (${ending}): ${words}`)
    }
    try {
      const partial = said.find((line) => PARTIAL.test(line))
      if (partial !== undefined) throw new ExtractError('INVALID', `a part is missing: ${partial}`)
      const { btf, warnings } = sound(await readBtf(output), how)
      return { btf, warnings: [...said, ...warnings] }
    } catch (err) {
      if (!(err instanceof ExtractError)) throw err
      const text = `${how.name}: what pahole ${version} made of the DWARF does not hold; ${words}`
      throw new ExtractError('INVALID', text, { cause: err })
    }
  })
}

function sound(btf: Uint8Array, { module, expected }: Encoding): SoundBtf {
  if (module === undefined) return soundBtf(btf, expected)
  module.check(btf)
  return { btf, warnings: [] }
}

/** Said of types that are left out. */
const PARTIAL = /DW_TAG_partial_unit/

/** Asks the installed pahole what it can. Throws ExtractError `TOOL` where there is none. */
export async function paholeAbilities(signal: AbortSignal): Promise<PaholeAbilities> {
  const [version, help, features] = await Promise.all([
    run(['--version'], signal),
    run(['--help'], signal),
    run(['--supported_btf_features'], signal),
  ])
  const number = /v?(\d+\.\d+\S*)/.exec(version.stdout)?.[1]
  if (number === undefined)
    throw new ExtractError('TOOL', `pahole --version said ${JSON.stringify(version.stdout)}`)
  return {
    version: number,
    options: new Set([...help.stdout.matchAll(/--([a-z][a-z0-9_]+)/g)].map((match) => match[1] as string)),
    // Paholes that do not know the option say so on stderr.
    features: new Set(features.code === 0 ? features.stdout.trim().split(',') : []),
  }
}

const MAX_STDOUT_BYTES = 1 << 20

async function run(
  args: readonly string[],
  signal: AbortSignal,
  memoryBytes: number | null = null,
): Promise<Exit & { readonly stdout: string }> {
  const child =
    memoryBytes === null ? start(PAHOLE, args, 'ignore', signal) : startConfined(args, signal, memoryBytes)
  try {
    let stdout = ''
    child.process.stdout?.on('data', (chunk: Buffer) => {
      if (stdout.length < MAX_STDOUT_BYTES) stdout += chunk.toString('utf8')
    })
    return { ...(await child.exit), stdout }
  } finally {
    await child.end()
  }
}

function startConfined(args: readonly string[], signal: AbortSignal, memoryBytes: number): Child {
  const { program, args: all } = confined(PAHOLE, args, memoryBytes)
  return start(program, all, 'ignore', signal)
}

async function readBtf(path: string): Promise<Uint8Array> {
  const found = await stat(path).catch(() => null)
  if (found === null || found.size === 0) throw new ExtractError('INVALID', 'the output is empty')
  if (found.size > limits.btf.maxBytes) {
    throw new ExtractError(
      'INVALID',
      `the output has ${found.size} bytes, BTF has up to ${limits.btf.maxBytes}`,
    )
  }
  return new Uint8Array(await readFile(path))
}

/** Lines for people: without the temporary path, which differs each time. */
function lines(stderr: string, path: string): string[] {
  return stderr
    .replaceAll(path, 'vmlinux')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(-50)
}
