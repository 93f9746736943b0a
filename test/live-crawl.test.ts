import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runCli } from './helpers/cli.ts'
import { nightly } from './helpers/nightly.ts'

interface Report {
  readonly builds: readonly { readonly outcome: string }[]
  readonly known: number
  readonly requests: number
  readonly bytes: number
}

const CLOUD = [
  '--version',
  '12',
  '--version',
  '13',
  '--arch',
  'x86_64',
  '--release',
  '-cloud-',
  '--newest',
  '1',
]

describe.skipIf(!nightly)('the Debian mirror of this machine, two nights in a row (in make nightly)', () => {
  const data = mkdtempSync(join(tmpdir(), 'btfhub-nights-'))
  afterAll(() => rmSync(data, { recursive: true, force: true }))

  it(
    'costs the second night less than a hundredth of the first (skipped where no mirror answers)',
    { timeout: 600_000 },
    async (context) => {
      const crawl = async (): Promise<Report | null> => {
        const { code, stdout } = await runCli(['crawl', 'debian', ...CLOUD, '--json', '--data', data])
        return code === 0 ? (JSON.parse(stdout) as Report) : null
      }
      const first = await crawl()
      if (first === null) context.skip('no Debian mirror answers')
      expect(first?.builds.filter(({ outcome }) => outcome === 'embedded').length).toBeGreaterThanOrEqual(2)
      const second = await crawl()
      expect(second).toMatchObject({ builds: [], known: first?.builds.length })
      expect(second?.bytes).toBeLessThan((first?.bytes ?? 0) / 100)
    },
  )
})
