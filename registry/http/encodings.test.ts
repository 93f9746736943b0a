import { expect, it } from 'vitest'
import { acceptableEncodings } from './encodings.ts'

it.each([
  ['no header: curl without --compressed, busybox wget', undefined, 'identity'],
  ['an empty header', '', 'identity'],
  ['GNU wget', 'identity', 'identity'],
  ['Go', 'gzip', 'gzip,identity'],
  ['curl 7.29 --compressed', 'deflate, gzip', 'gzip,identity'],
  ['a browser', 'gzip, deflate, br, zstd', 'br,zstd,gzip,identity'],
  ['anything', '*', 'br,zstd,gzip,identity'],
  ['zstd alone', 'zstd', 'zstd,identity'],
  ['weights', 'br;q=0.2, gzip;q=0.9', 'gzip,br,identity'],
  ['identity preferred', 'gzip;q=0.5, identity', 'identity,gzip'],
  ['gzip refused', 'gzip;q=0', 'identity'],
  ['all but gzip refused', 'gzip, *;q=0', 'gzip'],
  ['identity refused', 'gzip, identity;q=0', 'gzip'],
  ['all refused', '*;q=0', ''],
  ['the old name', 'x-gzip', 'gzip,identity'],
  ['capitals and blanks', ' GZIP ; Q=1.000 , BR;q=0.000', 'gzip,identity'],
  ['nonsense', 'gzip;q=2, ;;;, \u0000, br;level=3', 'identity'],
])('%s', (_, header, expected) => {
  expect(acceptableEncodings(header).join()).toBe(expected)
})
