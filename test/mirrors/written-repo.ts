import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A package as an index that somebody wrote by hand names it; what is not said is as it should be. */
export interface WrittenRpm {
  readonly name: string
  readonly version: string
  readonly release: string
  readonly arch?: string
  readonly href?: string
  readonly base?: string
  readonly sizeBytes?: number
  readonly sha256?: string
}

/** Writes `repodata` of a repository without createrepo_c, which would refuse what this is for. */
export function writeRepodata(dir: string, packages: Iterable<WrittenRpm>): void {
  const repodata = join(dir, 'repodata')
  mkdirSync(repodata, { recursive: true })
  const primary = `<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" packages="1">
${Array.from(packages, entry).join('\n')}
</metadata>\n`
  writeFileSync(join(repodata, 'primary.xml'), primary)
  const digest = createHash('sha256').update(primary).digest('hex')
  writeFileSync(
    join(repodata, 'repomd.xml'),
    `<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary">
<checksum type="sha256">${digest}</checksum><location href="repodata/primary.xml"/></data></repomd>\n`,
  )
}

function entry(rpm: WrittenRpm): string {
  const { name, version, release, arch = 'x86_64', sizeBytes = 5_000_000, base } = rpm
  const id = `${name}-${version}-${release}.${arch}`
  const { href = `Packages/${encodeURIComponent(id)}.rpm` } = rpm
  const sha256 = rpm.sha256 ?? createHash('sha256').update(id).digest('hex')
  const link = `${base === undefined ? '' : `xml:base="${quoted(base)}" `}href="${quoted(href)}"`
  return `<package type="rpm"><name>${quoted(name)}</name><arch>${quoted(arch)}</arch>
<version epoch="0" ver="${quoted(version)}" rel="${quoted(release)}"/>
<checksum type="sha256" pkgid="YES">${sha256}</checksum><size package="${sizeBytes}"/><location ${link}/></package>`
}

/** XML has no way to say NUL and most control characters: they stand there as they are. */
function quoted(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
