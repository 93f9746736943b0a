import type { HttpClient } from '../../core/http-client.ts'
import { archivePath, type Kernel, parseVersion } from '../../core/kernel.ts'
import { limits } from '../../core/limits.ts'
import type { KernelFacts, Supply } from '../../registry/index.ts'
import { takeIn } from '../hub/take-in.ts'
import { extractBytes } from '../input.ts'
import type { BringDeps } from './deps.ts'

/**
 * Brings `{distro}/{version}/{arch}/{release}.btf.tar.xz` from a tree in btfhub's layout, validated like an import. A
 * tree is asked for one name and cannot be searched, so facts have to say all of it. Throws HttpError and ExtractError.
 */
export async function bringFromTree(
  base: URL,
  http: HttpClient,
  facts: KernelFacts,
  deps: BringDeps,
  signal: AbortSignal,
): Promise<Supply> {
  const kernel = kernelMeant(facts)
  if (kernel === null) return { kind: 'absent', why: null }
  const path = archivePath(kernel).split('/').map(encodeURIComponent).join('/')
  const url = `${base.href.replace(/\/+$/, '')}/${path}.btf.tar.xz`
  const stream = await http.stream(url, { signal, maxBytes: limits.upstream.maxFileBytes })
  if (stream === null) return { kind: 'absent', why: null }
  const { btf, sha256, warnings } = await extractBytes(
    url,
    stream.bytes,
    { release: kernel.release, tempDir: deps.store.tempDir },
    { log: deps.log, signal },
  )
  const given = { kernel, btf, source: 'upstream', url, fileSha256: sha256, warnings } as const
  const { build, isNew } = await takeIn(deps.store, given, deps.now())
  if (isNew) deps.onNew(build)
  return { kind: 'added' }
}

function kernelMeant({ release, arch, distro, version }: KernelFacts): Kernel | null {
  if (release === null || arch === null || distro === null || version === null) return null
  return { distro, version: parseVersion(distro, version), arch, release }
}
