import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startCli } from '../helpers/cli.ts'
import { nightly } from '../helpers/nightly.ts'
import { watchPeakMemory } from '../helpers/peak-memory.ts'
import { missingFleetTool, openFleet } from './fleet.ts'
import { addFillers, fillersFor } from './large-index.ts'
import { startNginx } from './servers.ts'

const missing = missingFleetTool()

describe.skipIf(!nightly || missing !== null)(
  `an index of 200 MB (in make nightly; needs ${missing ?? 'nothing'} more)`,
  () => {
    it(
      'is read by a whole crawl in less than 300 MB of memory, from a web server to the plan',
      { timeout: 300_000 },
      async () => {
        const work = mkdtempSync(join(tmpdir(), 'btfhub-large-'))
        onTestFinished(() => rmSync(work, { recursive: true, force: true }))
        const fleet = await openFleet()
        const root = join(work, 'root')
        for (const part of ['centos-vault', 'centos-debuginfo']) {
          cpSync(join(fleet.root, part), join(root, part), { recursive: true })
        }
        const repo = join(root, 'centos-vault/7.9.2009/updates/x86_64')
        const bytes = await addFillers(repo, fillersFor(200_000_000))
        expect(bytes).toBeGreaterThan(200_000_000)
        const nginx = await startNginx(root, work)
        onTestFinished(() => nginx.close())

        const mirror = ['--mirror', `${nginx.url}/centos-vault`]
        const scope = ['--version', '7', '--arch', 'x86_64', '--plan', '--json']
        const crawl = startCli(['crawl', 'centos', ...scope, ...mirror, '--data', join(work, 'hub')])
        const peak = watchPeakMemory(crawl)
        let stdout = ''
        crawl.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
        const [code] = (await once(crawl, 'close')) as [number | null]
        expect(code).toBe(0)
        expect((JSON.parse(stdout) as { packages: object[] }).packages).toHaveLength(3)
        expect(peak()).toBeGreaterThan(50_000_000)
        expect(peak()).toBeLessThan(300_000_000)
      },
    )
  },
)
