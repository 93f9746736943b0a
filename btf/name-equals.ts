import type { StringTable } from './strings.ts'

/**
 * Whether the string at an offset is `text` (one char per byte, as {@link StringTable.at} gives them), compared where
 * it lies: who looks for one member among two hundred makes no two hundred strings. False for an offset that is not
 * there.
 */
export function nameEquals(strings: StringTable, offset: number, text: string): boolean {
  const table = offset >= strings.start ? strings : strings.tableOf(offset)
  if (table === null) return false
  const { bytes } = table
  const from = offset - table.start
  const { length } = text
  for (let i = 0; i < length; i++) {
    if (bytes[from + i] !== text.charCodeAt(i)) return false
  }
  return bytes[from + length] === 0
}
