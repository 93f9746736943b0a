import { parseSha256 } from '../core/digest.ts'
import { parseArch } from '../core/kernel.ts'
import { listKernels, tellApart } from '../core/resolve/ambiguity.ts'
import type { KnownBuild } from '../core/resolve/types.ts'
import type { Blob, Build } from '../registry/api.ts'
import { ClientError } from './errors.ts'
import type { ShardBuild } from './index-documents.ts'

/** A build of an index in the words of the resolver, and as it is told. */
export interface Candidate extends KnownBuild {
  readonly wire: ShardBuild
}

/** Throws ClientError `UNVERIFIED` where it is none. */
export function candidate(hub: string, wire: ShardBuild): Candidate {
  const arch = parseArch(wire.kernel.arch)
  const [digest, layoutDigest] = [parseSha256(wire.btf.digest), parseSha256(wire.layout_digest)]
  if (arch === null || digest === null || layoutDigest === null) {
    throw new ClientError('UNVERIFIED', `${hub}: a build of its index is none: ${wire.key}`)
  }
  const { build_id: buildId, debug_build_id: debugBuildId, banner } = wire.provenance
  return {
    id: wire.id,
    kernel: { ...wire.kernel, arch },
    btf: { digest },
    layoutDigest,
    provenance: {
      buildId,
      debugBuildId: debugBuildId ?? null,
      banner,
      packageVersion: wire.provenance.package_version,
    },
    wire,
  }
}

/** A build without what only an index says of it. */
export function toBuild({ wire }: Candidate): Build {
  const { id: _id, key: _key, min: _min, modules: _modules, ...build } = wire
  return build
}

export function ambiguous(hub: string, builds: readonly Candidate[], blobs: readonly Blob[]): ClientError {
  const by = tellApart(builds).join(', ') || 'a digest'
  const choices = builds.map(({ wire }, i) => {
    const { digest, url } = blobs[i] as Blob
    const { build_id, package_version } = wire.provenance
    return { kernel: wire.kernel, build_id, package_version, digest, layout_digest: wire.layout_digest, url }
  })
  return new ClientError(
    'AMBIGUOUS',
    `${hub}: ${builds.length} builds with different layouts match: ${listKernels(builds)}; say more with ${by}`,
    { problem: { choices } },
  )
}
