import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CrawlError } from '../types.ts'
import { parseFields, splitStanzas } from './control.ts'
import { readPackages } from './packages.ts'
import { stanzasWith } from './stanzas.ts'

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.byteLength; at += size)
    yield await Promise.resolve(bytes.subarray(at, at + size))
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('parseFields', () => {
  it('reads folded fields, and names in any case', () => {
    const fields = parseFields('Package: a\nDESCRIPTION: one\n two\n .\n\tthree\nSHA256:\n x 1 y')
    expect([...(fields ?? [])]).toEqual([
      ['package', 'a'],
      ['description', 'one\ntwo\n.\nthree'],
      ['sha256', '\nx 1 y'],
    ])
  })

  it.each(['no colon', ' continuation of nothing', 'a: 1\na: 2', 'A: 1\na: 2', '-a: 1', ': 1', 'a b: 1'])(
    'refuses %j',
    (text) => {
      expect(parseFields(text)).toBeNull()
    },
  )
})

describe('stanzasWith', () => {
  const text =
    '\n\nPackage: a\nX: 1\n\n\n\nPackage: b\nX: ä\n\nPackage: c\n \nPackage: ab\r\n\r\nPackage: cab'

  it.each([1, 2, 3, 7, 64, 4096])('finds the same stanzas in pieces of %d bytes', async (size) => {
    expect(await collect(stanzasWith('b', pieces(text, size), 1000))).toEqual([
      'Package: b\nX: ä',
      'Package: ab',
      'Package: cab',
    ])
  })

  it('holds no more than one stanza may have, and says where it began', async () => {
    const endless = `Package: a\n\nPackage: b\n${'X: 1\n'.repeat(1000)}`
    await expect(collect(stanzasWith('b', pieces(endless, 50), 100))).rejects.toThrow(
      /^stanza at byte 12: expected at most 100 bytes, got \d+$/,
    )
  })

  it('is quick where a blank line never comes', async () => {
    const began = performance.now()
    await collect(stanzasWith('b', pieces('X: 1\n'.repeat(200_000), 65_536), 4e6))
    expect(performance.now() - began).toBeLessThan(1000)
  })

  it('finds what splitting the whole text finds, however it is cut', async () => {
    const line = fc.constantFrom('', ' ', 'a: b', ' c', 'b', '\r', 'x: y')
    const property = fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 9 }), async (lines, size) => {
      const whole = lines.join('\n')
      const expected = splitStanzas(whole).filter((stanza) => stanza.includes('b'))
      expect(await collect(stanzasWith('b', pieces(whole, size), 1000))).toEqual(expected)
    })
    await fc.assert(property)
  })
})

describe('readPackages', () => {
  it('gives entries or skips, never anything else, for any bytes', async () => {
    const part = fc.oneof(
      fc.constantFrom(
        'Package: linux-image-x',
        'Version: 1',
        'Filename: pool/x.deb',
        'Size: 3',
        '\n',
        '\n\n',
        ' folded',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
    )
    const property = fc.asyncProperty(fc.array(part), async (parts) => {
      const chunks = pieces(parts.join('\n'), 11)
      const found = await readPackages(chunks, 'linux-image-', () => true).catch((err: unknown) => err)
      if (found instanceof CrawlError) return
      expect(found).toMatchObject({
        entries: expect.any(Array) as unknown,
        skipped: expect.any(Number) as unknown,
      })
    })
    await fc.assert(property, { numRuns: 300 })
  })
})
