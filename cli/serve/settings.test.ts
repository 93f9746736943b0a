import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { UsageError } from '../exit.ts'
import { effectiveSettings, printSettings } from './effective.ts'
import { OPTIONS } from './options.ts'
import { parseSettings } from './settings-file.ts'
import { DEFAULTS, Settings } from './settings.ts'

let dir: string
let file: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  file = join(dir, 'hub.yaml')
})
afterAll(() => rm(dir, { recursive: true }))

describe('a settings file', () => {
  it.each([
    ['port: 99999\n', 'f:1:7: port: '],
    ['host: a\nport: many\n', 'f:2:7: port: '],
    ['host: a\nrate-limt: 5\n', 'f:2:1: rate-limt: no such setting; there are: rate-limit, rate-limit-work'],
    [
      'upstream:\n  - https://a.example\n  - ftp://b.example\n',
      'f:3:5: upstream.1: expected an http or https URL',
    ],
    ['wait: 5 minutes\n', 'f:1:7: wait: expected a time'],
    ['trust-proxy: 10.0.0.0/99\n', 'f:1:14: trust-proxy: expected how many proxies'],
    ['port: 1\nport: 2\n', 'f:2:1: Map keys must be unique'],
    ['port: [1\n', 'f:'],
    ['- a\n', 'f:1:1: expected NAME: VALUE lines'],
    ['just text', 'f:1:1: expected NAME: VALUE lines'],
    ['a: &x [1]\nb: *x\n', 'f: Alias resolution is disabled'],
  ])('%j is refused: %s', (text, message) => {
    expect(() => parseSettings('f', text)).toThrow(UsageError)
    expect(() => parseSettings('f', text)).toThrow(message)
  })

  it('tells all that is wrong at once', () => {
    expect(() => parseSettings('f', 'port: x\nhost: 5\nnope: 1\n')).toThrow(/f:1:7.*\nf:2:7.*\nf:3:1/)
  })

  it.each(['', '# nothing\n', '---\n'])('%j says nothing', (text) => {
    expect(parseSettings('f', text)).toEqual({})
  })

  it('may not be anything and of any size', async () => {
    await writeFile(file, '#'.repeat(300_000))
    await expect(effectiveSettings({ config: file }, {})).rejects.toThrow('300000 bytes')
    await expect(effectiveSettings({ config: join(dir, 'none') }, {})).rejects.toThrow('ENOENT')
  })
})

describe('what holds', () => {
  it('is the option before the environment, that before the file, that before the default', async () => {
    await writeFile(file, 'port: 1\nhost: in-file\nrate-limit: 1.5\nwait: 5m\n')
    const env = {
      BTFHUB_PORT: '2',
      BTFHUB_HOST: 'in-env',
      BTFHUB_CONFIG: file,
      BTFHUB_UPSTREAM: 'http://a http://b',
    }
    const { values, origins } = await effectiveSettings({ port: '3' }, env)
    expect(values).toMatchObject({ port: 3, host: 'in-env', 'rate-limit': 1.5, wait: '5m', drain: '10s' })
    expect(values.upstream).toEqual(['http://a', 'http://b'])
    expect(origins).toMatchObject({ port: 'option', host: 'environment', wait: 'file', drain: 'default' })
  })

  it.each([
    [{ port: '-1' }, {}, '--port: '],
    [{ port: '1e3' }, {}, '--port: '],
    [{}, { BTFHUB_PORT: 'x' }, 'BTFHUB_PORT: '],
    [{ upstream: ['nope'] }, {}, '--upstream: expected an http or https URL'],
    [{ upstream: ['file:///etc/passwd'] }, {}, '--upstream: expected an http or https URL'],
    [
      { upstream: ['http://me:secret@a.example'] },
      {},
      '--upstream: expected a URL without user and password',
    ],
    [{ wait: '1' }, {}, '--wait: expected a time'],
    [{}, { BTFHUB_READ_ONLY: 'perhaps' }, 'BTFHUB_READ_ONLY: '],
    [{ trustProxy: 'everybody' }, {}, '--trust-proxy: expected how many proxies'],
  ])('refuses %j %j: %s', async (said, env, message) => {
    await expect(effectiveSettings(said, env)).rejects.toThrow(message)
  })

  it.each([
    [{ onDemand: true }, true],
    [{ onDemand: ['debian', 'ubuntu'] }, ['debian', 'ubuntu']],
    [{}, false],
  ])('--on-demand %j is %j', async (said, value) => {
    expect((await effectiveSettings(said, {})).values['on-demand']).toEqual(value)
  })

  it('printed is a file that says the same, with its secrets left out', async () => {
    const said = {
      mirror: ['https://user:secret@a.example/x?token=secret', 'http://b.example'],
      onDemand: ['debian'],
    }
    const settings = await effectiveSettings(said, { BTFHUB_RATE_LIMIT: '5' })
    const text = printSettings(settings)
    expect(text).toContain('rate-limit: 5 # environment')
    expect(text).not.toContain('secret')
    expect(text).toContain('https://***@a.example/x?***')
    await writeFile(file, text)
    const again = await effectiveSettings({ config: file }, {})
    expect({ ...again.values, mirror: [] }).toEqual({ ...settings.values, mirror: [] })
  })
})

it('every setting is an option, and every default is allowed', () => {
  expect(Object.keys(OPTIONS).sort()).toEqual(Object.keys(Settings.shape).sort())
  expect(Settings.partial().parse(DEFAULTS)).toEqual(DEFAULTS)
  for (const [name, [flags]] of Object.entries(OPTIONS)) expect(flags.split(' ')[0]).toBe(`--${name}`)
})
