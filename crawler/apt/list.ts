import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import PQueue from 'p-queue'
import { describeError } from '../../core/errors.ts'
import { parseVersion } from '../../core/kernel.ts'
import type { Arch } from '../../core/kernel.ts'
import type { ListDeps } from '../deps.ts'
import { type KernelNames, kernelNames } from '../names.ts'
import { type FoundPackage, pairPackages } from '../pair.ts'
import type { AptIndex, SourceFile } from '../schema.ts'
import type { CrawlContext, CrawlScope, IndexReport, Listing } from '../types.ts'
import { type AptConfig, readAptConfig } from './apt-config.ts'
import { type FoundIndex, memoKeyOf, readIndex } from './index-file.ts'
import { type Keyring, type KeyFile, readKeyring } from './keyring.ts'
import { type Mirror, mirrorsOf } from './mirrors.ts'
import { fetchRelease } from './suite.ts'
import { compareDebianVersions } from './version.ts'

/** Suites read at one time: each holds one compressed index in memory, of 10 MB at most today. */
const SUITES_AT_ONCE = 3

type AptSuite = AptIndex['versions'][string][number]

/** One `Packages` file that is wanted, and what became of it. */
interface Unit {
  readonly label: string
  readonly version: string
  readonly arch: Arch
  readonly names: KernelNames
  readonly component: string
  /** As the distribution says it. */
  readonly archName: string
  readonly memoKey: string
  readonly troubles: string[]
  absentAt: string | null
  bytes: number
  url: string
  found: { readonly index: FoundIndex; readonly mirror: Mirror } | null
}

/** All kernels of an apt index that the scope wants. Never throws for a mirror's fault: the reports tell. */
export async function listApt(
  file: SourceFile,
  index: AptIndex,
  scope: CrawlScope,
  context: CrawlContext,
  deps: ListDeps,
): Promise<Listing> {
  const config = await machineConfig(scope, deps)
  for (const problem of config.problems) context.log.warn({ problem }, 'apt configuration')
  const mirrors = mirrorsOf(index, scope.mirrors, config.entries)
  const keyrings = keyringLoader(index, context, deps)
  const queue = new PQueue({ concurrency: SUITES_AT_ONCE })
  const wanted = wantedSuites(file, index, scope)
  const results = await queue.addAll(
    wanted.map(({ suite, units }) => async () => {
      const places = mirrors.get(suite.archive) ?? []
      await readSuite(index, suite, units, places, keyrings, context, deps)
      return { suite, units, places }
    }),
  )
  const found = results.flatMap(({ units, places }) => units.flatMap((unit) => packagesOf(unit, places)))
  const packages = pairPackages(file.id, file.distro, found, context.log)
  packages.sort((a, b) => compareDebianVersions(a.packageVersion, b.packageVersion))
  return {
    packages,
    indexes: results.flatMap(({ suite, units }) => units.map((unit) => reportOf(unit, suite))),
  }
}

function machineConfig(scope: CrawlScope, deps: ListDeps): Promise<AptConfig> | AptConfig {
  const none = scope.mirrors.length > 0 || deps.aptRoot === null
  return none ? { entries: [], problems: [] } : readAptConfig(deps.aptRoot)
}

function wantedSuites(
  file: SourceFile,
  index: AptIndex,
  scope: CrawlScope,
): { suite: AptSuite; units: Unit[] }[] {
  const versions = new Set(scope.versions.map((version) => parseVersion(file.distro, version)))
  const arches = (Object.entries(file.arches) as [Arch, string][]).filter(
    ([arch]) => scope.arches.length === 0 || scope.arches.includes(arch),
  )
  return Object.entries(index.versions)
    .filter(([version]) => versions.size === 0 || versions.has(version))
    .flatMap(([version, suites]) =>
      suites.map((suite) => ({
        suite,
        units: index.components.flatMap((component) =>
          arches.map(([arch, archName]) => {
            const where = [file.id, suite.archive, suite.suite, component, archName]
            const several = index.components.length > 1 ? ` ${component}` : ''
            return {
              label: `${file.distro}/${version} ${suite.suite}${several} ${archName}`,
              version,
              arch,
              names: kernelNames(index.names, archName),
              component,
              archName,
              memoKey: memoKeyOf(where, index.names),
              troubles: [],
              absentAt: null,
              bytes: 0,
              url: '',
              found: null,
            }
          }),
        ),
      })),
    )
}

