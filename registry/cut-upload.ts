import type { Context } from 'hono'
import type { Format } from './api.ts'
import { type Found, find, type Wanted } from './find.ts'
import { formOfMade } from './forms.ts'
import type { Hub } from './hub.ts'
import { toObjectSet } from './object-mins.ts'
import { answerWith } from './routes/btf-answer.ts'
import type { Env } from './sender.ts'
import { readObjects } from './uploads.ts'

/**
 * Answers a POST of BPF objects with their min BTF for the kernel that is described: what /v1/minimize and
 * btfhub-online's customize share. Nothing of it is stored. Throws what {@link readObjects} and {@link find} throw.
 */
export async function cutUpload(
  hub: Hub,
  c: Context<Env>,
  wanted: Omit<Wanted, 'tool' | 'cut'>,
  format: Format,
): Promise<Response> {
  const set = toObjectSet(await readObjects(c))
  const found: Found = await find(hub, { ...wanted, cut: (btf) => hub.objectMins.get(set, btf) })
  const content = await formOfMade(found.btf, found.build.kernel, format)
  // The answer depends on a body: it is neither this URL's nor is it kept in other encodings.
  const answer = { ...answerWith(found, content, format), encodable: false, snapshotId: null }
  const response = await hub.sender.send(c, answer)
  response.headers.set('Cache-Control', 'no-store')
  return response
}
