import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseGnuLink, parseSup } from './alt-link.ts'
import { ExtractError } from './types.ts'

const ID = Buffer.from('0123456789abcdef0123456789abcdef01234567', 'hex')
const gnu = (path: string, id: Uint8Array = ID): Buffer => Buffer.concat([Buffer.from(`${path}\0`), id])
const sup = (path: string, { version = 5, other = 0, id = ID } = {}): Buffer =>
  Buffer.concat([Buffer.of(version, 0, other), Buffer.from(`${path}\0`), Buffer.of(id.byteLength), id])

describe('.gnu_debugaltlink', () => {
  it('names a file and its build-id', () => {
    expect(parseGnuLink(gnu('../../.dwz/kernel-6.1'), 'sample')).toEqual({
      path: '../../.dwz/kernel-6.1',
      id: ID.toString('hex'),
    })
  })

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['no path', gnu('')],
    ['no end of the path', Buffer.from('common')],
    ['no build-id', gnu('common', Buffer.alloc(0))],
    ['a build-id that names nothing', gnu('common', Buffer.alloc(7))],
    ['a build-id that is too long', gnu('common', Buffer.alloc(65))],
    ['control characters', gnu('com\nmon')],
    ['an escape sequence', gnu('com\x1b[2Jmon')],
  ])('of %s is malformed', (_, bytes) => {
    expect(() => parseGnuLink(bytes, 'sample')).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })
})

describe('.debug_sup', () => {
  it('names a file and its checksum', () => {
    const expected = { path: 'common', id: ID.toString('hex'), isSupplementary: false }
    expect(parseSup(sup('common'), true, 'sample')).toEqual(expected)
  })

  it('of the other file has no path', () => {
    expect(parseSup(sup('', { other: 1 }), true, 'sample')).toMatchObject({
      id: ID.toString('hex'),
      isSupplementary: true,
    })
  })

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['no version', sup('common', { version: 0 })],
    ['a version to come', sup('common', { version: 6 })],
    ['no path', sup('')],
    ['no checksum', sup('common', { id: Buffer.alloc(0) })],
    ['a checksum that is cut', sup('common').subarray(0, 14)],
  ])('of %s is malformed', (_, bytes) => {
    expect(() => parseSup(bytes, true, 'sample')).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })
})

it('any bytes are a link or malformed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (bytes, isLittle) => {
      for (const parse of [() => parseGnuLink(bytes, 's'), () => parseSup(bytes, isLittle, 's')]) {
        try {
          expect(parse().path).not.toBe('')
        } catch (err) {
          expect(err).toBeInstanceOf(ExtractError)
        }
      }
    }),
    { numRuns: 2000 },
  )
})
