import { audit, collectGarbage } from '../../store/index.ts'
import { Exit, ExitCode } from '../exit.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'
import { createProgress, formatBytes } from '../terminal.ts'

interface StoreCommandOptions {
  readonly data: string
  readonly json: boolean
}

/** `btfhub verify`: reads all that the hub keeps. Exit code 5 where something is lost or wrong. */
export async function verify(options: StoreCommandOptions, invocation: Invocation): Promise<void> {
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
