import { readdir, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { describeError, isAbort } from '../../core/errors.ts'
import { formatKernel, type Kernel, makeKernel, parseBuildId, parseKernel } from '../../core/kernel.ts'
import { parsePublicKey } from '../../core/signed-index/index.ts'
import type { Store } from '../../store/index.ts'
import { Exit, ExitCode, UsageError } from '../exit.ts'
import { isExport, openSource } from '../export/folder-source.ts'
import { importExport } from '../hub/import-export.ts'
import type { ImportOutcome } from '../hub/import-outcome.ts'
import { createMinMaker } from '../hub/min-maker.ts'
import { withStore } from '../hub/open.ts'
import { takeIn } from '../hub/take-in.ts'
import { cliHttp } from '../http.ts'
import { extractBytes, extractFrom, isUrl } from '../input.ts'
import type { Extracted } from '../../extractor/index.ts'
import type { Invocation } from '../main.ts'
import { createProgress, formatBytes } from '../terminal.ts'

export interface ImportOptions {
  readonly data: string
  readonly json: boolean
  readonly as?: string
  readonly buildId?: string
  readonly banner?: string
  /** The modules of an export's builds too. */
  readonly modules: boolean
  /** Public keys of hubs whose exports are believed. */
  readonly key?: readonly string[]
}

/** One file that is to be taken in, and as what. */
interface ImportItem {
  readonly path: string
  readonly kernel: Kernel
  readonly buildId: string | null
  readonly banner: string | null
}

/**
 * `btfhub import PATH…`: a single BTF with `--as`, or every `DISTRO/VERSION/ARCH/RELEASE.btf[.xz|.gz|.tar.xz]` below
 * a folder, or an export of a hub, a folder or the URL of one. Each is validated like any other; what fails is told and
 * the rest goes on. Exit code 1 where one failed, 5 where an export is not believed.
 */
export async function importBtf(
  paths: readonly string[],
  options: ImportOptions,
  invocation: Invocation,
): Promise<void> {
  const { terminal, signal } = invocation
  const outcomes: ImportOutcome[] = []
  const exports = options.as === undefined ? await findExports(paths) : []
  const others = paths.filter((path) => !exports.includes(path))
  if (others.length > 0 && options.key !== undefined) {
    throw new UsageError(`${others[0]}: no export with a signed index, and --key says that it must be`)
  }
  const items = options.as === undefined ? await findItems(others, outcomes) : [singleItem(paths, options)]
  await withStore({ data: options.data }, invocation, async (store, log) => {
    const http = cliHttp(invocation.env, log)
    const progress = createProgress(terminal)
    const minMaker = createMinMaker(store, log)
    try {
      for (const path of exports) {
        const done = await importExport(await openSource(path, http, signal), {
          store,
          minMaker,
          keys: (options.key ?? []).map(parsePublicKey),
          seenDir: join(options.data, 'seen-v1'),
          modules: options.modules,
          extract: (name, bytes) => extractBytes(name, bytes, { tempDir: store.tempDir }, { log, signal }),
          signal,
          onOutcome({ kernel, outcome, reason }, count, total) {
            const name = `${path}: ${count} of ${total}`
            if (outcome === 'failed') terminal.err(`${kernel}: FAILED: ${reason}`)
            else if (terminal.isInteractive) progress.finish(name, `${name}: ${kernel}: ${outcome}`)
          },
        })
        outcomes.push(...done)
      }
      for (const item of items) {
        if (signal.aborted) break
        const kernel = formatKernel(item.kernel)
        if (terminal.isInteractive) progress.start(item.path, kernel, null)
        try {
          const extracted = await extractFrom(
            item.path,
            { tempDir: store.tempDir, expected: { arch: item.kernel.arch, types: null } },
            { http, log, signal },
          )
          const { build, isNew } = await record(store, item, extracted)
          await minMaker.forBuild(build)
          outcomes.push({
            path: item.path,
            kernel,
            outcome: isNew ? 'imported' : 'known',
            digest: build.btf.digest,
            reason: null,
          })
          progress.finish(
            item.path,
            `${kernel}: ${isNew ? formatBytes(build.btf.sizeBytes) : 'known already'}`,
          )
        } catch (err) {
          if (isAbort(err)) throw err
          const reason = describeError(err)
          outcomes.push({ path: item.path, kernel, outcome: 'failed', digest: null, reason })
          progress.finish(item.path, `${kernel}: FAILED: ${reason}`)
        }
      }
    } finally {
      progress.close()
      await http.close()
    }
  })
  report(outcomes, options, invocation)
}

function report(
  outcomes: readonly ImportOutcome[],
  options: ImportOptions,
  { terminal, signal }: Invocation,
): void {
  const count = (outcome: ImportOutcome['outcome']): number =>
    outcomes.filter((o) => o.outcome === outcome).length
  if (options.json) terminal.out(JSON.stringify(outcomes, null, 2))
  else {
    for (const skipped of outcomes.filter((o) => o.outcome === 'skipped')) {
      terminal.err(`${skipped.path}: skipped: ${skipped.reason}`)
    }
    terminal.err(
      `${count('imported')} imported, ${count('known')} known already, ${count('skipped')} skipped, ${count('failed')} failed`,
    )
  }
  if (signal.aborted) throw new Exit(ExitCode.interrupted)
  if (count('failed') > 0) throw new Exit(ExitCode.failed)
}

function singleItem(paths: readonly string[], options: ImportOptions): ImportItem {
  const [path, ...rest] = paths
  if (path === undefined || rest.length > 0) throw new UsageError('--as names one kernel: give one file')
  const buildId = options.buildId === undefined ? null : parseBuildId(options.buildId)
  if (options.buildId !== undefined && buildId === null) {
    throw new UsageError(`--build-id ${options.buildId}: expected 16 to 64 hex digits`)
  }
  return { path, kernel: parseKernel(options.as ?? ''), buildId, banner: options.banner?.trimEnd() ?? null }
}

/** Those that are exports of hubs; what is at a URL can be nothing else. */
async function findExports(paths: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(paths.map(async (path) => isUrl(path) || (await isExport(path))))
  return paths.filter((_, i) => found[i])
}

const BTF_FILE = /^(.+)\.btf(\.xz|\.gz|\.zst|\.tar\.xz|\.tar\.gz)?$/

/** The files of a btfhub-shaped tree. Sidecars and the like are passed over; misplaced BTF is told of. */
async function findItems(paths: readonly string[], outcomes: ImportOutcome[]): Promise<ImportItem[]> {
  const items: ImportItem[] = []
  for (const root of paths) {
    if (!(await stat(root)).isDirectory()) {
      throw new UsageError(`${root}: a single file needs --as DISTRO/VERSION/ARCH/RELEASE`)
    }
    const entries = await readdir(root, { recursive: true, withFileTypes: true })
    const files = entries.map((entry) => ({
      entry,
      name: relative(root, join(entry.parentPath, entry.name)),
    }))
    for (const { entry, name } of files.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const parts = name.split(sep)
      const release = BTF_FILE.exec(parts.at(-1) ?? '')?.[1]
      if (release === undefined) continue
      const path = join(root, name)
      try {
        if (!entry.isFile()) throw new UsageError('not a regular file')
        items.push({ path, kernel: kernelAt(parts, release), buildId: null, banner: null })
      } catch (err) {
        const reason = describeError(err)
        outcomes.push({ path: relative('.', path), kernel: null, outcome: 'skipped', digest: null, reason })
      }
    }
  }
  return items
}

function kernelAt(parts: readonly string[], release: string): Kernel {
  const [distro, version, arch] = parts.slice(-4, -1)
  if (distro === undefined || version === undefined || arch === undefined) {
    throw new UsageError('not at DISTRO/VERSION/ARCH/RELEASE.btf')
  }
  return makeKernel(distro, version, arch, release)
}

function record(
  store: Store,
  { kernel, path, buildId, banner }: ImportItem,
  { btf, sha256, warnings }: Extracted,
): ReturnType<typeof takeIn> {
  const given = { kernel, btf, source: 'import', url: path, fileSha256: sha256, warnings } as const
  return takeIn(store, { ...given, facts: { buildId, banner } }, new Date())
}