/** Asks mirror after mirror until every unit is found. */
async function readSuite(
  index: AptIndex,
  suite: AptSuite,
  units: readonly Unit[],
  mirrors: readonly Mirror[],
  keyrings: (mirror: Mirror) => Promise<Keyring>,
  context: CrawlContext,
  deps: ListDeps,
): Promise<void> {
  for (const mirror of mirrors) {
    const pending = units.filter((unit) => unit.found === null)
    if (pending.length === 0) return
    const url = `${mirror.base}/dists/${suite.suite}`
    for (const unit of pending) unit.url = url
    await attempt(pending, context, async () => {
      const { origins } = index
      const { suite: name, frozen } = suite
      const query = { suite: name, origins, frozen, keyring: await keyrings(mirror), now: deps.now() }
      const release = await fetchRelease(mirror, query, context)
      const [first] = pending
      if (first !== undefined) first.bytes += release?.bytes ?? 0
      for (const unit of pending) {
        await attempt([unit], context, async () => {
          const { component, archName: arch, names, memoKey } = unit
          const found =
            release === null ? null : await readIndex(release, { component, arch, names, memoKey }, context)
          if (found === null) unit.absentAt ??= mirror.base
          else unit.found = { index: found, mirror }
        })
      }
    })
  }
}

/** What goes wrong is the units' trouble, but for the end of everything. */
async function attempt(
  units: readonly Unit[],
  context: CrawlContext,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (err) {
    context.signal.throwIfAborted()
    for (const unit of units) unit.troubles.push(describeError(err))
  }
}

/** A unit's packages with their URLs: of the mirror that listed them, then of all others that should have them too. */
function packagesOf(unit: Unit, mirrors: readonly Mirror[]): FoundPackage[] {
  if (unit.found === null) return []
  const { index, mirror } = unit.found
  const bases = [mirror.base, ...mirrors.map(({ base }) => base).filter((base) => base !== mirror.base)]
  return index.entries.flatMap((entry) => {
    const name = unit.names.parse(entry.name)
    if (name === null) return []
    const path = entry.path.split('/').map(encodeURIComponent).join('/')
    const urls = bases.map((base) => `${base}/${path}`)
    const { version, sizeBytes, sha256 } = entry
    return [
      {
        name,
        version: unit.version,
        arch: unit.arch,
        packageName: unit.names.packageName(name.release),
        signed: true,
        file: { name: entry.name, version, urls, sizeBytes, sha256 },
      },
    ]
  })
}

function reportOf(unit: Unit, suite: AptSuite): IndexReport {
  const troubles = unit.troubles.join('; ')
  if (unit.found !== null) {
    const { index } = unit.found
    const skipped = index.skipped === 0 ? '' : `${index.skipped} unusable stanzas`
    const reason = [skipped, troubles].filter((text) => text !== '').join('; ')
    return {
      index: unit.label,
      url: index.url,
      outcome: index.outcome,
      bytes: unit.bytes + index.bytes,
      signed: true,
      reason: reason === '' ? null : reason,
    }
  }
  // Some mirror may have what another has not; so one that could not be asked leaves it open. A frozen suite is
  // different: it leaves the mirrors for good, and what it had is known already.
  const absent = unit.absentAt !== null && (troubles === '' || suite.frozen)
  const nobody = unit.absentAt === null && troubles === '' ? `no mirror of ${suite.archive} to ask` : null
  const reason = [unit.absentAt === null ? '' : `not at ${unit.absentAt}`, troubles].filter(
    (text) => text !== '',
  )
  return {
    index: unit.label,
    url: unit.url,
    outcome: absent ? 'absent' : 'failed',
    bytes: unit.bytes,
    signed: false,
    reason: nobody ?? reason.join('; '),
  }
}

/** Keys of the distribution, as it is installed and as we ship it, and those that apt was told for this mirror. */
function keyringLoader(
  index: AptIndex,
  context: CrawlContext,
  deps: ListDeps,
): (mirror: Mirror) => Promise<Keyring> {
  const loaded = new Map<string, Promise<Keyring>>()
  const root = deps.aptRoot ?? '/'
  return (mirror) => {
    const key = JSON.stringify([mirror.keyFiles, mirror.inlineKeys])
    let keyring = loaded.get(key)
    if (keyring === undefined) loaded.set(key, (keyring = load(mirror)))
    return keyring
  }

  async function load(mirror: Mirror): Promise<Keyring> {
    const shipped = index.keyrings.shipped.map((name) => keyFile(join(deps.keysDir, name)))
    const installed = [...mirror.keyFiles, ...index.keyrings.system].map((path) => optional(join(root, path)))
    const inline = mirror.inlineKeys.map((text) => ({
      name: `Signed-By of ${mirror.base}`,
      bytes: Buffer.from(text),
    }))
    const files = await Promise.all([...shipped, ...installed])
    return readKeyring([...files.filter((file) => file !== null), ...inline])
  }

  async function optional(path: string): Promise<KeyFile | null> {
    try {
      return await keyFile(path)
    } catch (err) {
      context.log.debug({ path, reason: describeError(err) }, 'no keyring')
      return null
    }
  }
}

async function keyFile(path: string): Promise<KeyFile> {
  return { name: path, bytes: await readFile(path) }
}
