import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeBtf } from '../btf/index.ts'
import { hubVersion } from '../core/version.ts'
import { run } from './main.ts'

const dir = mkdtempSync(join(tmpdir(), 'btfhub-cli-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Runs a command line in this process. */
async function cli(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: string[][] = [[], []]
  const terminal = {
    out: (text: string) => void out?.push(text),
    err: (text: string) => void err?.push(text),
    outLines: (lines: Iterable<string>) => Promise.resolve(void out?.push(...lines)),
    isInteractive: false,
  }
  const code = await run(['node', 'btfhub', ...args], terminal, {}, new AbortController().signal)
  return { code, out: out?.join('\n') ?? '', err: err?.join('\n') ?? '' }
}

const data = join(dir, 'hub')
const small = join(dir, 'small.btf')
writeFileSync(
  small,
  encodeBtf([{ kind: 'int', id: 1, name: 'int', sizeBytes: 4, bits: 32, offsetBits: 0, encoding: 1 }]),
)

describe('btfhub', () => {
  it('prints its version, and takes the --version of a command for that command', async () => {
    expect(await cli('--version')).toEqual({ code: 0, out: hubVersion, err: '' })
    expect((await cli('crawl', 'debian', '--version')).err).toContain('argument missing')
  })

  it('prints help on stdout and ends with 0', async () => {
    const { code, out } = await cli('--help')
    expect(code).toBe(0)
    for (const command of [
      'get',
      'crawl',
      'extract',
      'minimize',
      'serve',
      'tool',
      'import',
      'verify',
      'doctor',
    ]) {
      expect(out).toContain(`  ${command}`)
    }
  })

  it.each<[string, string[], RegExp]>([
    ['an unknown command', ['grawl'], /unknown command/],
    ['an unknown option', ['list', '--colour'], /unknown option/],
    [
      'an unknown source',
      ['crawl', 'templeos', '--plan', '--data', data],
      /no source templeos; there are: .*debian/,
    ],
    ['an unknown architecture', ['crawl', '--arch', 'vax', '--data', data], /--arch vax/],
    ['a count that is none', ['crawl', '--newest', '0'], /whole number above 0/],
    ['a port that is none', ['serve', '--port', '70000'], /0 to 65535/],
    ['a broken expression', ['crawl', '--release', '('], /regular expression/i],
    ['a file to import without a name', ['import', small, '--data', data], /needs --as/],
    [
      'a name that is no kernel',
      ['import', small, '--as', 'debian/12', '--data', data],
      /DISTRO\/VERSION\/ARCH\/RELEASE/,
    ],
    ['a kernel that climbs', ['import', small, '--as', 'debian/12/x86_64/..', '--data', data], /release/],
    ['a file that is not there', ['extract', join(dir, 'none')], /ENOENT/],
    ['get without a hub', ['get', '6.1.0-x', '--cache', join(dir, 'cache')], /hub/],
    ['contradicting options', ['get', '--tool', 'a', '--object', small], /give one of them/],
    [
      'several BTFs into one file',
      ['minimize', '--btf', small, small, '--object', small, '-o', join(dir, 'x')],
      /./,
    ],
  ])('ends with 2 and says why for %s', async (_what, args, message) => {
    const { code, out, err } = await cli(...args)
    expect(err).toMatch(message)
    expect({ code, out }).toEqual({ code: 2, out: '' })
  })

  it('refuses a BTF that is no kernel’s, and keeps nothing of it', async () => {
    const imported = await cli('import', small, '--as', 'debian/12/x86_64/6.1.0-x', '--data', data)
    expect(imported).toMatchObject({ code: 1 })
    expect(imported.err).toMatch(/task_struct|types/)
    expect(await cli('list', '--json', '--data', data)).toMatchObject({ code: 0, out: '[]' })
    expect(await cli('verify', '--data', data)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^sound/) as string,
    })
  })

  it('ends with 3 for a kernel and a tool that are not there', async () => {
    expect(await cli('show', '6.1.0-none', '--data', data)).toMatchObject({ code: 3, out: '' })
    expect(await cli('tool', 'rm', 'none', '--data', data)).toMatchObject({ code: 3, out: '' })
  })

  it('says what a data folder lacks that nobody has made yet', async () => {
    const { code, err } = await cli('list', '--data', join(dir, 'nowhere'))
    expect(code).not.toBe(0)
    expect(err).toContain('nowhere')
  })
})
