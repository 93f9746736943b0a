import { InvalidArgumentError } from 'commander'
import { parseDuration } from '../hub/schedule.ts'

export function parseDate(text: string): Date {
  const date = new Date(text)
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(date.getTime()))
    throw new InvalidArgumentError('Expected a date like 2026-11-21.')
  return date
}

export function parseEvery(text: string): number {
  const ms = parseDuration(text)
  if (ms === null) throw new InvalidArgumentError('Expected a time like 90m, 24h or 7d, of at most 20 days.')
  return ms
}

export function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1)
    throw new InvalidArgumentError('Expected a whole number above 0.')
  return count
}

/** For options that can be given again and again. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

export function collectWords(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(/\s+/).filter((word) => word !== '')]
}

export function parseRegex(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (err) {
    throw new InvalidArgumentError(`Not a regular expression: ${(err as Error).message}`)
  }
}
