import { expect } from 'vitest'

/** Fails where lines differ, and shows how. Asks vitest only then: it takes long over thousands of them. */
export function expectLines(name: string, got: readonly string[], wanted: readonly string[]): void {
  if (got.join('\n') === wanted.join('\n')) return
  expect({ name, lines: got }).toEqual({ name, lines: wanted })
}
