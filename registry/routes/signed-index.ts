import { Hono } from 'hono'
import { memoryContent } from '../content.ts'
import { RegistryError } from '../errors.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'

const UNSIGNED =
  'this hub has no key to sign an index with: `btfhub key generate` on its data folder makes one, which is used at once'

/** `/v1/index.json`: what all that this hub has is vouched for by, docs/export.md. */
export function signedIndexRoutes(hub: Hub): Hono<Env> {
  return new Hono<Env>().get('/v1/index.json', (c) => {
    const current = hub.index?.current() ?? 'unsigned'
    if (current === 'unsigned') throw new RegistryError('NOT_FOUND', UNSIGNED)
    if (current === 'making') {
      throw new RegistryError('UNAVAILABLE', 'the first signed index is being made', {
        headers: { 'Retry-After': '1' },
      })
    }
    return hub.sender.send(c, {
      content: memoryContent(current.text),
      type: 'application/json',
      btf: null,
      kernel: null,
      match: null,
      origin: null,
      lastModified: current.createdAt,
      immutable: false,
      volatile: true,
      encodable: false,
      snapshotId: null,
    })
  })
}
