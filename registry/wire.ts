import type { KernelEntry } from '../core/resolve/kernel-index.ts'
import type { BlobRef, Build, BuildModules, Tool } from '../store/types.ts'
import type * as api from './api.ts'

/** Path of bytes by digest. */
export function blobPath(digest: string): string {
  return `/v1/blobs/sha256/${digest}`
}

export function toBlob(ref: BlobRef): api.Blob {
  return { digest: ref.digest, size_bytes: ref.sizeBytes, url: blobPath(ref.digest) }
}

export function toBuild(build: Build): api.Build {
  const from = build.provenance
  return {
    kernel: { ...build.kernel },
    flavour: build.flavour,
    series: build.series,
    btf: toBlob(build.btf),
    layout_digest: build.layoutDigest,
    provenance: {
      source: from.source,
      origin: from.origin,
      package_name: from.packageName,
      package_version: from.packageVersion,
      url: from.url,
      package_sha256: from.packageSha256,
      verified: from.verified,
      build_id: from.buildId,
      debug_build_id: from.debugBuildId,
      banner: from.banner,
      pahole_version: from.paholeVersion,
      pahole_flags: from.paholeFlags === null ? null : [...from.paholeFlags],
      warnings: [...from.warnings],
      created_at: from.createdAt,
      hub_version: from.hubVersion,
    },
  }
}

/** A kernel, and the modules of its builds where they were taken in. */
export function toKernelDetail(
  entry: KernelEntry<Build>,
  modules: ReadonlyMap<number, BuildModules>,
): api.KernelDetail {
  return { ...entry.kernel, builds: entry.builds.map((build) => toBuildDetail(build, modules.get(build.id))) }
}

function toBuildDetail(build: Build, known: BuildModules | undefined): api.BuildDetail {
  return {
    ...toBuild(build),
    merged: known === undefined ? null : toBlob(known.merged),
    modules: (known?.modules ?? []).map(({ name, origin, btf }) => ({ name, origin, btf: toBlob(btf) })),
  }
}

export function toKernelSummary(entry: KernelEntry<Build>): api.KernelSummary {
  const newest = entry.builds[0] as Build
  return {
    ...entry.kernel,
    builds: entry.builds.length,
    layouts: new Set(entry.builds.map((build) => build.layoutDigest)).size,
    origin: newest.provenance.origin,
    btf: toBlob(newest.btf),
    created_at: newest.provenance.createdAt,
  }
}

export function toTool(tool: Tool): api.Tool {
  return {
    name: tool.name,
    version: tool.version,
    objects: tool.objects.map((o) => ({ name: o.name, digest: o.digest, size_bytes: o.sizeBytes })),
    created_at: tool.createdAt,
  }
}

/** One of several builds, with what would be sent for it: its full BTF or a min BTF of it. */
export interface Candidate {
  readonly build: Build
  readonly btf: BlobRef
}

export function toChoice({ build, btf }: Candidate): api.Choice {
  return {
    kernel: { ...build.kernel },
    build_id: build.provenance.buildId,
    package_version: build.provenance.packageVersion,
    digest: btf.digest,
    layout_digest: build.layoutDigest,
    url: blobPath(btf.digest),
  }
}
