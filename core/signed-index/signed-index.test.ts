import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sha256Of } from '../digest.ts'
import {
  checkFresh,
  checkTreePath,
  generateKeyPem,
  type IndexErrorCode,
  manifestLines,
  nextVersion,
  open,
  parseManifest,
  parsePublicKey,
  parseSigningKey,
  requireTrusted,
  seal,
  shardDigits,
  shardOfBuildId,
  shardOfRelease,
} from './index.ts'

const key = parseSigningKey('a', generateKeyPem())
const next = parseSigningKey('b', generateKeyPem())
const stranger = parseSigningKey('c', generateKeyPem())

const fails = (code: IndexErrorCode): Error => expect.objectContaining({ name: 'IndexError', code }) as Error

describe('a signed text', () => {
  const payload = '{"version":1,"name":"Zürich\\u2028"}'
  const text = seal(payload, [key, next])

  it('opens to what was signed, by the keys that signed it, and is the same again', () => {
    expect(open(text)).toEqual({ payload, signedBy: [key.publicKey, next.publicKey] })
    expect(seal(payload, [key, next])).toBe(text)
  })

  it('is refused with any bit of any byte flipped', () => {
    const bytes = Buffer.from(text)
    for (let i = 0; i < bytes.length; i++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(bytes)
        flipped[i] = (flipped[i] as number) ^ (1 << bit)
        expect(() => open(flipped.toString('utf8')), `bit ${bit} of byte ${i}`).toThrow()
      }
    }
  })

  it.each([
    ['nothing', '', 'BAD_INDEX'],
    ['no JSON', '{"payload":', 'BAD_INDEX'],
    ['null', 'null\n', 'BAD_INDEX'],
    ['no payload', `${JSON.stringify({ signatures: [] })}\n`, 'BAD_INDEX'],
    ['no signatures', `${JSON.stringify({ payload, signatures: [] })}\n`, 'BAD_INDEX'],
    ['something else as a signature', `${JSON.stringify({ payload, signatures: [null] })}\n`, 'BAD_INDEX'],
    [
      'too many signatures',
      seal(
        payload,
        Array.from({ length: 17 }, () => key),
      ),
      'BAD_INDEX',
    ],
    ['something behind', `${text}\n`, 'BAD_INDEX'],
    ['another spelling', text.replace('"payload"', ' "payload"'), 'BAD_INDEX'],
    ['another algorithm', text.replace('ed25519:', 'ed25518:'), 'BAD_KEY'],
    ['another payload', text.replace('Zürich', 'Zurich'), 'BAD_SIGNATURE'],
    ['the signature of another key', text.replace(key.publicKey, stranger.publicKey), 'BAD_SIGNATURE'],
  ] as const)('is refused: %s', (_, bad, code) => {
    expect(() => open(bad)).toThrow(fails(code))
  })

  it('is trusted for the sake of one trusted key, so that keys can be rotated', () => {
    expect(requireTrusted(open(text), [stranger.publicKey, next.publicKey])).toBe(next.publicKey)
    expect(() => requireTrusted(open(text), [stranger.publicKey])).toThrow(fails('BAD_SIGNATURE'))
    expect(() => requireTrusted(open(text), [])).toThrow(fails('BAD_SIGNATURE'))
  })

  it('is either opened or refused with a reason, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (any) => {
        expect(() => open(any)).toThrow(expect.objectContaining({ name: 'IndexError' }) as Error)
      }),
    )
  })
})

describe('keys', () => {
  it('are read as they are written', () => {
    expect(parsePublicKey(`  ${key.publicKey}\n`)).toBe(key.publicKey)
  })

  it.each([
    ['nothing', ''],
    ['another algorithm', key.publicKey.replace('ed25519', 'rsa')],
    ['too short', key.publicKey.slice(0, -1)],
    ['too long', `${key.publicKey}A`],
    ['bits that nothing reads', `${key.publicKey.slice(0, -1)}_`],
    ['another alphabet', `ed25519:${'/'.repeat(43)}`],
  ])('are refused: %s', (_, text) => {
    expect(() => parsePublicKey(text)).toThrow(fails('BAD_KEY'))
  })

  it('are refused where they are of another kind', () => {
    expect(() => parseSigningKey('k', '-----BEGIN PRIVATE KEY-----\n')).toThrow(fails('BAD_KEY'))
  })
})

describe('age', () => {
  const now = new Date('2026-11-21T12:00:00Z')
  const later = '2026-11-21T12:00:01Z'
  it.each([
    ['the first one', 5, later, 0, null],
    ['the same again', 5, later, 5, null],
    ['a newer one', 6, later, 5, null],
    ['an older one', 4, later, 5, 'ROLLBACK'],
    ['one that ends now', 5, now.toISOString(), 5, 'EXPIRED'],
    ['one that is both', 4, '2020-01-01T00:00:00Z', 5, 'ROLLBACK'],
  ] as const)('%s', (_, version, expires_at, seen, code) => {
    const check = (): void => checkFresh({ version, expires_at }, seen, now)
    if (code === null) expect(check).not.toThrow()
    else expect(check).toThrow(fails(code))
  })

  it('versions grow, also with a clock that was set back', () => {
    expect(nextVersion(0, now)).toBe(now.getTime() / 1000)
    expect(nextVersion(2_000_000_000, now)).toBe(2_000_000_001)
  })
})

describe('a manifest', () => {
  const entries = [
    { path: 'buildid/00/section/.BTF', digest: sha256Of('a') },
    { path: 'debian/12/x86_64/6.1.0-47+deb12~1.btf', digest: sha256Of('b') },
  ]
  const text = [...manifestLines(entries)].join('')

  it('reads as it was written', () => {
    expect([...parseManifest(text)]).toEqual(entries)
    expect([...parseManifest('')]).toEqual([])
  })

  it.each([
    '/etc/passwd',
    '../x',
    'a/../x',
    'a/..',
    'a//b',
    '',
    '.',
    'a/.',
    '.btfhub/x',
    'a/b\nc',
    'a\\b',
    'a/b\0',
    'a b',
    '-rf',
    'ä',
    'x'.repeat(5000),
  ])('refuses the path %j', (path) => {
    expect(() => checkTreePath(path)).toThrow(fails('BAD_INDEX'))
    expect(() => [...parseManifest(`${sha256Of('')}  ${path}\n`)]).toThrow(fails('BAD_INDEX'))
  })

  it.each([
    ['cut off', text.slice(0, -1)],
    ['a short digest', text.slice(1)],
    ['capitals', text.toUpperCase()],
    ['twice the same', text + text],
    ['one blank', text.replace('  ', ' ')],
  ])('is refused: %s', (_, bad) => {
    expect(() => [...parseManifest(bad)]).toThrow(fails('BAD_INDEX'))
  })
})

it('shards hold some 128 entries each, and every key has its place', () => {
  expect([0, 128, 129, 2048, 2049, 20_000, 1e9].map(shardDigits)).toEqual([0, 0, 1, 1, 2, 2, 3])
  for (const digits of [0, 1, 2, 3]) {
    expect(shardOfRelease('6.1.0', digits)).toBeLessThan(16 ** digits)
    expect(shardOfBuildId('ff'.repeat(20), digits)).toBe(16 ** digits - 1)
  }
})
