import { expect, it } from 'vitest'
import { printable } from './printable.ts'

it.each([
  ['plain é 漢\ttab', 'plain é 漢\ttab'],
  ['\u001b[31mred\u001b[0m', ' [31mred [0m'],
  ['\u009b31m\u007f', ' 31m '],
  ['a\r\nb', 'a b'],
])('%j is %j', (text, expected) => {
  expect(printable(text)).toBe(expected)
})

it('keeps lines where they are wanted', () => {
  expect(printable('a\n\u0007b\r\n', 'lines')).toBe('a\n b \n')
})
