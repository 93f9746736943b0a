import {
  formatKernel,
  parseArch,
  parseDistro,
  parseKernel,
  parseRelease,
  parseVersion,
} from '../../core/kernel.ts'
import type { Build, BuildFilter, BuildModules } from '../../store/index.ts'
import { Exit, ExitCode, UsageError } from '../exit.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'
import { formatBytes, formatTable } from '../terminal.ts'

export interface ListOptions {
  readonly data: string
  readonly json: boolean
  readonly distro?: string
  readonly version?: string
  readonly arch?: string
  readonly origin?: string
  readonly query?: string
}

/** `btfhub list`: one row per build. */
export async function list(options: ListOptions, invocation: Invocation): Promise<void> {
  const { terminal } = invocation
  const builds = await withStore({ data: options.data, readOnly: true }, invocation, (store) =>
    store.catalog.builds(toFilter(options)),
  )
  if (options.json) {
    terminal.out(JSON.stringify(builds, null, 2))
    return
  }
  if (builds.length === 0) {
    terminal.err('no kernels: `btfhub crawl debian --newest 1` or `btfhub import` brings some')
    return
  }
  terminal.out(
    formatTable(
      ['KERNEL', 'PACKAGE VERSION', 'ORIGIN', 'BTF', 'DIGEST'],
      builds.map((build) => [
        formatKernel(build.kernel),
        build.provenance.packageVersion ?? '-',
        build.provenance.origin,
        formatBytes(build.btf.sizeBytes),
        build.btf.digest.slice(0, 12),
      ]),
    ),
  )
}

function toFilter(options: ListOptions): BuildFilter {
  const arch = options.arch === undefined ? undefined : parseArch(options.arch)
  if (arch === null) throw new UsageError(`--arch ${options.arch}: not an architecture that we know`)
  const distro = options.distro === undefined ? undefined : parseDistro(options.distro)
  return {
    ...(distro !== undefined && { distro }),
    ...(options.version !== undefined && { version: parseVersion(distro ?? '', options.version) }),
    ...(arch !== undefined && { arch }),
    ...(options.origin !== undefined && { origin: options.origin }),
    ...(options.query !== undefined && { q: options.query }),
  }
}

/** `btfhub show RELEASE`: every build of that name, with its provenance. Exit code 3 where there is none. */
export async function show(
  name: string,
  options: { readonly data: string; readonly json: boolean },
  invocation: Invocation,
): Promise<void> {
  const { terminal } = invocation
  const filter: BuildFilter = name.includes('/') ? parseKernel(name) : { release: parseRelease(name) }
  const builds = await withStore({ data: options.data, readOnly: true }, invocation, async ({ catalog }) => {
    const found = await catalog.builds(filter)
    return Promise.all(found.map(async (build) => ({ ...build, ...(await catalog.modules(build.id)) })))
  })
  if (options.json) terminal.out(JSON.stringify(builds, null, 2))
  else if (builds.length > 0) terminal.out(builds.map(describeBuild).join('\n\n'))
  if (builds.length === 0) {
    terminal.err(`btfhub: no kernel ${name} in ${options.data}; \`btfhub list -q TEXT\` searches`)
    throw new Exit(ExitCode.notFound)
  }
}

function describeBuild(build: Build & Partial<BuildModules>): string {
  const { provenance } = build
  const rows: [string, string | null][] = [
    ['kernel', formatKernel(build.kernel)],
    ['build-id', provenance.buildId],
    ['debug id', provenance.debugBuildId],
    ['banner', provenance.banner],
    [
      'package',
      provenance.packageName === null ? null : `${provenance.packageName} ${provenance.packageVersion}`,
    ],
    ['from', provenance.url],
    ['sha256', provenance.packageSha256],
    ['verified', provenance.verified],
    ['origin', provenance.origin],
    [
      'pahole',
      provenance.paholeVersion === null
        ? null
        : `${provenance.paholeVersion} ${provenance.paholeFlags?.join(' ') ?? ''}`,
    ],
    ['BTF', `${build.btf.sizeBytes} bytes, sha256 ${build.btf.digest}`],
    ['layout', build.layoutDigest],
    [
      'modules',
      build.modules === undefined
        ? null
        : `${build.modules.length}, merged ${build.merged?.sizeBytes} bytes, sha256 ${build.merged?.digest}`,
    ],
    ['taken in', `${provenance.createdAt} by btfhub ${provenance.hubVersion}`],
    ...provenance.warnings.map((warning): [string, string] => ['warning', warning]),
  ]
  return rows
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key.padEnd(9)} ${value}`)
    .join('\n')
}

/** `btfhub failures`: what gave no BTF, and why. */
export async function failures(
  options: { readonly data: string; readonly json: boolean },
  invocation: Invocation,
): Promise<void> {
  const { terminal } = invocation
  const found = await withStore({ data: options.data, readOnly: true }, invocation, (store) =>
    store.catalog.failures(),
  )
  if (options.json) terminal.out(JSON.stringify(found, null, 2))
  else if (found.length === 0) terminal.err('no failures')
  else {
    terminal.out(
      formatTable(
        ['KERNEL', 'CODE', 'TRIES', 'NEXT TRY', 'REASON'],
        found.map((f) => [formatKernel(f.kernel), f.code, f.tries, f.nextTryAt.slice(0, 16), f.message]),
      ),
    )
  }
}
