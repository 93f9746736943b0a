import type { Context, MiddlewareHandler } from 'hono'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import { limits } from '../core/limits.ts'
import { RegistryError } from './errors.ts'
import type { Env } from './sender.ts'

/** A BPF object that somebody sent. */
export interface UploadedObject {
  /** What the sender calls it, for messages only. */
  readonly name: string
  readonly digest: Sha256
  readonly bytes: Uint8Array
}

/** Form fields that hold objects: ours, and the one of btfhub-online. */
const FIELDS: readonly string[] = ['object', 'bpf']

/**
 * Bounds requests with objects in their bodies: how large one is, how many there are at a time, and what all of them
 * hold in memory. What is held is what has come: who sends slowly keeps nobody out. Throws RegistryError `BUSY` and
 * `TOO_LARGE`. One for all routes that take objects.
 */
export function boundUploads(): MiddlewareHandler<Env> {
  let underWay = 0
  let heldBytes = 0
  const { maxUploadBytes, maxUploads, maxHeldUploadBytes } = limits.request
  return async (c, next) => {
    if (underWay >= maxUploads) throw new RegistryError('BUSY', `${maxUploads} uploads are being worked on`)
    if (Number(c.req.header('content-length') ?? 0) > maxUploadBytes) throw tooLarge()
    underWay++
    let ownBytes = 0
    const hold = (bytes: number): void => {
      if (ownBytes + bytes > maxUploadBytes) throw tooLarge()
      if (heldBytes + bytes > maxHeldUploadBytes)
        throw new RegistryError('BUSY', 'too many uploads at a time')
      ownBytes += bytes
      heldBytes += bytes
    }
    try {
      const { body, headers, method, signal } = c.req.raw
      if (body !== null) {
        const counted = { body: body.pipeThrough(counting(hold)), duplex: 'half', headers, method, signal }
        c.req.raw = new Request(c.req.url, counted as RequestInit)
      }
      await next()
    } finally {
      underWay--
      heldBytes -= ownBytes
    }
  }
}

function counting(hold: (bytes: number) => void): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(chunk, controller) {
      hold(chunk.byteLength)
      controller.enqueue(chunk)
    },
  })
}

function tooLarge(): RegistryError {
  return new RegistryError('TOO_LARGE', `the body has more than ${limits.request.maxUploadBytes} bytes`)
}

/**
 * The objects in a `multipart/form-data` body. Throws RegistryError `UNSUPPORTED_MEDIA` for another body, `BAD_REQUEST`
 * for one that is malformed, has no object or something else, `TOO_LARGE` for too many.
 */
export async function readObjects(c: Context<Env>): Promise<readonly UploadedObject[]> {
  if (!/^multipart\/form-data\s*;/i.test(c.req.header('content-type') ?? '')) {
    throw new RegistryError('UNSUPPORTED_MEDIA', 'expected multipart/form-data with BPF objects as `object`')
  }
  const objects: UploadedObject[] = []
  for (const [field, value] of await readForm(c)) {
    if (!FIELDS.includes(field) || typeof value === 'string') {
      const shown = JSON.stringify(field.slice(0, limits.request.maxNameLength))
      throw new RegistryError('BAD_REQUEST', `form field ${shown}: expected files as \`object\``)
    }
    if (objects.length >= limits.request.maxUploadObjects) {
      throw new RegistryError('TOO_LARGE', `more than ${limits.request.maxUploadObjects} objects`)
    }
    const bytes = new Uint8Array(await value.arrayBuffer())
    const name = value.name.slice(0, limits.request.maxNameLength)
    objects.push({ name, digest: sha256Of(bytes), bytes })
  }
  if (objects.length === 0) throw new RegistryError('BAD_REQUEST', 'no form field `object`')
  return objects
}

async function readForm(c: Context<Env>): Promise<FormData> {
  try {
    return await c.req.raw.formData()
  } catch (err) {
    // What bounds the body threw, through the parser.
    if (err instanceof RegistryError) throw err
    throw new RegistryError('BAD_REQUEST', 'the body is no well-formed multipart/form-data', { cause: err })
  }
}
