import { once } from 'node:events'
import { startRegistry } from '../../registry/index.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'

export interface ServeOptions {
  readonly data: string
  readonly host: string
  readonly port: number
  readonly publicUrl?: string
}

/** `btfhub serve`: the registry, until it is told to stop; what is under way then ends first. */
export async function serve(options: ServeOptions, invocation: Invocation): Promise<void> {
  const { terminal, signal } = invocation
  await withStore({ data: options.data }, invocation, async (store, log) => {
    const registry = await startRegistry(
      {
        catalog: store.catalog,
        blobs: store.blobs,
        log,
        ...(options.publicUrl !== undefined && { publicUrl: options.publicUrl }),
      },
      { host: options.host, port: options.port },
    )
    terminal.err(`serving ${options.data} on ${registry.url}`)
    try {
      if (!signal.aborted) await once(signal, 'abort')
    } finally {
      await registry.stop()
    }
  })
}
