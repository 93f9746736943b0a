import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from '../../cli/main.ts'
import { runCli } from '../helpers/cli.ts'
import { buildRpms, createRepo, missingRpmTool } from './rpm-repository.ts'
import { type FileServer, missingServer, startNginx } from './servers.ts'

const missing = missingRpmTool() ?? missingServer()

describe.skipIf(missing !== null)(
  `an archive that wants a client certificate, by nginx (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-tls-'))
    const at = (name: string): string => join(work, name)
    let nginx: FileServer

    const openssl = (...args: readonly string[]): unknown =>
      execFileSync('openssl', args, { cwd: work, stdio: 'pipe' })

    /** An authority, or what it signs. */
    function certificate(name: string, subject: string, signer: string | null): void {
      const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-subj', `/CN=${subject}`]
      if (signer === null) {
        openssl('req', '-x509', ...key, '-days', '2', '-out', `${name}.pem`)
        return
      }
      openssl('req', ...key, '-out', `${name}.csr`)
      writeFileSync(at(`${name}.ext`), `subjectAltName=DNS:${subject}\n`)
      const by = ['-CA', `${signer}.pem`, '-CAkey', `${signer}.key`, '-CAcreateserial', '-days', '2']
      openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-extfile', `${name}.ext`, '-out', `${name}.pem`)
    }

    beforeAll(async () => {
      certificate('ca', 'Test Authority', null)
      certificate('server', 'localhost', 'ca')
      certificate('hub', 'hub', 'ca')
      certificate('strange-ca', 'Strange Authority', null)
      certificate('stranger', 'stranger', 'strange-ca')
      const os = at('root/content/dist/rhel9/9/x86_64/baseos/os')
      buildRpms(os, [{ name: 'kernel-core', version: '5.14.0', release: '427.13.1.el9_4', arch: 'x86_64' }])
      createRepo(os, 'xml', '.gz')
      nginx = await startNginx(at('root'), work, {
        cert: at('server.pem'),
        key: at('server.key'),
        clientCa: at('ca.pem'),
      })
    })
    afterAll(async () => {
      await nginx.close()
      rmSync(work, { recursive: true, force: true })
    })

    interface Told {
      readonly code: number
      readonly out: string
      readonly err: string
    }

    async function cli(args: readonly string[]): Promise<Told> {
      const [out, err]: [string[], string[]] = [[], []]
      const terminal = {
        out: (text: string) => void out.push(text),
        err: (text: string) => void err.push(text),
        outLines: (lines: Iterable<string>) => Promise.resolve(void out.push(...lines)),
        isInteractive: false,
      }
      const { signal } = new AbortController()
      const code = await run(['node', 'btfhub', ...args], terminal, {}, signal)
      return { code, out: out.join('\n'), err: err.join('\n') }
    }

    function planArgs(): string[] {
      const scope = ['rhel', '--version', '9', '--arch', 'x86_64', '--mirror', `${nginx.url}/content`]
      return ['crawl', ...scope, '--plan', '--json', '--data', at('hub')]
    }

    const plan = (...more: readonly string[]): Promise<Told> => cli([...planArgs(), ...more])

    const files = (name: string): string[] => [
      '--client-cert',
      at(`${name}.pem`),
      '--client-key',
      at(`${name}.key`),
    ]

    it('is read with the certificate that the options or the environment name, whose key is told nobody', async () => {
      const byEnv = {
        BTFHUB_CLIENT_CERT: at('hub.pem'),
        BTFHUB_CLIENT_KEY: at('hub.key'),
        BTFHUB_CLIENT_CA: at('ca.pem'),
      }
      const secret = readFileSync(at('hub.key'), 'utf8').split('\n')[5] ?? ''
      expect(secret.length).toBeGreaterThan(40)
      const byOption = await plan(...files('hub'), '--client-ca', at('ca.pem'))
      const spawned = await runCli(['--log-level', 'debug', ...planArgs()], byEnv)
      for (const told of [byOption, { out: spawned.stdout, err: spawned.stderr }]) {
        const { packages } = JSON.parse(told.out) as { packages: { kernel: string; state: string }[] }
        expect(packages).toMatchObject([
          { kernel: 'rhel/9/x86_64/5.14.0-427.13.1.el9_4.x86_64', state: 'new' },
        ])
        expect(told.out + told.err).not.toContain(secret)
      }
    })

    it('is not read without the authority that it is of, nor with a certificate of another', async () => {
      for (const more of [files('hub'), [...files('stranger'), '--client-ca', at('ca.pem')]]) {
        const { out } = await plan(...more)
        const { packages, indexes } = JSON.parse(out) as {
          packages: object[]
          indexes: { outcome: string }[]
        }
        expect(packages).toEqual([])
        expect(new Set(indexes.map(({ outcome }) => outcome))).toEqual(new Set(['failed']))
      }
    })

    it.each<[string, () => string[], RegExp]>([
      ['none is named', () => [], /rhel: its hosts want a client certificate: .*BTFHUB_CLIENT_CERT/],
      ['the key is missing', () => files('hub').slice(0, 2), /want a client certificate/],
      [
        'a file is not there',
        () => ['--client-cert', at('none.pem'), '--client-key', at('hub.key')],
        /--client-cert .*none\.pem: .*ENOENT/,
      ],
      [
        'they are no pair',
        () => ['--client-cert', at('hub.pem'), '--client-key', at('stranger.key')],
        /hub\.pem with .*stranger\.key: .*mismatch/,
      ],
      [
        'it is no certificate',
        () => ['--client-cert', at('hub.ext'), '--client-key', at('hub.key')],
        /hub\.ext with/,
      ],
    ])('is not even asked where %s', async (_what, more, message) => {
      const { code, err } = await plan(...more())
      expect(code).toBe(2)
      expect(err).toMatch(message)
      expect(err).not.toContain('PRIVATE KEY')
    })

    it('is the only one that is shown it', async () => {
      const args = [
        'crawl',
        'centos',
        '--plan',
        '--mirror',
        `${nginx.url}/content`,
        '--version',
        '9',
        '--json',
      ]
      const { out } = await cli([...args, '--data', at('hub'), ...files('hub'), '--client-ca', at('ca.pem')])
      const { indexes } = JSON.parse(out) as { indexes: { outcome: string }[] }
      expect(indexes.every(({ outcome }) => outcome === 'failed')).toBe(true)
    })
  },
)
