import { OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { except } from 'hono/combine'
import { limits } from '../core/limits.ts'
import { hubVersion } from '../core/version.ts'
import { RegistryError } from './errors.ts'
import { logAccess } from './access-log.ts'
import type { Hub } from './hub.ts'
import { problemResponse } from './middleware/errors.ts'
import { countRequests } from './middleware/count.ts'
import { noRoute } from './middleware/methods.ts'
import { limitRate } from './rate-limit.ts'
import { agentNameRoutes } from './routes/agent-names.ts'
import { archiveRoutes } from './routes/archive.ts'
import { blobRoutes } from './routes/blobs.ts'
import { btfRoutes } from './routes/btf.ts'
import { bundleRoutes } from './routes/bundle.ts'
import { checkRoutes } from './routes/check.ts'
import { btfhubOnlineRoutes } from './routes/btfhub-online.ts'
import { coverageRoutes } from './routes/coverage.ts'
import { coolbpfRoutes } from './routes/coolbpf.ts'
import { debuginfodRoutes } from './routes/debuginfod.ts'
import { describePlainRoutes } from './routes/described.ts'
import { getShRoutes } from './routes/get-sh.ts'
import { healthRoutes } from './routes/health.ts'
import { homeRoutes } from './routes/home.ts'
import { kernelRoutes } from './routes/kernels.ts'
import { metricsRoutes } from './routes/metrics.ts'
import { minimizeRoutes } from './routes/minimize.ts'
import { putToolRoutes } from './routes/put-tool.ts'
import { resolveRoutes } from './routes/resolve.ts'
import { signedIndexRoutes } from './routes/signed-index.ts'
import { tarCatalogRoutes } from './routes/tar-catalog.ts'
import { toolRoutes } from './routes/tools.ts'
import { typeRoutes } from './routes/types.ts'
import type { Env } from './sender.ts'
import { boundUploads } from './uploads.ts'

/** Where btfhub's layout is served: at the root, as GitHub serves btfhub-archive, and as Datadog's agents ask. */
const ARCHIVE_ROOTS = ['/', '/aquasecurity/btfhub-archive/raw/main', '/btfs'] as const

/** Paths that take BPF objects. */
const UPLOADS = ['/v1/minimize', '/v1/check', '/api/v1/customize'] as const

/** All routes of a registry (DESIGN 6), without listening: a server or a test gives it requests. */
export function createApp(hub: Hub): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>()
  app.onError((err, c) => problemResponse(err, c, hub.log))
  app.notFound((c) => problemResponse(noRoute(app, c), c, hub.log))
  if (hub.access !== undefined) app.use(logAccess(hub.access, hub.limiter))
  app.use(countRequests(hub.metrics))
  app.use(limitRate(hub.limiter, hub.metrics))
  const uploads = boundUploads()
  for (const path of UPLOADS) app.use(path, uploads)
  app.use('/v1/*', except([...UPLOADS, '/v1/tools/*'], boundJson()))
  for (const routes of [
    btfRoutes,
    blobRoutes,
    kernelRoutes,
    coverageRoutes,
    resolveRoutes,
    toolRoutes,
    bundleRoutes,
    typeRoutes,
    // After the bundle, whose path looks like a version's.
    putToolRoutes,
    minimizeRoutes,
    checkRoutes,
  ]) {
    app.route('/', routes(hub))
  }
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' })
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'btfhub', version: hubVersion, description: 'Kernel BTF by release.' },
  })
  for (const routes of [
    healthRoutes,
    metricsRoutes,
    getShRoutes,
    homeRoutes,
    debuginfodRoutes,
    coolbpfRoutes,
    agentNameRoutes,
    btfhubOnlineRoutes,
    tarCatalogRoutes,
    signedIndexRoutes,
  ]) {
    app.route('/', routes(hub))
  }
  for (const root of ARCHIVE_ROOTS) app.route(root, archiveRoutes(hub))
  describePlainRoutes(app)
  return app
}

function boundJson(): MiddlewareHandler<Env> {
  return bodyLimit({
    maxSize: limits.request.maxJsonBytes,
    onError: () => {
      throw new RegistryError('TOO_LARGE', `the body has more than ${limits.request.maxJsonBytes} bytes`)
    },
  })
}
