import { parseSha256, sha256Of, type Sha256 } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { header, Match } from '../registry/api.ts'
import { ClientError } from './errors.ts'
import type { Body, HubConnection } from './hub.ts'
import { type KernelQuery, toSearch } from './query.ts'
import { checkBtf } from './verify.ts'

/** A BPF object; the name is for messages only. */
export interface NamedObject {
  readonly name: string
  readonly bytes: Uint8Array
}

interface CutByHub {
  readonly bytes: Uint8Array
  readonly digest: Sha256
  readonly kernel: string
  readonly match: Match
  readonly origin: string
}

/**
 * Has a hub cut min BTF for objects (`POST /v1/minimize`). Throws ClientError `BAD_REQUEST` where an object or the query
 * is not fit for that, `UNVERIFIED` where what came is not what the hub says it is, and what resolving throws.
 */
export async function cutByHub(
  hub: HubConnection,
  query: KernelQuery,
  objects: readonly NamedObject[],
  signal: AbortSignal,
): Promise<CutByHub> {
  if (query.tool !== undefined) throw new ClientError('BAD_REQUEST', 'minimize: expected objects, not a tool')
  const search = toSearch(query)
  if (query.release !== undefined) search.set('release', query.release)
  const size = { atMost: limits.btf.maxBytes }
  const path = `/v1/minimize?${search.toString()}`
  const { bytes, header: said } = await hub.bytes(path, size, signal, await formOf(objects))
  const digest = parseSha256(said(header.digest) ?? '')
  const got = sha256Of(bytes)
  if (digest !== got) {
    throw new ClientError('UNVERIFIED', `${hub.url}: sha256 is ${got}, the hub says ${digest ?? 'none'}`)
  }
  checkBtf(hub.url, bytes)
  const match = Match.safeParse(said(header.match))
  const kernel = said(header.kernel)
  const origin = said(header.origin)
  if (!match.success || kernel === null || origin === null) {
    throw new ClientError('UNAVAILABLE', `${hub.url}: the answer does not say what it is`)
  }
  return { bytes, digest, kernel, match: match.data, origin }
}

/** `multipart/form-data`, encoded once so that every try sends the same bytes. */
export async function formOf(objects: readonly NamedObject[]): Promise<Body> {
  const form = new FormData()
  for (const { name, bytes } of objects) form.append('object', new Blob([new Uint8Array(bytes)]), name)
  const encoded = new Response(form)
  return {
    type: encoded.headers.get('content-type') ?? '',
    bytes: new Uint8Array(await encoded.arrayBuffer()),
  }
}
