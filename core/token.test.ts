import { expect, it } from 'vitest'
import { allowsTool, checkScope, findToken, hashSecret, makeSecret } from './token.ts'

it('a token is found by its secret, and by nothing else', () => {
  const [one, two] = [makeSecret(), makeSecret()]
  const tokens = [one, two].map((secret, i) => ({ name: String(i), hash: hashSecret(secret) }))
  expect(findToken(tokens, two)?.name).toBe('1')
  for (const wrong of ['', one.slice(0, -1), `${one} `, hashSecret(one), one.toUpperCase()]) {
    expect(findToken(tokens, wrong)).toBeNull()
  }
  expect(findToken([], one)).toBeNull()
  expect(one).toMatch(/^btfhub_[\w-]{43}$/)
})

it.each([
  [['tools'], 'x', true],
  [['tool:x'], 'x', true],
  [['tool:x'], 'xy', false],
  [['tool:xy', 'tool:z'], 'x', false],
  [[], 'x', false],
])('scopes %j for tool %s: %s', (scopes, tool, expected) => {
  expect(allowsTool(scopes, tool)).toBe(expected)
})

it.each(['', 'tool', 'tool:', 'tool:../x', 'tools:x', 'TOOLS', 'tool:a b', '*'])(
  'refuses the scope %j',
  (scope) => {
    expect(() => checkScope(scope)).toThrow(/scope/)
  },
)
