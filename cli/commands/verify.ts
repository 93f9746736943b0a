import { audit, collectGarbage } from '../../store/index.ts'
import { parsePublicKey } from '../../core/signed-index/index.ts'
import { Exit, ExitCode } from '../exit.ts'
import { verifyTree } from '../export/verify-tree.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'
import { createProgress, formatBytes } from '../terminal.ts'

interface StoreCommandOptions {
  readonly data: string
  readonly json: boolean
}

export interface VerifyOptions extends StoreCommandOptions {
  /** Public keys, one of which must have signed an export. */
  readonly key?: readonly string[]
}

/** `btfhub verify [DIR]`: reads all that the hub keeps, or an export. Exit code 5 where something is lost or wrong. */
export async function verify(
  dir: string | undefined,
  options: VerifyOptions,
  invocation: Invocation,
): Promise<void> {
  return dir === undefined ? verifyStore(options, invocation) : verifyExport(dir, options, invocation)
}

async function verifyExport(dir: string, options: VerifyOptions, invocation: Invocation): Promise<void> {
  const { terminal, signal } = invocation
  const progress = createProgress(terminal, 'items')
  let started = false
  const report = await verifyTree(dir, {
    keys: (options.key ?? []).map(parsePublicKey),
    now: new Date(),
    signal,
    onProgress(done, total) {
      if (!terminal.isInteractive) return
      if (!started) progress.start(dir, dir, total)
      started = true
      progress.update(dir, done)
    },
  }).finally(() => progress.close())
  if (options.json) terminal.out(JSON.stringify(report, null, 2))
  else {
    for (const { path, message } of report.problems) terminal.out(`error: ${path}: ${message}`)
    const by =
      report.trusted === null
        ? `signed by ${report.signed_by.join(' ')}, which nobody vouched for`
        : 'signature good'
    terminal.out(
      `${report.sound ? 'sound' : 'NOT SOUND'}: checked ${report.checked} files of index ${report.version}, ${by}`,
    )
  }
  if (!report.sound) throw new Exit(ExitCode.unverified)
}

async function verifyStore(options: StoreCommandOptions, invocation: Invocation): Promise<void> {
  const { terminal, signal } = invocation
  const progress = createProgress(terminal, 'items')
  const report = await withStore({ data: options.data, readOnly: true }, invocation, async (store) => {
    try {
      return await audit(
        store,
        (step, done, total) => {
          if (!terminal.isInteractive) return
          if (done === 0) progress.start(step, step, total)
          else progress.update(step, done)
        },
        { signal },
      )
    } finally {
      progress.close()
    }
  })
  if (options.json) terminal.out(JSON.stringify(report, null, 2))
  else {
    for (const problem of report.problems)
      terminal.out(`${problem.level}: ${problem.step}: ${problem.message}`)
    const steps = report.steps.map((step) => `${step.checked} ${step.name}`).join(', ')
    terminal.out(`${report.sound ? 'sound' : 'NOT SOUND'}: checked ${steps}`)
  }
  if (!report.sound) throw new Exit(ExitCode.unverified)
}

/** `btfhub gc`: removes the blobs that nothing points at. */
export async function gc(options: StoreCommandOptions, invocation: Invocation): Promise<void> {
  const { terminal, signal } = invocation
  const report = await withStore({ data: options.data }, invocation, (store) =>
    collectGarbage(store, { signal }),
  )
  terminal.out(
    options.json
      ? JSON.stringify(report, null, 2)
      : `${report.removed} blobs removed (${formatBytes(report.removedBytes)}), ${report.kept} kept`,
  )
}
