import { trimBanner } from '../../core/resolve/facts.ts'
import type { Sha256 } from '../../core/digest.ts'
import { formatTool } from '../../registry/index.ts'
import type { BlobRef, Build, Tool } from '../../store/index.ts'

/**
 * All builds of one release in lines that a shell can read, `/v1/releases/RELEASE`, newest first; `-` stands for what is
 * not known:
 *
 *     build DIGEST LAYOUT DISTRO VERSION ARCH BUILDID[,BUILDID] BANNER…
 *     min NAME@VERSION BTF-DIGEST MIN-DIGEST
 */
export function releaseLines(
  builds: readonly Build[],
  tools: readonly Tool[],
  minOf: (tool: Tool, btf: Sha256) => BlobRef | null,
): string {
  const lines = builds.map(({ btf, layoutDigest, kernel, provenance }) =>
    [
      'build',
      btf.digest,
      layoutDigest,
      kernel.distro,
      kernel.version,
      kernel.arch,
      idsOf(provenance),
      plain(provenance.banner),
    ].join(' '),
  )
  for (const digest of new Set(builds.map((build) => build.btf.digest))) {
    for (const tool of tools) {
      lines.push(`min ${formatTool(tool)} ${digest} ${minOf(tool, digest)?.digest ?? '-'}`)
    }
  }
  return lines.map((line) => `${line}\n`).join('')
}

function idsOf({ buildId, debugBuildId }: Build['provenance']): string {
  const ids = [buildId, debugBuildId].filter((id) => id !== null)
  return ids.length === 0 ? '-' : ids.join(',')
}

/** A banner comes from an image: one that is not a line of plain text is as good as not known. */
function plain(banner: string | null): string {
  const text = trimBanner(banner ?? '')
  return /^[\x20-\x7e]+$/.test(text) ? text : '-'
}
