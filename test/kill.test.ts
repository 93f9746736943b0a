import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { btfhub, runCli, startCli } from './helpers/cli.ts'

const KILLS = 10
const CRAWL = [
  'crawl',
  'debian',
  '--version',
  '12',
  '--version',
  '13',
  '--arch',
  'x86_64',
  '--release',
  '-cloud-',
  '--newest',
  '2',
]

interface Report {
  readonly builds: readonly { readonly outcome: string }[]
  readonly known: number
  readonly bytes: number
  readonly requests: number
}

/** Whether the machine's own mirror of Debian offers anything; a plan reads indexes only. */
async function mirrorAnswers(data: string): Promise<boolean> {
  const { code, stdout } = await runCli([...CRAWL, '--plan', '--json', '--data', data])
  return code === 0 && (JSON.parse(stdout) as { packages: object[] }).packages.length >= 4
}

describe('a crawl of the machine’s Debian mirror that is killed again and again', () => {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-kill-'))
  const data = join(dir, 'hub')
  let reachable = false

  beforeAll(async () => {
    reachable = await mirrorAnswers(join(dir, 'plan'))
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it(
    `completes after ${KILLS} kills at random points, and nothing is lost or wrong (skipped where no mirror answers)`,
    { timeout: 300_000 },
    async (context) => {
      if (!reachable) context.skip('no Debian mirror answers')
      for (let i = 0; i < KILLS; i++) {
        const crawl = startCli([...CRAWL, '--data', data])
        const ended = once(crawl, 'close')
        await sleep(300 + Math.random() * 2500)
        crawl.kill('SIGKILL')
        await ended
        const { code, stdout } = await runCli(['verify', '--data', data])
        // Before the first crawl got so far there is no hub to verify yet.
        expect([stdout, code === 0 || !stdout.includes('NOT SOUND')]).toEqual([stdout, true])
      }
      const last = JSON.parse(await btfhub([...CRAWL, '--json', '--data', data])) as Report
      expect(last.builds.filter((build) => build.outcome === 'failed')).toEqual([])
      expect(await btfhub(['verify', '--data', data])).toMatch(/^sound/m)

      const kernels = JSON.parse(await btfhub(['list', '--json', '--data', data])) as object[]
      expect(kernels.length).toBe(last.builds.length + last.known)

      // One more run of the same crawl asks for indexes, and for nothing else.
      const again = JSON.parse(await btfhub([...CRAWL, '--json', '--data', data])) as Report
      expect(again.builds).toEqual([])
      expect(again.known).toBe(kernels.length)
      expect(again.bytes).toBeLessThan(3_000_000)
    },
  )
})
