import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CrawlError } from '../types.ts'
import { parsePage } from './links.ts'

const URL_ = 'http://h/pub/7/x86_64/'
const names = (html: string, url = URL_): string[] => parsePage(html, url).files.map(({ name }) => name)

describe('links of a page', () => {
  it.each<[string, string, string[]]>([
    ['relative', '<a href="kernel-1.rpm">x</a>', ['kernel-1.rpm']],
    ['with a dot', '<a href="./kernel-1.rpm">x</a>', ['kernel-1.rpm']],
    ['absolute paths', '<a href="/pub/7/x86_64/kernel-1.rpm">x</a>', ['kernel-1.rpm']],
    ['absolute', '<a href="http://h/pub/7/x86_64/kernel-1.rpm">x</a>', ['kernel-1.rpm']],
    ['without a scheme', '<a href="//h/pub/7/x86_64/kernel-1.rpm">x</a>', ['kernel-1.rpm']],
    ['percent-encoded', '<a href="kernel%2b1%7Erc.rpm">x</a>', ['kernel+1~rc.rpm']],
    ['with entities', '<a href="a&amp;b.rpm">x</a>', ['a&b.rpm']],
    ['twice', '<a href="a.rpm"><img></a> <a href="a.rpm">a</a>', ['a.rpm']],
    ['in capitals', '<A HREF="a.rpm">a</A>', ['a.rpm']],
  ])('are taken: %s', (_what, html, expected) => {
    expect(names(html)).toEqual(expected)
  })

  it.each([
    '../',
    '/',
    '?C=N;O=D',
    'sub/',
    'sub/a.rpm',
    '../aarch64/a.rpm',
    '/pub/7/aarch64/a.rpm',
    'http://evil/pub/7/x86_64/a.rpm',
    'https://h/pub/7/x86_64/a.rpm',
    'http://h:81/pub/7/x86_64/a.rpm',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'mailto:root@h',
    '#top',
    'a.rpm?x=1',
    '%2e%2e/a.rpm',
    '..%2f..%2fetc%2fpasswd',
    'a%00.rpm',
    'http://[',
    '',
  ])('that lead anywhere else are not: %s', (href) => {
    expect(names(`<html><a href="../">up</a><a href="${href}">x</a>`)).toEqual([])
  })

  it.each([
    [
      "lighttpd's table",
      '<!DOCTYPE html><table><tr><td class="n"><a href="k-1.rpm">k</a></td><td class="m">2021-Nov-21 10:00:00</td><td class="s">34.5M</td></tr></table>',
    ],
    [
      "Aliyun's table",
      '<!DOCTYPE html><table class="table"><tbody><tr><td class="link"><a href="k-1.rpm" title="k">k</a></td><td class="size">34.5 MB</td><td class="date">2021-11-21 10:00</td></tr></table>',
    ],
    [
      "CentOS's debuginfo table",
      '<html><table id="indexlist"><tr class="odd"><td class="indexcolicon"><img></td><td class="indexcolname"><a href="k-1.rpm">k</a></td><td class="indexcollastmod">2021-11-21 10:00  </td><td class="indexcolsize">344M</td></tr></table>',
    ],
    [
      'a bare list',
      '<pre><a href="../">../</a>\n<a href="k-1.rpm">k-1..&gt;</a>  21-Nov-2021 10:00   34M\n</pre>',
    ],
  ])('of %s, whose sizes are rounded', (_what, html) => {
    const [file] = parsePage(html, URL_).files
    expect(file).toMatchObject({ name: 'k-1.rpm', sizeBytes: null })
  })

  it('of a bucket, a page at a time', () => {
    const url = 'http://h/bucket?list-type=2&prefix=7/x86_64/'
    const item = (key: string): string =>
      `<Contents><Key>${key}</Key><LastModified>2021-11-21T10:00:00.000Z</LastModified><Size>5</Size></Contents>`
    const page = (more: string): string =>
      `<?xml version="1.0"?><ListBucketResult>${more}${item('7/x86_64/k-1.rpm')}${item('7/x86_64/sub/k.rpm')}${item('8/k.rpm')}</ListBucketResult>`
    expect(parsePage(page('<IsTruncated>false</IsTruncated>'), url)).toEqual({
      files: [{ name: 'k-1.rpm', sizeBytes: 5, date: '2021-11-21T10:00:00.000Z' }],
      complete: true,
      next: null,
    })
    const truncated = '<IsTruncated>true</IsTruncated>'
    expect(parsePage(page(`${truncated}<NextContinuationToken>a/b=</NextContinuationToken>`), url).next).toBe(
      'http://h/bucket?list-type=2&prefix=7%2Fx86_64%2F&continuation-token=a%2Fb%3D',
    )
    expect(() => parsePage(page(truncated), url)).toThrow(/does not say where/)
  })

  it.each(['', 'hello', '{"a":1}', '\u0000\u0001'])('are not looked for in %j', (text) => {
    expect(() => parsePage(text, URL_)).toThrow(CrawlError)
  })

  it.each([
    '<html><a href="/login">log in</a></html>',
    '<html><a href="http://portal/pub/7/x86_64/">log in</a></html>',
    '<html><a href="#top">top</a><a href="">here</a></html>',
    '<html><p>It works!</p></html>',
  ])('are not looked for in a page that is no list of this folder: %s', (html) => {
    expect(() => parsePage(html, URL_)).toThrow(/expected a list of what is in that folder/)
  })

  it.each([
    ['an empty folder', '<html><a href="../">../</a></html>', true],
    ['a folder of folders', '<html><a href="sub/">sub/</a></html>', true],
    ['an order to choose', '<html><a href="?C=M;O=A">Last modified</a></html>\n', true],
    ['a page without its end', '<html><a href="../">../</a><a href="a.rpm">a.r', false],
  ])('of %s', (_what, html, complete) => {
    expect(parsePage(html, URL_).complete).toBe(complete)
  })

  it('never lead out of the folder, whatever the page', () => {
    const href = fc.oneof(
      fc.webUrl(),
      fc.string(),
      fc.constantFrom('../', '%2e%2e%2f', '//', '\\', 'a', '/pub/7/x86_64/'),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(href, href), { maxLength: 5 }), (hrefs) => {
        const html = `<html><a href="../">up</a>${hrefs.map(([a, b]) => `<a href="${a}${b}">x</a>`).join('')}`
        for (const name of names(html)) expect(name).toMatch(/^[^/\\]+$/)
      }),
    )
  })
})
