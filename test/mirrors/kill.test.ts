import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { readdir, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../store/index.ts'
import { btfhub, runCli, startCli } from '../helpers/cli.ts'
import { nightly } from '../helpers/nightly.ts'
import { type Fleet, fleetArgs, missingFleetTool, openFleet } from './fleet.ts'
import { hubFaults, type HubState, hubState } from './hub-state.ts'
import { type FileServer, startNginx } from './servers.ts'

const missing = missingFleetTool()
const KILLS = nightly ? 50 : 12
/** Kills of one hub's crawls before it is let finish: later ones would hit nothing but the last steps. */
const KILLS_PER_HUB = 6

describe.skipIf(missing !== null)(
  `crawls of all test mirrors that are killed (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-killed-'))
    let fleet: Fleet
    let nginx: FileServer
    let undisturbed: HubState
    /** What that crawl took: the others are killed at any point of it. */
    let wholeMs: number

    beforeAll(async () => {
      fleet = await openFleet()
      nginx = await startNginx(fleet.root, work)
      const data = join(work, 'undisturbed')
      const started = Date.now()
      await btfhub([...fleetArgs(nginx.url, fleet.root), '--data', data])
      wholeMs = Date.now() - started
      undisturbed = await stateOf(data)
      expect(undisturbed.builds).toHaveLength(fleet.kernels.length)
    })
    afterAll(async () => {
      await nginx.close()
      rmSync(work, { recursive: true, force: true })
    })

    /** What is in a hub; that it is nothing wrong and nothing half is checked on the way. */
    async function stateOf(data: string): Promise<HubState> {
      const store = await openStore(data)
      try {
        const faults = await hubFaults(store, fleet)
        // What a killed process had not put yet, and blobs that the catalog never heard of, are only waste.
        expect(faults.filter((fault) => !/^(?:orphans|temp):/.test(fault))).toEqual([])
        return await hubState(store)
      } finally {
        await store.close()
      }
    }

    async function tempFiles(data: string): Promise<string[]> {
      const files = await readdir(data, { recursive: true, withFileTypes: true })
      return files
        .filter((file) => file.isFile() && file.name.includes('.tmp'))
        .map((file) => join(file.parentPath, file.name))
    }

    /** A dead process's files are left alone for ten minutes, lest it lives on in another container. */
    async function letAge(data: string): Promise<void> {
      const then = new Date(Date.now() - 11 * 60_000)
      for (const path of await tempFiles(data)) await utimes(path, then, then)
    }

    it(
      `end as one that is not, after ${KILLS} kills at random points`,
      { timeout: KILLS * 60_000 },
      async () => {
        let kills = 0
        for (let hub = 0; kills < KILLS; hub++) {
          const data = join(work, `hub-${hub}`)
          // A crawl that ends before its time leaves nothing to kill: the next hub's turn.
          for (let i = 0; i < KILLS_PER_HUB && kills < KILLS; i++, kills++) {
            const crawl = startCli([...fleetArgs(nginx.url, fleet.root), '--data', data])
            const ended = once(crawl, 'close')
            await Promise.race([ended, sleep(Math.random() * wholeMs)])
            const wasKilled = crawl.kill('SIGKILL')
            await ended
            if (!wasKilled) break
            // Before the first crawl got so far there is no hub yet.
            if (existsSync(join(data, 'catalog.sqlite'))) {
              const { builds } = await stateOf(data)
              for (const build of builds) expect(undisturbed.builds).toContainEqual(build)
            }
          }
          await btfhub([...fleetArgs(nginx.url, fleet.root), '--data', data])
          expect(await stateOf(data)).toEqual(undisturbed)
          expect((await runCli(['verify', '--data', data])).stdout).toMatch(/^sound/m)
          await letAge(data)
          await btfhub([...fleetArgs(nginx.url, fleet.root), '--data', data])
          expect(await tempFiles(data)).toEqual([])
          expect(await stateOf(data)).toEqual(undisturbed)
        }
      },
    )
  },
)
