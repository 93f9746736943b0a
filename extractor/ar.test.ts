import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readAr } from './ar.ts'
import { gather, run, streamOf } from './run.fixture.ts'
import { scratch } from './scratch.fixture.ts'
import { ExtractError } from './types.ts'

async function list(bytes: Uint8Array, size?: number): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for await (const member of readAr(streamOf(bytes, size))) {
    const body = await gather(member.body())
    expect(body.byteLength).toBe(member.sizeBytes)
    found[member.name] = body.toString('latin1')
  }
  return found
}

const header = (name: string, size: string, end = '`\n'): string =>
  `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'644'.padEnd(8)}${size.padEnd(10)}${end}`
const archive = (...parts: string[]): Buffer => Buffer.from(`!<arch>\n${parts.join('')}`, 'latin1')

describe('readAr', () => {
  it('reads what GNU ar wrote, odd sizes and long names included', async () => {
    const dir = await scratch()
    await writeFile(join(dir, 'odd'), 'abc')
    await writeFile(join(dir, 'even'), 'abcd')
    await writeFile(join(dir, 'a-name-that-is-much-too-long-for-the-header'), 'long')
    run('ar', ['rc', 'x.a', 'odd', 'even', 'a-name-that-is-much-too-long-for-the-header'], undefined, dir)
    for (const size of [1, 13, 65536]) {
      expect(await list(await readFile(join(dir, 'x.a')), size)).toMatchObject({
        odd: 'abc',
        even: 'abcd',
        '/0': 'long',
      })
    }
  })

  it('reads names of BSD and members whose body nobody reads', async () => {
    const bytes = archive(header('#1/12', '15'), 'a long name\0', 'abc', '\n', header('b', '1'), 'x')
    expect(await list(bytes)).toEqual({ 'a long name': 'abc', b: 'x' })
    const names: string[] = []
    for await (const member of readAr(streamOf(bytes, 5))) names.push(member.name)
    expect(names).toEqual(['a long name', 'b'])
  })

  it.each([
    ['no magic', Buffer.from('!<arcx>\n'), /ar magic expected/],
    ['an end in the magic', Buffer.from('!<ar'), /ends at byte 4/],
    ['an end in a header', archive(header('a', '3').slice(0, 30)), /ar header/],
    ['an end in a body', archive(header('a', '30'), 'abc'), /ar member a/],
    ['an absurd size', archive(header('a', '9999999999'), 'abc'), /ar member a/],
    ['a size that is no number', archive(header('a', '-3'), 'abc'), /no ar header at byte 8/],
    ['a header that does not end as one', archive(header('a', '3', '\n`'), 'abc'), /no ar header at byte 8/],
    ['a name longer than its member', archive(header('#1/20', '10'), 'abc'), /ar name of 20 bytes/],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(list(bytes)).rejects.toMatchObject({
      code: 'MALFORMED',
      message: expect.stringMatching(message) as string,
    })
  })

  it('gives members or its own error for any bytes behind the magic', async () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc
        .tuple(fc.string({ maxLength: 16 }), fc.nat(200).map(String))
        .map(([name, size]) => header(name, size)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
        await list(archive(...parts), 11).catch((err: unknown) => expect(err).toBeInstanceOf(ExtractError))
      }),
    )
  })
})
