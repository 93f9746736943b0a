import { limits } from '../core/limits.ts'
import { ToolProgress } from '../registry/api.ts'
import { ClientError } from './errors.ts'
import { HubConnection, type HubOptions } from './hub.ts'
import { formOf, type NamedObject } from './minimize.ts'

export interface PushOptions extends HubOptions {
  readonly hub: string
  /** The secret of a token. */
  readonly secret: string
  readonly signal: AbortSignal
}

/**
 * Registers objects as a version of a tool (`PUT /v1/tools/{tool}/{version}`), and tells how far its min BTF are. Throws
 * ClientError `REFUSED` where the token does not allow it or the version is another tool's already, and what asking throws.
 */
export async function pushTool(
  tool: { readonly name: string; readonly version: string; readonly objects: readonly NamedObject[] },
  options: PushOptions,
): Promise<ToolProgress> {
  const hub = new HubConnection(options.hub, options)
  try {
    const path = `/v1/tools/${encodeURIComponent(tool.name)}/${encodeURIComponent(tool.version)}`
    const body = {
      ...(await formOf(tool.objects)),
      method: 'PUT' as const,
      authorization: `Bearer ${options.secret}`,
    }
    const { bytes } = await hub.bytes(path, { atMost: limits.request.maxJsonBytes }, options.signal, body)
    const parsed = ToolProgress.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')))
    if (parsed.success) return parsed.data
    throw new ClientError('UNAVAILABLE', `${hub.url}: the answer is not one of a hub`)
  } finally {
    await hub.close()
  }
}
