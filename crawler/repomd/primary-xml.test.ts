import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CrawlError } from '../types.ts'
import { readPrimaryXml } from './primary-xml.ts'

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<metadata xmlns="x" xmlns:rpm="y" packages="1">'

/** A package as createrepo_c writes it, with its files and dependencies. */
function pkg(name: string, more = ''): string {
  return `<package type="rpm"><name>${name}</name><arch>x86_64</arch><version epoch="0" ver="4.18.0" rel="348.el8"/>
    <checksum type="sha256" pkgid="YES">${'ab'.repeat(32)}</checksum><summary>s &amp; s</summary><packager>p</packager>
    <time file="1700000000" build="1600000000"/><size package="5" installed="6" archive="7"/>
    <location href="../../blob/${name}.rpm"/>
    <format><rpm:license>GPL</rpm:license><rpm:entry name="name"/><file>/boot/vmlinuz</file>
      <location href="file:///etc/passwd"/><checksum type="sha1">00</checksum></format>${more}</package>`
}

async function* chunked(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
}

const read = (text: string, size = 1 << 16): ReturnType<typeof readPrimaryXml> =>
  readPrimaryXml('primary.xml', chunked(text, size), (name) => name.startsWith('kernel'))

describe('primary.xml', () => {
  it.each([1, 7, 4096])('is read in chunks of %d bytes, other packages left out', async (size) => {
    const text = `${HEAD}${pkg('bash')}${pkg('kernel-core')}${pkg('kernelü')}</metadata>`
    const { entries, skipped } = await read(text, size)
    expect(entries).toEqual([
      {
        name: 'kernel-core',
        version: '4.18.0',
        release: '348.el8',
        arch: 'x86_64',
        href: '../../blob/kernel-core.rpm',
        sizeBytes: 5,
        sha256: 'ab'.repeat(32),
        date: '2020-09-13T12:26:40.000Z',
      },
    ])
    expect(skipped).toBe(1)
  })

  it.each<[string, string, RegExp]>([
    ['nothing', '', /document must contain a root element/],
    ['half', `${HEAD}${pkg('kernel')}`, /unclosed tag: metadata/],
    ['crossed tags', `${HEAD}<package></metadata>`, /line 2/],
    ['a document type', `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, /document type/],
    ['an unknown entity', `${HEAD}&x;</metadata>`, /undefined entity/],
    ['text without end', `${HEAD}${'x'.repeat(5_000_000)}`, /expected a tag within/],
  ])('that has %s is refused', async (_what, text, reason) => {
    await expect(read(text)).rejects.toThrow(reason)
    await expect(read(text)).rejects.toBeInstanceOf(CrawlError)
  })

  it('in no UTF-8 is refused', async () => {
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield Buffer.concat([Buffer.from(HEAD), Buffer.from([0xff, 0xfe])])
    }
    await expect(readPrimaryXml('p', bytes(), () => true)).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  it.each<[string, (text: string) => string]>([
    ['no version', (text) => text.replace(/<version[^>]*>/, '')],
    ['no location', (text) => text.replace(/<location href="..[^>]*>/, '')],
    ['a broken digest', (text) => text.replace('abab', 'xyxy')],
    ['a size that is none', (text) => text.replace('package="5"', 'package="-5"')],
    ['a release with a blank', (text) => text.replace('348.el8', '348 el8')],
  ])('counts a package with %s', async (_what, edit) => {
    expect(await read(`${HEAD}${edit(pkg('kernel'))}${pkg('kernel-core')}</metadata>`)).toMatchObject({
      entries: [{ name: 'kernel-core' }],
      skipped: 1,
    })
  })

  it('gives entries or our error for any bytes', async () => {
    const base = `${HEAD}${pkg('kernel')}</metadata>`
    const edits = fc.array(fc.tuple(fc.nat(base.length - 1), fc.string({ maxLength: 3 })), {
      minLength: 1,
      maxLength: 4,
    })
    await fc.assert(
      fc.asyncProperty(edits, async (all) => {
        let text = base
        for (const [at, insert] of all) text = text.slice(0, at) + insert + text.slice(at + insert.length)
        const result = await read(text, 61).catch((err: unknown) => err)
        if (result instanceof Error) expect(result).toBeInstanceOf(CrawlError)
      }),
      { numRuns: 200 },
    )
  })

  it('of 200 MB is read in little memory', async () => {
    const block = Buffer.from(Array.from({ length: 200 }, (_, i) => pkg(`pkg-${i}`)).join('\n'))
    async function* huge(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(HEAD)
      for (let bytes = 0; bytes < 200_000_000; bytes += block.byteLength) yield block
      yield Buffer.from(`${pkg('kernel')}</metadata>`)
    }
    const before = process.memoryUsage().rss
    let highest = 0
    const watch = setInterval(() => (highest = Math.max(highest, process.memoryUsage().rss)), 20)
    const { entries } = await readPrimaryXml('primary.xml', huge(), (name) => name === 'kernel')
    clearInterval(watch)
    expect(entries).toHaveLength(1)
    expect(Math.max(highest, process.memoryUsage().rss) - before).toBeLessThan(200_000_000)
  })
})
