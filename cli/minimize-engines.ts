import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { promisify } from 'node:util'
import { type Btf, parseBtf } from '../btf/index.ts'
import { describeError, HubError, isAbort } from '../core/errors.ts'
import { withTempFile } from '../core/temp-file.ts'
import { describeDifferences, type Minimized, minimizeFor, type PreparedTool } from '../minimize/index.ts'

/** A min BTF, whichever engine made it. */
export interface Cut {
  readonly bytes: Uint8Array
  /** Void aside. */
  readonly types: number
  /** What the relocations came to; the reference does not tell. */
  readonly counts: Minimized['counts'] | null
}

export type Cutter = (btf: Btf) => Promise<Cut>

export class BpftoolError extends HubError<'TOOL'> {}

/** Debian has it where only root's PATH looks. */
const SBIN = '/usr/sbin'

export function cutWithOurs(tool: PreparedTool, btf: Btf): Promise<Cut> {
  return Promise.resolve(minimizeFor(tool, btf))
}

/**
 * Runs the reference, `bpftool gen min_core_btf`, on object files. Throws BpftoolError where it is not installed or
 * fails, with its words.
 */
export async function cutWithBpftool(
  objects: readonly string[],
  btf: Btf,
  signal: AbortSignal,
): Promise<Cut> {
  return withTempFile(tmpdir(), (full) =>
    withTempFile(tmpdir(), async (min) => {
      await writeFile(full, btf.bytes, { flag: 'wx', mode: 0o600 })
      const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SBIN}` }
      try {
        await promisify(execFile)('bpftool', ['gen', 'min_core_btf', full, min, ...objects], { env, signal })
      } catch (err) {
        if (isAbort(err)) throw err
        throw new BpftoolError('TOOL', 'bpftool gen min_core_btf failed', { cause: err })
      }
      const bytes = new Uint8Array(await readFile(min))
      return { bytes, types: parseBtf(bytes).idCount - 1, counts: null }
    }),
  )
}

/** What our min BTF keeps that the reference's does not, and the other way round; or why the reference fails. */
export async function compareEngines(
  tool: PreparedTool,
  objects: readonly string[],
  btf: Btf,
  signal: AbortSignal,
): Promise<string[]> {
  const ours = minimizeFor(tool, btf)
  try {
    const theirs = await cutWithBpftool(objects, btf, signal)
    return describeDifferences(parseBtf(ours.bytes), parseBtf(theirs.bytes))
  } catch (err) {
    if (!(err instanceof BpftoolError)) throw err
    return [describeError(err)]
  }
}
