import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { describeError } from '../../core/errors.ts'
import { KernelNameError } from '../../core/kernel.ts'
import type { Log } from '../../core/log.ts'
import { FactsError } from '../../core/resolve/types.ts'
import { StoreError } from '../../store/types.ts'
import type { Problem, ProblemCode } from '../api.ts'
import { RegistryError } from '../errors.ts'
import type { Env } from '../sender.ts'

/** The status and the title of each code; nowhere else is a status of a failure decided. */
const PROBLEMS: Readonly<Record<ProblemCode, readonly [status: number, title: string]>> = {
  BAD_REQUEST: [400, 'The request makes no sense'],
  CONTRADICTION: [400, 'The facts exclude each other'],
  NOT_FOUND: [404, 'Not here'],
  UNAUTHORIZED: [401, 'Who asks is not known'],
  FORBIDDEN: [403, 'Not allowed'],
  NO_ROUTE: [404, 'No such path'],
  METHOD_NOT_ALLOWED: [405, 'This path takes other methods'],
  AMBIGUOUS: [409, 'Several different kernels match'],
  CONFLICT: [409, 'Something else is there'],
  PRECONDITION_FAILED: [412, 'The precondition does not hold'],
  TOO_LARGE: [413, 'The request is too large'],
  UNSUPPORTED_MEDIA: [415, 'The body is of the wrong type'],
  RANGE_NOT_SATISFIABLE: [416, 'There are no such bytes'],
  TOOL_UNFIT: [422, 'No min BTF can be made of this'],
  RATE_LIMITED: [429, 'Too many requests'],
  READ_ONLY: [403, 'This hub takes no writes'],
  PENDING: [503, 'Not yet'],
  BUSY: [503, 'Too much to do'],
  UNAVAILABLE: [503, 'Not now'],
  INTERNAL: [500, 'A defect of this hub'],
}

/** After how many seconds to ask again, where that helps. */
const RETRY_AFTER: Partial<Record<ProblemCode, string>> = { BUSY: '5', UNAVAILABLE: '30' }

const BY_STATUS: Readonly<Record<number, ProblemCode>> = { 413: 'TOO_LARGE', 415: 'UNSUPPORTED_MEDIA' }

/** Turns whatever a route threw into problem details (RFC 9457). What nobody foresaw is logged and not told. */
export function problemResponse(err: unknown, c: Context<Env>, log: Log): Response {
  const known = toRegistryError(err)
  if (known !== err && (known.code === 'INTERNAL' || known.code === 'UNAVAILABLE')) {
    log.error({ path: c.req.path, err: describeError(err), stack: (err as Error).stack }, 'a request failed')
  }
  const [refused, title] = PROBLEMS[known.code]
  const status = known.code === 'PENDING' && takesAccepted(c) ? 202 : refused
  const problem: Problem = {
    type: `urn:btfhub:problem:${known.code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail: known.message,
    instance: c.req.path,
    code: known.code,
    ...known.facts,
  }
  const retryAfter = RETRY_AFTER[known.code]
  const body = `${JSON.stringify(problem, null, 2)}\n`
  return new Response(body, {
    status,
    headers: {
      'Content-Type': 'application/problem+json',
      'Content-Length': String(Buffer.byteLength(body)),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(retryAfter === undefined ? {} : { 'Retry-After': retryAfter }),
      ...known.headers,
    },
  })
}

/**
 * Whether "accepted, not done yet" is understood as that: by who asks for JSON, and by who says so (RFC 7240 4.1).
 * `curl -f` and old agents would save a 202 as the BTF that they asked for.
 */
function takesAccepted(c: Context<Env>): boolean {
  return c.req.path === '/v1/resolve' || /(?:^|[,\s])respond-async\b/i.test(c.req.header('prefer') ?? '')
}

function toRegistryError(err: unknown): RegistryError {
  if (err instanceof RegistryError) return err
  if (err instanceof FactsError) return new RegistryError(err.code, err.message)
  if (err instanceof KernelNameError) return new RegistryError('BAD_REQUEST', err.message)
  if (err instanceof HTTPException) {
    const message = err.message === '' ? 'expected another request' : err.message
    return new RegistryError(
      BY_STATUS[err.status] ?? (err.status < 500 ? 'BAD_REQUEST' : 'INTERNAL'),
      message,
    )
  }
  if (err instanceof StoreError) {
    if (err.code === 'READ_ONLY')
      return new RegistryError('READ_ONLY', 'the store of this hub is not written to')
    // The catalog has it, the bytes are gone or damaged: that is not "not here".
    return err.code === 'BUSY'
      ? new RegistryError('BUSY', 'the store is busy')
      : new RegistryError('UNAVAILABLE', 'the store cannot be read; the log has more')
  }
  return new RegistryError('INTERNAL', 'the log has more')
}
