import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import type { Context } from 'hono'
import { parseSha256, type Sha256 } from '../../core/digest.ts'
import { blobContent } from '../content.ts'
import { RegistryError } from '../errors.ts'
import { mediaTypes } from '../forms.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { bytes, describedRoutes, problems } from './open-api.ts'

const getBlob = createRoute({
  method: 'get',
  path: '/v1/blobs/sha256/{digest}',
  summary: 'Bytes by their sha256, for ever the same.',
  request: { params: z.object({ digest: z.string().max(1024) }) },
  responses: { 200: { description: 'The bytes.', content: bytes }, ...problems },
})

/** `/v1/blobs/sha256/{digest}`. */
export function blobRoutes(hub: Hub): OpenAPIHono<Env> {
  return describedRoutes().openapi(getBlob, async (c) => {
    const text = c.req.valid('param').digest
    const digest = parseSha256(text)
    if (digest === null)
      throw new RegistryError('BAD_REQUEST', `digest ${JSON.stringify(text)}: expected 64 hex digits`)
    const stored = await hub.blobs.stat(digest)
    const content = stored === null ? hub.minBtfs.kept(digest) : blobContent(hub.blobs, stored)
    if (content === null) return sendDocument(hub, c, digest)
    const snapshot = await hub.snapshots.get()
    const build = snapshot.kernels.withDigest(digest)[0]
    return hub.sender.send(c, {
      content,
      type: mediaTypes.raw,
      btf: build === undefined ? null : digest,
      kernel: build?.kernel ?? null,
      match: 'digest',
      origin: build?.provenance.origin ?? null,
      lastModified: build === undefined ? (stored?.storedAt ?? null) : new Date(build.provenance.createdAt),
      immutable: true,
      encodable: true,
      snapshotId: snapshot.id,
    })
  })
}

/** A document of the signed index: those are in no store, because they are replaced all the time. */
async function sendDocument(hub: Hub, c: Context<Env>, digest: Sha256): Promise<Response> {
  const document = (await hub.index?.document(digest)) ?? null
  if (document === null) throw new RegistryError('NOT_FOUND', `no blob ${digest}`)
  return hub.sender.send(c, {
    content: document.plain,
    gzip: document.gzip,
    type: 'application/json',
    btf: null,
    kernel: null,
    match: 'digest',
    origin: null,
    lastModified: null,
    immutable: true,
    encodable: false,
    snapshotId: null,
  })
}
