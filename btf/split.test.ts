import { describe, expect, it } from 'vitest'
import { corpusBtf, fullBtfPaths } from '../test/helpers/btf-corpus.ts'
import { type BtfType, checkOnBase, encodeBtf, loadBtf, parseBtf } from './index.ts'
import { frameBtf } from './encode.ts'
import { Kind, makeInfo } from './wire.ts'

const int = (name: string): BtfType => ({
  id: 1,
  kind: 'int',
  name,
  sizeBytes: 4,
  bits: 32,
  offsetBits: 0,
  encoding: 1,
})
const base = parseBtf(encodeBtf([int('int')]))

/** A typedef of the base's int, named by what lies at that offset of base and own strings. */
function typedefOn(on: typeof base, nameOffset: number, own = 'one\0two\0'): typeof base {
  const words = Uint32Array.of(nameOffset, makeInfo(Kind.TYPEDEF, 0, false), 1)
  return parseBtf(frameBtf(words, Buffer.from(own), 'little'), { base: on })
}

describe('checkOnBase', () => {
  const end = base.strings.end

  it.each([
    ['the base’s first string', 1],
    ['its own first string', end],
    ['its own second string', end + 4],
  ])('takes a name that is %s', (_, offset) => {
    expect(() => checkOnBase(typedefOn(base, offset))).not.toThrow()
  })

  it.each([
    ['the rest of a string of the base', 2, /typedef has a name "nt" at 2 that starts in no string/],
    ['the rest of a string of its own', end + 1, /"ne"/],
    ['behind the end', end + 100, /that starts in no string/],
  ])('refuses a name that is %s', (_, offset, message) => {
    expect(() => checkOnBase(typedefOn(base, offset))).toThrow(message)
  })

  it('tells a base with a longer string, or a shorter one', () => {
    for (const name of ['integers', 'i']) {
      const other = parseBtf(encodeBtf([int(name)]))
      expect(() => checkOnBase(typedefOn(other, end + 4))).toThrow(/another base/)
    }
  })

  it.skipIf(fullBtfPaths().length === 0)('takes a real module on its base, and on no other (corpus)', () => {
    const bytes = corpusBtf('split/btf-rs/openvswitch.btf.xz')
    const own = loadBtf(corpusBtf('split/btf-rs/vmlinux.btf.xz'))
    expect(() => checkOnBase(loadBtf(bytes, { base: own }))).not.toThrow()
    for (const path of [
      'debian/12/x86_64/6.1.0-56-amd64.btf.xz',
      'debian/13/x86_64/6.12.107+deb13-amd64.btf.xz',
    ]) {
      const other = loadBtf(corpusBtf(path))
      expect(() => checkOnBase(loadBtf(bytes, { base: other }))).toThrow(/another base/)
    }
  })
})
