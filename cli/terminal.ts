import { once } from 'node:events'
import { MultiBar, type SingleBar } from 'cli-progress'
import { printable } from '../core/printable.ts'
import type { Progress } from '../core/progress.ts'

/** Where a command writes: its answer on `out`, all else on `err`. Tests pass their own. */
export interface Terminal {
  out(text: string): void
  err(text: string): void
  /** Many lines of the answer, as fast as the reader takes them. */
  outLines(lines: Iterable<string>): Promise<void>
  /** True where `err` is a terminal that can redraw lines. */
  readonly isInteractive: boolean
}

export const processTerminal: Terminal = {
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${printable(text, 'lines')}\n`),
  outLines: async (lines) => {
    for (const chunk of inChunks(lines)) {
      if (!process.stdout.write(chunk)) await once(process.stdout, 'drain')
    }
  },
  isInteractive: process.stderr.isTTY === true,
}

const CHUNK_LENGTH = 1 << 16

function* inChunks(lines: Iterable<string>): Generator<string> {
  let chunk = ''
  for (const line of lines) {
    chunk += `${line}\n`
    if (chunk.length < CHUNK_LENGTH) continue
    yield chunk
    chunk = ''
  }
  yield chunk
}

/** Progress that is to be closed, so that the bars leave the screen. */
export interface TerminalProgress extends Progress {
  close(): void
}

/** Bars on a terminal; elsewhere one line when a unit begins and one when it ends. */
export function createProgress(terminal: Terminal, unit: 'bytes' | 'items' = 'bytes'): TerminalProgress {
  return terminal.isInteractive ? bars(unit) : lines(terminal)
}

function lines(terminal: Terminal): TerminalProgress {
  return {
    start: (_id, label) => terminal.err(`${label} …`),
    update() {},
    finish: (_id, outcome) => terminal.err(outcome),
    close() {},
  }
}

function bars(unit: 'bytes' | 'items'): TerminalProgress {
  const multi = new MultiBar({
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    format: '{bar} {percentage}% {amount} {label} {phase}',
    barsize: 20,
    gracefulExit: false,
  })
  const running = new Map<string, { bar: SingleBar; total: number | null; label: string }>()
  const amount = (done: number): string => (unit === 'bytes' ? formatBytes(done) : String(done))
  return {
    start(id, label, total) {
      const bar = multi.create(total ?? 1, 0, { label, phase: '', amount: amount(0) })
      running.set(id, { bar, total, label })
    },
    update(id, done, phase = '') {
      const entry = running.get(id)
      entry?.bar.update(entry.total === null ? 0 : Math.min(done, entry.total), {
        phase,
        amount: amount(done),
      })
    },
    finish(id, outcome) {
      const entry = running.get(id)
      if (entry !== undefined) multi.remove(entry.bar)
      running.delete(id)
      multi.log(`${outcome}\n`)
    },
    close: () => multi.stop(),
  }
}

/** Bytes for people: `26.4 MB`, powers of ten as package tools print them. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`
}

export function formatSeconds(ms: number): string {
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}

/** Rows in columns; numbers to the right. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const text = rows.map((row) => row.map(String))
  const widths = header.map((name, i) => Math.max(name.length, ...text.map((row) => (row[i] ?? '').length)))
  const isNumber = header.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (isNumber[i] === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(header), ...text.map(line)].join('\n')
}
