import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { limits } from '../core/limits.ts'
import { ByteStream } from './byte-stream.ts'
import { makeTar } from './deb.fixture.ts'
import { gather, run, streamOf } from './run.fixture.ts'
import { readTar } from './tar.ts'
import { ExtractError } from './types.ts'

interface Listed {
  readonly path: string
  readonly kind: string
  readonly sizeBytes: number
  readonly body: string
}

async function list(bytes: Uint8Array, size?: number): Promise<Listed[]> {
  const found: Listed[] = []
  for await (const entry of readTar(streamOf(bytes, size))) {
    const { path, kind, sizeBytes } = entry
    found.push({ path, kind, sizeBytes, body: (await gather(entry.body())).toString('latin1') })
  }
  return found
}

/** A header with a right checksum. */
function header(fields: { name?: string; size?: string | Buffer; type?: string; prefix?: string }): Buffer {
  const block = Buffer.alloc(512)
  block.write(fields.name ?? 'file', 0, 'latin1')
  if (typeof fields.size === 'object') fields.size.copy(block, 124)
  else block.write(fields.size ?? '00000000003', 124, 'latin1')
  block.write(fields.type ?? '0', 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  block.write(fields.prefix ?? '', 345, 'latin1')
  block.fill(0x20, 148, 156)
  block.write(
    `${block
      .reduce((a, b) => a + b, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  )
  return block
}
const padded = (text: string): Buffer =>
  Buffer.concat([Buffer.from(text, 'latin1'), Buffer.alloc(-text.length & 511)])
const END = Buffer.alloc(1024)

const LONG = `${'directory/'.repeat(24)}file-with-a-name-too-long-for-any-header-of-a-hundred-bytes`

describe('readTar', () => {
  it.each(['ustar', 'gnu', 'pax'])('reads what GNU tar wrote in format %s', async (format) => {
    const long = format === 'ustar' ? `${'directory/'.repeat(14)}file` : LONG
    const tar = await makeTar(
      { 'boot/a': Buffer.from('abc'), [long]: Buffer.from('x'.repeat(1025)), link: { linkTo: 'boot/a' } },
      [`--format=${format}`],
    )
    for (const size of [1, 511, 65536]) {
      expect(await list(tar, size)).toEqual([
        { path: 'boot/a', kind: 'file', sizeBytes: 3, body: 'abc' },
        { path: long, kind: 'file', sizeBytes: 1025, body: 'x'.repeat(1025) },
        { path: 'link', kind: 'link', sizeBytes: 0, body: '' },
      ])
    }
  })

  it('reads sizes in base 256, pax sizes, and archives without an end', async () => {
    const size = Buffer.alloc(12)
    size[0] = 0x80
    size[11] = 3
    expect(await list(Buffer.concat([header({ size }), padded('abc'), END]))).toMatchObject([{ body: 'abc' }])
    const pax = Buffer.concat([
      header({ type: 'x', size: '00000000011' }),
      padded('9 size=4\n'),
      header({}),
      padded('abcd'),
    ])
    expect(await list(pax)).toMatchObject([{ path: 'file', body: 'abcd' }])
  })

  it('forgets an extended header after the entry that it was for', async () => {
    const named = Buffer.concat([
      header({ type: 'L', size: '00000000005' }),
      padded('other'),
      header({}),
      padded('abc'),
    ])
    expect(await list(Buffer.concat([named, header({}), padded('def')]))).toMatchObject([
      { path: 'other' },
      { path: 'file' },
    ])
  })

  it('gives paths as they are: nobody writes by them', async () => {
    const tar = Buffer.concat([
      header({ name: '../../etc/passwd' }),
      padded('abc'),
      header({ name: '/abs' }),
      padded('abc'),
    ])
    expect((await list(tar)).map((entry) => entry.path)).toEqual(['../../etc/passwd', '/abs'])
  })

  it('does not read an old GNU header as if it had a prefix', async () => {
    const tar = run('tar', ['-c', '--format=oldgnu', '-C', '/', 'etc/hostname'])
    expect((await list(tar)).map((entry) => entry.path)).toEqual(['etc/hostname'])
  })

  it.each([
    ['an end in a header', header({}).subarray(0, 100), 'MALFORMED', /tar header/],
    [
      'an end in a body',
      header({ size: '00000001000' }),
      'MALFORMED',
      /ends at byte 512, in the middle of file/,
    ],
    [
      'a wrong checksum',
      Buffer.concat([header({}).fill(1, 0, 3), padded('abc')]),
      'MALFORMED',
      /no tar header at byte 0/,
    ],
    ['a size that is no number', header({ size: 'zzz' }), 'MALFORMED', /size "zzz"/],
    ['a size beyond belief', header({ size: Buffer.alloc(12, 0xff) }), 'MALFORMED', /size/],
    [
      'a long name of gigabytes',
      header({ type: 'L', size: '77777777777' }),
      'LIMIT',
      /tar header of 8589934591 bytes/,
    ],
    [
      'a pax record that is none',
      Buffer.concat([header({ type: 'x' }), padded('9 x')]),
      'MALFORMED',
      /pax record/,
    ],
    [
      'a pax record longer than its header',
      Buffer.concat([header({ type: 'x', size: '00000000011' }), padded('99 path=x')]),
      'MALFORMED',
      /pax record/,
    ],
    [
      'a pax size that is no number',
      Buffer.concat([header({ type: 'x', size: '00000000012' }), padded('10 size=x\n')]),
      'MALFORMED',
      /pax size "x"/,
    ],
  ] as const)('refuses %s', async (_, bytes, code, message) => {
    await expect(list(bytes)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    })
  })

  it('refuses more entries than a package has', async () => {
    async function* many(): AsyncGenerator<Uint8Array> {
      const block = Buffer.concat(Array.from({ length: 1000 }, () => header({ size: '00000000000' })))
      for (;;) yield await Promise.resolve(block)
    }
    let count = 0
    const reading = (async () => {
      for await (const entry of readTar(new ByteStream(many(), 'sample')))
        count += entry.path === 'file' ? 1 : 0
    })()
    await expect(reading).rejects.toMatchObject({ code: 'LIMIT' })
    expect(count).toBe(limits.package.maxMembers)
  })

  it('gives entries or its own error for any archive with some bytes changed', async () => {
    const whole = await makeTar({ 'a/b': Buffer.from('abc'), [LONG]: Buffer.from('def') }, ['--format=pax'])
    const change = fc.tuple(fc.nat(whole.byteLength - 1), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        async (changes, resum) => {
          const bytes = Buffer.from(whole)
          for (const [at, value] of changes) bytes[at] = value
          if (resum) for (let at = 0; at < bytes.byteLength; at += 512) checksum(bytes.subarray(at, at + 512))
          await list(bytes).catch((err: unknown) => expect(err).toBeInstanceOf(ExtractError))
        },
      ),
    )
  })
})

function checksum(block: Buffer): void {
  if (block.every((byte) => byte === 0)) return
  block.fill(0x20, 148, 156)
  block.write(
    `${block
      .reduce((a, b) => a + b, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  )
}
