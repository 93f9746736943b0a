import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { release as hostRelease, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../core/version.ts'
import { silentLog } from '../core/log.ts'
import { type RunningRegistry, startRegistry } from '../registry/index.ts'
import { addKernel, addTool, compileTool, tinyKernel } from './helpers/registry.ts'
import { havePrograms } from './helpers/machine.ts'
import { openTestStore, type TestStore } from './helpers/store.ts'

describe.skipIf(!havePrograms('clang', 'tar'))(
  'the package, as npm packs it (skipped without clang or tar)',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'btfhub-package-'))
    const installed = join(dir, 'node_modules/btfhub')
    let store: TestStore
    let hub: RunningRegistry

    beforeAll(async () => {
      mkdirSync(installed, { recursive: true })
      const options = { cwd: packageRoot, encoding: 'utf8' } as const
      execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', dir], options)
      const tarball = readdirSync(dir).find((name) => name.endsWith('.tgz')) ?? ''
      execFileSync('tar', ['-xzf', join(dir, tarball), '-C', installed, '--strip-components=1'])
      // What npm would install beside it, from where it is installed already: this test needs no network.
      const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
        dependencies: Record<string, string>
      }
      mkdirSync(join(dir, 'node_modules/@hono'))
      for (const name of [...Object.keys(dependencies), '@types']) {
        symlinkSync(join(packageRoot, 'node_modules', name), join(dir, 'node_modules', name))
      }
      writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
      store = await openTestStore()
      for (const release of [hostRelease(), '6.1.0-47-amd64']) {
        await addKernel(store, {
          kernel: { release },
          btf: tinyKernel(release.length),
          provenance: { buildId: null, banner: null },
        })
      }
      await addTool(store, 'execwatch', '1', compileTool(['pid', 'tgid']))
      hub = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
    })

    afterAll(async () => {
      await hub.stop()
      await store.cleanUp()
      rmSync(dir, { recursive: true })
    })

    it('has what it needs to run, and no tests', () => {
      const files = readdirSync(installed, { recursive: true, encoding: 'utf8' })
      expect(files).toEqual(expect.arrayContaining(['bin/btfhub', 'dist/cli/main.js', 'registry/get.sh']))
      expect(files.filter((name) => /\.test\.|^dist\/(test|bench)/.test(name))).toEqual([])
      const said = execFileSync(process.execPath, [join(installed, 'bin/btfhub'), '--version'], {
        encoding: 'utf8',
      })
      expect(said).toMatch(/^\d+\.\d+\.\d+\n$/)
    })

    it('gives the library with its types: the example of docs/client.md compiles strictly', () => {
      const text = readFileSync(join(packageRoot, 'docs/client.md'), 'utf8')
      writeFileSync(join(dir, 'example.ts'), /```ts\n([^]*?)```/.exec(text)?.[1] ?? '')
      const tsc = join(packageRoot, 'node_modules/.bin/tsc')
      const strict = [
        '--strict',
        '--module',
        'nodenext',
        '--target',
        'es2023',
        '--types',
        'node',
        '--skipLibCheck',
      ]
      const compiled = spawnSync(tsc, [...strict, 'example.ts'], { cwd: dir, encoding: 'utf8' })
      expect(compiled.stdout).toBe('')
    })

    it('and runs against a hub', async () => {
      const env = { ...process.env, BTFHUB_URL: hub.url, BTFHUB_CACHE: join(dir, 'cache') }
      const { stdout, stderr } = await run(['example.js'], env)
      const [mine = '', other = ''] = stdout.trim().split('\n')
      expect(stderr).toBe('')
      expect(readFileSync(mine).readUInt16LE(0)).toBe(0xeb9f)
      expect(other).toMatch(/^\/.*\.btf debian\/12\/x86_64\/6\.1\.0-47-amd64 release hub$/)
      const lost = await run(['example.js', 'no-such-release'], env)
      expect(lost.code).toBe(1)
      expect(lost.stderr).toContain('NOT_FOUND')
    })

    /** Beside this process, in which the hub runs. */
    async function run(
      args: readonly string[],
      env: NodeJS.ProcessEnv,
    ): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
      const child = spawn(process.execPath, args, { cwd: dir, env })
      let [stdout, stderr] = ['', '']
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      const [code] = (await once(child, 'close')) as [number | null]
      return { code, stdout, stderr }
    }
  },
)
