import { readGetScript } from '../../registry/index.ts'
import type { Log } from '../../core/log.ts'
import type { Store } from '../../store/index.ts'
import { exportTree } from '../export/export.ts'
import type { TreeForm } from '../export/types.ts'
import { addKey, readKeys } from '../hub/keys.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'
import { createProgress, type TerminalProgress } from '../terminal.ts'

export interface ExportOptions {
  readonly data: string
  readonly json: boolean
  readonly form: readonly TreeForm[]
  /** Days that the index is to be believed. */
  readonly expires: number
  readonly publicUrl?: string
  readonly copy: boolean
  readonly modules: boolean
}

const DAY_MS = 24 * 3600_000

/** `btfhub export DIR`: the hub as a tree of plain files for any web server, signed (docs/export.md). */
export async function exportHub(dir: string, options: ExportOptions, invocation: Invocation): Promise<void> {
  const { terminal, signal } = invocation
  await withStore({ data: options.data }, invocation, async (store, log) => {
    const keys = await readKeys(options.data)
    const signing = keys.length > 0 ? keys : [await addKey(options.data)]
    if (keys.length === 0) terminal.err(`made a key to sign with: ${signing[0]?.publicKey}`)
    const progress = phases(invocation)
    try {
      await makeMinBtfs(store, log, progress.update, signal)
      const report = await exportTree(dir, store, {
        keys: signing,
        forms: options.form,
        getScript: readGetScript()(options.publicUrl ?? ''),
        lifetimeMs: options.expires * DAY_MS,
        copies: options.copy,
        modules: options.modules,
        now: new Date(),
        signal,
        onProgress: progress.update,
      })
      progress.close()
      if (options.json) terminal.out(JSON.stringify(report, null, 2))
      else {
        terminal.err(
          `${dir}: ${report.kernels} kernels, ${report.files} files, ${report.written} written, ${report.removed} removed; ` +
            `index ${report.version}, good until ${report.expires_at.slice(0, 16)}${report.changed ? '' : ', unchanged'}`,
        )
      }
    } finally {
      progress.close()
    }
  })
}

/** Bars for one phase after the other, on a terminal only. */
function phases({ terminal }: Invocation): {
  update(phase: string, done: number, total: number): void
  close(): void
} {
  const progress: TerminalProgress = createProgress(terminal, 'items')
  const started = new Set<string>()
  return {
    update(phase, done, total) {
      if (!terminal.isInteractive) return
      if (!started.has(phase)) progress.start(phase, phase, total)
      started.add(phase)
      progress.update(phase, done)
    },
    close: () => progress.close(),
  }
}

/** A tree cannot make what is missing when it is asked for. What a tool does not fit is in no tree. */
async function makeMinBtfs(
  store: Store,
  log: Log,
  onProgress: (phase: string, done: number, total: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const minMaker = createMinMaker(store, log)
  for (const tool of await store.catalog.tools()) {
    const label = `${tool.name}@${tool.version}`
    const { unfit } = await minMaker.forTool(tool, signal, (done, total) => onProgress(label, done, total))
    for (const { btf, reason } of unfit) log.warn({ tool: label, btf, reason }, 'no min BTF')
  }
}
