import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { release as hostRelease, tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readHost } from '../client/index.ts'
import { btfhub, type RunningServer, serveCli } from './helpers/cli.ts'
import { putEl7Curl } from './helpers/el7-curl.ts'
import { canLoadBpf, havePrograms } from './helpers/machine.ts'

const HOST_BTF = '/sys/kernel/btf/vmlinux'
const SBIN = { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }
const uname = hostRelease()
/** A kernel whose task_struct has `hub_provide` for `exit_signal`. */
const RENAMED = '6.0.0-renamed'
const tools = (name: string): boolean => havePrograms(name) || havePrograms(`/usr/sbin/${name}`)

describe.skipIf(!canLoadBpf())(
  'programs of others against a running hub (skipped without root or kernel BTF)',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-clients-'))
    const btf = join(dir, 'kernel.btf')
    let server: RunningServer
    let buildId = ''

    beforeAll(async () => {
      buildId = (await readHost()).buildId ?? 'ab'.repeat(20)
      await btfhub(['extract', HOST_BTF, '-o', btf])
      const kernel = `debian/12/x86_64/${uname}`
      const facts = ['--build-id', buildId, '--banner', readFileSync('/proc/version', 'utf8')]
      await btfhub(['import', btf, '--as', kernel, ...facts, '--data', join(dir, 'hub')])
      // bpftrace has more ways to this kernel's own BTF than can be closed, so it is told something else.
      const renamed = readFileSync(btf)
      renamed.write('hub_provide', renamed.indexOf('\0exit_signal\0') + 1)
      writeFileSync(join(dir, 'renamed.btf'), renamed)
      const as = `debian/12/x86_64/${RENAMED}`
      await btfhub(['import', join(dir, 'renamed.btf'), '--as', as, '--data', join(dir, 'hub')])
      server = await serveCli(join(dir, 'hub'))
    })

    afterAll(async () => {
      await server.stop()
      rmSync(dir, { recursive: true, force: true })
    })

    /** `toEqual` takes half a minute for five megabytes. */
    const isKernel = (bytes: Buffer): boolean => bytes.equals(readFileSync(btf))

    /** Runs a program; what it said, if it ended well. */
    function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
      const options = { encoding: 'utf8', env: { ...process.env, ...SBIN, ...env }, timeout: 30_000 } as const
      const { status, stdout, stderr } = spawnSync(command, args, options)
      if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status} ${stderr}`)
      return stdout
    }

    /** The same where the kernel shows no BTF of its own, and debug files are only those that `prepare` puts there. */
    function runHidden(script: string): { readonly status: number | null; readonly output: string } {
      const hide =
        'mount -t tmpfs none /sys/kernel/btf && mkdir -p /usr/lib/debug && mount -t tmpfs none /usr/lib/debug'
      const options = { encoding: 'utf8', env: { ...process.env, ...SBIN }, timeout: 60_000 } as const
      const ran = spawnSync('unshare', ['-m', 'sh', '-c', `${hide} || exit 99; ${script}`], options)
      return { status: ran.status, output: ran.stdout + ran.stderr }
    }

    const get = (...args: readonly string[]): string =>
      `BTFHUB_CACHE=${dir}/cache ${process.execPath} bin/btfhub get --hub ${server.url} ${args.join(' ')}`

    it.skipIf(!havePrograms('debuginfod-find'))(
      'debuginfod-find section ID .BTF (skipped where it is missing)',
      () => {
        const env = { DEBUGINFOD_URLS: server.url, DEBUGINFOD_CACHE_PATH: join(dir, 'debuginfod') }
        const path = run('debuginfod-find', ['section', buildId, '.BTF'], env).trim()
        expect(isKernel(readFileSync(path))).toBe(true)
        expect(() => run('debuginfod-find', ['section', '00'.repeat(20), '.BTF'], env)).toThrow(
          'No such file',
        )
      },
    )

    it.skipIf(!havePrograms('curl'))(
      'curl with the options and the HTTP of CentOS 7 (skipped where it is missing)',
      async () => {
        const curl = await putEl7Curl(dir)
        const url = `${server.url}/v1/btf/${uname}`
        const whole = join(dir, 'curl.btf')
        run(curl, ['-fsSL', '--compressed', '-o', whole, url])
        expect(isKernel(readFileSync(whole))).toBe(true)
        const gz = execFileSync(curl, ['-fsS', `${url}?format=gz`], { maxBuffer: 1 << 28 })
        expect(isKernel(gunzipSync(gz))).toBe(true)
        // -C -: what broke off is gone on with, by Range and If-Range.
        const half = join(dir, 'half.btf')
        execFileSync('sh', ['-c', `head -c 1000000 "$1" >"$2"`, 'sh', whole, half])
        run(curl, ['-fsS', '-C', '-', '-o', half, url])
        expect(isKernel(readFileSync(half))).toBe(true)
        // -z: what is there already is not sent.
        expect(
          run(curl, [
            '-fsS',
            '-z',
            'Fri, 01 Jan 2100 00:00:00 GMT',
            '-w',
            '%{http_code}',
            '-o',
            join(dir, 'z'),
            url,
          ]),
        ).toBe('304')
        const sums = run(curl, ['-fsS', `${server.url}/debian/12/x86_64/${uname}.btf.sha256`])
        execFileSync('sh', ['-c', `cd "$1" && cp kernel.btf "$2.btf" && sha256sum -c`, 'sh', dir, uname], {
          input: sums,
        })
      },
    )

    it.skipIf(!havePrograms('busybox'))('busybox wget (skipped where it is missing)', () => {
      const file = join(dir, 'busybox.btf')
      run('busybox', ['wget', '-q', '-O', file, `${server.url}/debian/12/x86_64/${uname}.btf`])
      expect(isKernel(readFileSync(file))).toBe(true)
      expect(() =>
        run('busybox', ['wget', '-q', '-O', file, `${server.url}/debian/12/x86_64/no.btf`]),
      ).toThrow('404')
    })

    it.skipIf(!havePrograms('wget'))(
      'wget -c goes on where it broke off (skipped where it is missing)',
      () => {
        const file = join(dir, 'wget.btf')
        execFileSync('sh', ['-c', `head -c 1000000 "$1" >"$2"`, 'sh', btf, file])
        run('wget', ['-q', '-c', '-O', file, `${server.url}/v1/btf/${uname}`])
        expect(isKernel(readFileSync(file))).toBe(true)
      },
    )

    it.skipIf(!havePrograms('bpftrace'))(
      'bpftrace reads structs through BPFTRACE_BTF (skipped where it is missing)',
      () => {
        const list = (env: NodeJS.ProcessEnv): string => run('bpftrace', ['-lv', 'struct task_struct'], env)
        expect(list({})).toContain('int exit_signal;')
        const env = { BTFHUB_CACHE: join(dir, 'cache') }
        const args = ['get', RENAMED, '--arch', 'x86_64', '--hub', server.url, '--env']
        const lines = run(process.execPath, ['bin/btfhub', ...args], env)
        const path = /^export BPFTRACE_BTF='(.*)'$/m.exec(lines)?.[1]
        expect(list({ BPFTRACE_BTF: path })).toContain('int hub_provide;')
      },
    )

    it.skipIf(!tools('runqlat') || !havePrograms('unshare'))(
      'runqlat of libbpf-tools runs with what `get --install` put into libbpf’s search path, and not without (skipped where it is missing)',
      () => {
        const without = runHidden('runqlat 1 1')
        expect(without.status).not.toBe(0)
        expect(without.output).toContain('failed to load')
        for (const format of ['raw', 'elf']) {
          const { status, output } = runHidden(`${get('--install', '--format', format)} && runqlat 1 1`)
          expect({ status, output }).toMatchObject({ status: 0 })
          expect(output).toContain(`/usr/lib/debug/boot/vmlinux-${uname}`)
          expect(output).toMatch(/usecs\s+: count\s+distribution/)
        }
      },
    )
  },
)
