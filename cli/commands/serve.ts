import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { createLog, type Log } from '../../core/log.ts'
import {
  parseTrust,
  type RegistryDeps,
  type ServerOptions,
  startRegistry,
  type Supplier,
} from '../../registry/index.ts'
import type { Store } from '../../store/index.ts'
import { UsageError } from '../exit.ts'
import type { Invocation } from '../main.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { openAccessFile } from '../serve/access-file.ts'
import { effectiveSettings, printSettings, type SaidOptions } from '../serve/effective.ts'
import { openServedStore } from '../serve/open.ts'
import { durationMs, type Effective } from '../serve/settings.ts'
import { withSignedIndex } from '../serve/signed-index.ts'
import { openSuppliers, type SupplierParts } from '../serve/suppliers.ts'

/**
 * `btfhub serve`: the registry, until it is told to stop; what is under way then ends first. SIGHUP opens the access log
 * anew and looks at the catalog, which is looked at several times a second anyway.
 */
export async function serve(said: SaidOptions, invocation: Invocation): Promise<void> {
  const settings = await effectiveSettings(said, invocation.env)
  if (said['printConfig'] === true) return invocation.terminal.out(printSettings(settings))
  const { values } = settings
  const log = createLog(invocation.logLevel)
  const { store, readOnly } = await openServedStore(values.data, values['read-only'], log)
  try {
    const via = `btfhub-${randomUUID()}`
    const suppliers = await suppliersOf(values, readOnly, {
      store,
      log,
      logLevel: invocation.logLevel,
      env: invocation.env,
      via,
    })
    try {
      await withSignedIndex(values, { store, readOnly, log }, (index) =>
        serveStore(store, values, { suppliers, via, index }, { log, readOnly, invocation }),
      )
    } finally {
      await Promise.all(suppliers.map((supplier) => supplier.close()))
    }
  } finally {
    await store.close()
  }
}

async function suppliersOf(
  values: Effective,
  readOnly: boolean,
  parts: SupplierParts,
): Promise<readonly Supplier[]> {
  const wanted = values['on-demand'] !== false || values.upstream.length > 0
  if (!wanted) return []
  if (readOnly) {
    throw new UsageError(`--on-demand and --upstream take BTF in, but ${values.data} takes no writes`)
  }
  return openSuppliers(values, parts)
}

async function serveStore(
  store: Store,
  values: Effective,
  parts: Required<Pick<RegistryDeps, 'suppliers' | 'via' | 'index'>>,
  {
    log,
    readOnly,
    invocation,
  }: { readonly log: Log; readonly readOnly: boolean; readonly invocation: Invocation },
): Promise<void> {
  const { terminal, signal } = invocation
  const file = values['access-log']
  const access = file === undefined ? undefined : await openAccessFile(file)
  const minMaker = createMinMaker(store, log, {
    threads: Math.max(1, availableParallelism() - 1),
    poolFrom: 1,
  })
  const deps: RegistryDeps = {
    catalog: store.catalog,
    blobs: store.blobs,
    log,
    ...parts,
    ...(!readOnly && { makeMinBtfs: (tool, signal) => minMaker.forTool(tool, signal, () => {}) }),
    justInTime: { waitMs: durationMs(values.wait) },
    rates: {
      perSecond: values['rate-limit'],
      workPerSecond: values['rate-limit-work'],
      trust: parseTrust(String(values['trust-proxy'])) ?? { hops: 0 },
    },
    ...(access !== undefined && { access }),
    ...(values['public-url'] !== undefined && { publicUrl: values['public-url'] }),
  }
  try {
    const registry = await startRegistry(deps, serverOptions(values))
    terminal.err(`serving ${values.data} on ${registry.url}`)
    const onHangup = (): void => {
      access?.reopen()
      registry.hub.snapshots.refresh().catch(() => undefined)
    }
    process.on('SIGHUP', onHangup)
    try {
      if (!signal.aborted) await once(signal, 'abort')
    } finally {
      await registry.stop()
      process.off('SIGHUP', onHangup)
    }
  } finally {
    await access?.close()
  }
}

function serverOptions(values: Effective): ServerOptions {
  return {
    host: values.host,
    port: values.port,
    limits: {
      maxConnections: values['max-connections'],
      drainNoticeMs: durationMs(values['drain-notice']),
      drainMs: durationMs(values.drain),
    },
  }
}
