import { describeError } from '../../core/errors.ts'
import { HttpError } from '../../core/http.ts'
import { type Arch, parseVersion } from '../../core/kernel.ts'
import type { DetailsPlace } from '../../core/kernel-package.ts'
import { sha256Of } from '../../core/digest.ts'
import { givenMirrors } from '../given-mirrors.ts'
import { kernelNames, type KernelNames } from '../names.ts'
import { type FoundPackage, withKernel } from '../pair.ts'
import type { Found } from '../reader.ts'
import { reportOf } from '../report.ts'
import type { LaunchpadIndex, SourceFile } from '../schema.ts'
import { type CrawlContext, CrawlError, type CrawlScope, type IndexReport } from '../types.ts'
import { type FoundPublications, readPublications } from './index-file.ts'
import type { Publication } from './schema.ts'

/** One series and architecture. */
interface Unit {
  readonly version: string
  readonly series: string
  readonly arch: Arch
  readonly archName: string
}

/**
 * All kernels that Launchpad remembers, those that no mirror has any more among them. Sizes and digests are asked for
 * later, for what is downloaded (`withDetails`). Never throws for Launchpad's fault: the reports tell.
 */
export async function listLaunchpad(
  file: SourceFile,
  index: LaunchpadIndex,
  scope: CrawlScope,
  context: CrawlContext,
): Promise<Found> {
  const given =
    scope.mirrors.length > 0 ? [...givenMirrors(index.archives, scope.mirrors).values()].flat() : []
  const apis = given.length > 0 ? given : index.archives.flatMap(({ mirrors }) => mirrors)
  const found: FoundPackage[] = []
  const indexes: IndexReport[] = []
  const rules = sha256Of(JSON.stringify(index.names)).slice(0, 16)
  for (const unit of wantedUnits(file, index, scope)) {
    const names = kernelNames(index.names, unit.archName)
    const { version, arch, series, archName } = unit
    const label = `${file.distro}/${version} launchpad ${series} ${archName}`
    const memoKey = `launchpad/2 ${[file.id, index.archivePath, series, archName, rules].join(' ')}`
    const troubles: string[] = []
    let absentAt: string | null = null
    let publications: FoundPublications | null = null
    for (const api of apis) {
      const accepts = (name: string): boolean => names.parse(name) !== null
      const { archivePath, query: name } = index
      const query = { api, archivePath, series, arch: archName, name, memoKey, accepts }
      try {
        publications = await readPublications(query, context)
        if (publications !== null) break
        absentAt ??= api
      } catch (err) {
        context.signal.throwIfAborted()
        if (!(err instanceof CrawlError || err instanceof HttpError)) throw err
        troubles.push(describeError(err))
      }
    }
    for (const one of publications?.publications ?? []) {
      const name = names.parse(one.binary_package_name)
      if (name === null || !index.pockets.includes(one.pocket)) continue
      const places = placesOf(one, unit, index, given)
      found.push(toPackage(one, name, names, unit, places))
    }
    const of = {
      label,
      version,
      arch,
      archive: 'launchpad',
      frozen: false,
      memoKey,
      url: '',
      notBefore: null,
    }
    const bytes = publications?.bytes ?? 0
    indexes.push({
      ...reportOf({ ...of, bytes, found: publications, troubles, absentAt }, 'publications'),
      past: true,
    })
  }
  return { found: withKernel(found, index.names.leastBytes), indexes }
}

function wantedUnits(file: SourceFile, index: LaunchpadIndex, scope: CrawlScope): Unit[] {
  const versions = new Set(scope.versions.map((version) => parseVersion(file.distro, version)))
  const arches = (Object.entries(file.arches) as [Arch, string][]).filter(
    ([arch]) => scope.arches.length === 0 || scope.arches.includes(arch),
  )
  return Object.entries(index.versions)
    .filter(([version]) => versions.size === 0 || versions.has(version))
    .flatMap(([version, series]) => arches.map(([arch, archName]) => ({ version, series, arch, archName })))
}

function toPackage(
  one: Publication,
  name: NonNullable<ReturnType<KernelNames['parse']>>,
  names: KernelNames,
  unit: Unit,
  { files, details }: Places,
): FoundPackage {
  const { binary_package_name: packageName, binary_package_version: version } = one
  // The file's name has the version without its epoch, as dpkg-name(1) makes it.
  const ending = one.is_debug ? 'ddeb' : 'deb'
  const file = `${packageName}_${version.replace(/^\d+:/, '')}_${unit.archName}.${ending}`
  const date = one.date_published ?? one.date_created
  return {
    name,
    version: unit.version,
    arch: unit.arch,
    packageName: names.packageName(name.release),
    file: {
      name: packageName,
      version,
      urls: files.map((folder) => `${folder}/${encodeURIComponent(file)}`),
      sizeBytes: null,
      sha256: null,
      signed: false,
      ...(date === null ? {} : { date: new Date(date).toISOString() }),
      details,
    },
  }
}

/** A publication is on its way to the archive for some hours. */
const PUBLISHING_MS = 6 * 3600_000

/**
 * The archive as it was while it had this image: there the package is, and a signed index with its digest. Debug packages
 * are in no archive that is kept.
 */
function pastPlaces(one: Publication, unit: Unit, { snapshots }: LaunchpadIndex): DetailsPlace[] {
  const published = Date.parse(one.date_published ?? '')
  if (snapshots === undefined || one.is_debug || !(published >= Date.parse(snapshots.since))) return []
  const superseded = one.date_superseded === null ? Infinity : Date.parse(one.date_superseded)
  const time = new Date(Math.min(published + PUBLISHING_MS, superseded)).toISOString()
  const at = time.replace(/[-:]|\.\d+/g, '')
  const code = unit.series.split('/').at(-1) ?? unit.series
  const suite = one.pocket === 'Release' ? code : `${code}-${one.pocket.toLowerCase()}`
  return [{ kind: 'archive', base: `${snapshots.base}/${at}`, suites: [suite], arch: unit.archName }]
}

/** Where a publication's file is, and where more is told of it, each in the order to ask. */
interface Places {
  readonly files: readonly string[]
  readonly details: readonly DetailsPlace[]
}

/**
 * Launchpads that were given have their files beside what they say of themselves: the one that listed the publication
 * first, then the others, which are as good.
 */
function placesOf(one: Publication, unit: Unit, index: LaunchpadIndex, given: readonly string[]): Places {
  const self = new URL(one.self_link)
  const origins = [...new Set([self.origin, ...given.map((api) => new URL(api).origin)])]
  const told = origins.map((origin): DetailsPlace => {
    const publication = origin + self.pathname
    return { kind: 'launchpad', url: `${publication}?ws.op=binaryFileUrls&include_meta=true` }
  })
  if (given.length === 0) return { files: [index.files], details: [...pastPlaces(one, unit, index), ...told] }
  return { files: origins.map((origin) => origin + new URL(index.files).pathname), details: told }
}
