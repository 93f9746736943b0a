import type { ResolveRequest } from '../registry/api.ts'

/** What is known of a kernel, and the tool that wants its BTF. */
export interface KernelQuery {
  readonly release?: string | undefined
  readonly arch?: string | undefined
  readonly distro?: string | undefined
  readonly version?: string | undefined
  readonly buildId?: string | undefined
  readonly banner?: string | undefined
  /** The text of os-release; what distro and version say goes before it. */
  readonly osRelease?: string | undefined
  /** `NAME` or `NAME@VERSION`: its min BTF; the full BTF where it is not given. */
  readonly tool?: string | undefined
  /** `full`, the default; `merged`: with the kernel's modules in one id space; `split`: of one module. */
  readonly variant?: 'full' | 'merged' | 'split' | undefined
  /** The module whose split BTF is wanted. */
  readonly module?: string | undefined
  /** What the reader knows, docs/compat.md; `native` where it is not given. */
  readonly compat?: ResolveRequest['compat']
  /** Whether the BTF of what the distribution is a clone of will do. */
  readonly like?: boolean | undefined
  /** Whether, where no hub has a kernel, a guess from its neighbours will do; only with `tool`. */
  readonly predict?: boolean | undefined
}

/** The query as it goes over the wire, without what was not said. Equal queries give equal JSON. */
export function toRequest(query: KernelQuery): ResolveRequest {
  const all = {
    release: query.release,
    arch: query.arch,
    distro: query.distro,
    version: query.version,
    build_id: query.buildId,
    banner: query.banner,
    os_release: query.osRelease,
    tool: query.tool,
    variant: query.variant,
    module: query.module,
    compat: query.compat,
    like: query.like === true ? true : undefined,
    predict: query.predict === true ? true : undefined,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** The same as a query string, for paths that have the release in them. */
export function toSearch(query: KernelQuery): URLSearchParams {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(toRequest(query))) {
    if (name !== 'release' && name !== 'tool') search.set(name, value === true ? '1' : String(value))
  }
  return search
}
