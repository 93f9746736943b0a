import { type Context, Hono } from 'hono'
import { archiveArch } from '../../core/kernel.ts'
import type { Asked } from '../../core/resolve/facts.ts'
import { cutUpload } from '../cut-upload.ts'
import { find } from '../find.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { btfAnswer } from './btf-answer.ts'

/**
 * The three endpoints of seekret's btfhub-online, with its parameters and `tar.xz` answers (facts: DataDog/btfhub-online
 * cmd/btfserver). What it answered with 500 for a kernel that it had not is 404 here.
 */
export function btfhubOnlineRoutes(hub: Hub): Hono<Env> {
  return new Hono<Env>()
    .get('/api/v1/list', async (c) => {
      const { kernels } = await hub.snapshots.get()
      return c.json(
        kernels.entries.map(({ kernel }) => ({
          distribution: kernel.distro,
          distribution_version: kernel.version,
          kernel_version: kernel.release,
          arch: archiveArch(kernel.arch),
        })),
      )
    })
    .get('/api/v1/download', async (c) => {
      const found = await find(hub, { kernel: askedIn(c), assumedArch: 'x86_64' })
      return hub.sender.send(c, await btfAnswer(hub, found, 'tar.xz'))
    })
    .post('/api/v1/customize', (c) =>
      cutUpload(hub, c, { kernel: askedIn(c), assumedArch: 'x86_64' }, 'tar.xz'),
    )
}

function askedIn(c: Context<Env>): Asked {
  return {
    distro: c.req.query('distribution'),
    version: c.req.query('distribution_version'),
    release: c.req.query('kernel_version'),
    arch: c.req.query('arch'),
  }
}
