import { limits } from '../core/limits.ts'
import { withTempFile } from '../core/temp-file.ts'
import { readFile, stat } from 'node:fs/promises'
import { checkKernelBtf } from './check-kernel-btf.ts'
import { type Exit, type Program, start } from './child.ts'
import { type PaholeAbilities, paholeFlags } from './pahole-flags.ts'
import { ExtractError } from './types.ts'

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
  /** Cores to use, where that leaves the output the same. */
  readonly jobs: number
  readonly signal: AbortSignal
}

/**
 * Encodes the DWARF of the ELF file at `vmlinux` as BTF with the pahole of this machine. Exit code 0 is not believed:
 * pahole leaves an empty or partial file behind on DWARF that it cannot read. Throws ExtractError `TOOL` where pahole
 * is missing, too old, fails or takes longer than `limits.process.paholeTimeoutMs`; `INVALID` where its output is not
 * a kernel's BTF.
 */
export async function encodeDwarf(vmlinux: string, how: Encoding): Promise<Encoded> {
  const pahole = await paholeAbilities(how.signal)
  const flags = paholeFlags(pahole, how.jobs)
  if (flags === null) {
    throw new ExtractError(
      'TOOL',
      `pahole ${pahole.version} is too old: 1.22 is the first that can write BTF alone`,
    )
  }
  return await withTempFile(how.tempDir, async (output) => {
    const timeout = AbortSignal.timeout(limits.process.paholeTimeoutMs)
    const args = [...flags, `--btf_encode_detached=${output}`, vmlinux]
    const exit = await run(args, AbortSignal.any([how.signal, timeout]))
    how.signal.throwIfAborted()
    const said = lines(exit.stderr, vmlinux)
    const words = said.length === 0 ? 'it said nothing' : said.slice(-5).join('; ')
    if (timeout.aborted) {
      throw new ExtractError(
        'TOOL',
        `${how.name}: pahole took longer than ${limits.process.paholeTimeoutMs} ms; ${words}`,
      )
    }
    if (exit.code !== 0) {
      const ending = exit.signal === null ? `exit code ${exit.code}` : `killed by ${exit.signal}`
      throw new ExtractError('TOOL', `${how.name}: pahole ${pahole.version} failed (${ending}): ${words}`)
    }
    try {
      const btf = await readBtf(output)
      const odd = checkKernelBtf(btf)
      return { btf, version: pahole.version, flags, warnings: [...said, ...odd] }
    } catch (err) {
      if (!(err instanceof ExtractError)) throw err
      const text = `${how.name}: what pahole ${pahole.version} made of the DWARF does not hold; ${words}`
      throw new ExtractError('INVALID', text, { cause: err })
    }
  })
}

/** Asks the installed pahole what it can. Throws ExtractError `TOOL` where there is none. */
async function paholeAbilities(signal: AbortSignal): Promise<PaholeAbilities> {
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
): Promise<Exit & { readonly stdout: string }> {
  const child = start(PAHOLE, args, 'ignore', signal)
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
