import { setTimeout as sleep } from 'node:timers/promises'
import { withLock } from './lock.ts'

/** Takes the lock `crawl` of a data folder, prints `held`, and keeps it until it is killed. */
await withLock(process.argv[2] ?? '', 'crawl', async () => {
  process.stdout.write('held\n')
  await sleep(60_000)
})
