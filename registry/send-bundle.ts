import type { Context } from 'hono'
import type { Hub } from './hub.ts'
import type { Bundle } from './make-bundle.ts'
import type { Env } from './sender.ts'

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  'tar.gz': 'application/gzip',
  'tar.xz': 'application/x-xz',
}

/** Answers with a bundle, and says how many names and kernels are not in it. `name`: of the file, without its ending. */
export async function sendBundle(hub: Hub, c: Context<Env>, bundle: Bundle, name: string): Promise<Response> {
  const response = await hub.sender.send(c, {
    content: bundle,
    type: MEDIA_TYPES[bundle.ending] ?? 'application/octet-stream',
    btf: null,
    kernel: null,
    match: null,
    origin: null,
    lastModified: null,
    immutable: false,
    encodable: false,
    snapshotId: null,
  })
  response.headers.set('Content-Disposition', `attachment; filename="${name}.${bundle.ending}"`)
  response.headers.set('Btfhub-Left-Out', String(bundle.leftOut))
  response.headers.set('Btfhub-Unfit', String(bundle.unfit))
  return response
}
