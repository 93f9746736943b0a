import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { z } from 'zod'
import type { Env } from '../sender.ts'
import { bytes, problems } from './open-api.ts'

/** A path that is older than this hub: what it takes and gives is somebody else's word, told here for people. */
interface Described {
  readonly path: string
  readonly method?: 'get' | 'post'
  readonly summary: string
  /** Media type of the answer; bytes where it is not said. */
  readonly gives?: string
  readonly query?: readonly string[]
}

const text = 'text/plain'
const json = 'application/json'
const facts = ['distribution', 'distribution_version', 'kernel_version', 'arch'] as const

const ROUTES: readonly Described[] = [
  ...['', '/aquasecurity/btfhub-archive/raw/main', '/btfs'].map((root) => ({
    path: `${root}/{distro}/{version}/{arch}/{file}`,
    summary:
      "btfhub-archive's layout: {release}.btf, .btf.gz, .btf.xz, .btf.tar.xz or .elf, each also with .sha256 at the end.",
  })),
  {
    path: '/coolbpf/btf/{arch}/{file}',
    summary: "OpenAnolis' layout: vmlinux-{release}, raw BTF; with .elf as ELF.",
  },
  { path: '/metadata/{file}', summary: "Tetragon's name: vmlinux-{release}, raw BTF.", query: ['arch'] },
  {
    path: '/usr/lib/btf/{file}',
    summary: "deepflow's name: vmlinux-{release}.btf, raw BTF.",
    query: ['arch'],
  },
  { path: '/buildid/{id}/section/.BTF', summary: "debuginfod's path: raw BTF by build-id." },
  { path: '/api/v1/list', summary: "btfhub-online's list of kernels.", gives: json },
  { path: '/api/v1/download', summary: "btfhub-online's full BTF, as tar.xz.", query: facts },
  {
    path: '/api/v1/customize',
    method: 'post',
    summary: "btfhub-online's min BTF of the objects in a multipart body, as tar.xz.",
    query: facts,
  },
  {
    path: '/catalog.json',
    summary: "Datadog's catalog: the sha256 of each /btfs/….btf.tar.xz.",
    gives: json,
  },
  { path: '/btfs/catalog.json', summary: 'The same.', gives: json },
  {
    path: '/v1/index.json',
    summary: 'What this hub signs: the digest of everything, a version that grows, when it expires.',
    gives: json,
  },
  {
    path: '/get.sh',
    summary: 'A client for hosts with a POSIX shell and curl or wget.',
    gives: 'text/x-shellscript',
  },
  { path: '/healthz', summary: 'Whether the process answers.', gives: text },
  { path: '/monitoring/health', summary: 'The same.', gives: text },
  {
    path: '/readyz',
    summary: 'Whether it can say what is there, can read it, and is not stopping.',
    gives: text,
  },
  { path: '/metrics', summary: 'Prometheus metrics.', gives: text },
  { path: '/monitoring/metrics', summary: 'The same.', gives: text },
  { path: '/openapi.json', summary: 'This.', gives: json },
  { path: '/', summary: 'What this is and how to ask, as text or as a page.', gives: text },
]

/** Adds the routes that no schema describes to /openapi.json. */
export function describePlainRoutes(app: OpenAPIHono<Env>): void {
  for (const { path, method = 'get', summary, gives, query = [] } of ROUTES) {
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
    const content = gives === undefined ? bytes : { [gives]: { schema: z.any() } }
    app.openAPIRegistry.registerPath(
      createRoute({
        method,
        path,
        summary,
        request: {
          params: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))),
          query: z.object(Object.fromEntries(query.map((name) => [name, z.string().optional()]))),
        },
        responses: { 200: { description: 'The answer.', content }, ...problems },
      }),
    )
  }
}
