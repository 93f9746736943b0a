import { z } from 'zod'
import { ARCHES } from '../core/kernel.ts'

const Id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'expected letters, digits and . _ -')

const BaseUrl = z
  .url({ protocol: /^https?$/ })
  .refine((url) => !url.endsWith('/'), 'expected no slash at the end')

const Template = z
  .string()
  .refine((text) => text.split('{release}').length === 2, 'expected {release} in it, once')

const ReleasePattern = z
  .string()
  .refine((text) => isPattern(text), 'expected a regular expression')
  .refine((text) => text.includes('(?<series>'), 'expected a group (?<series>…)')

/** A smaller package of the kind has no kernel: it is empty, or only depends on the one that has it. Modules have none. */
const LeastBytes = z
  .strictObject({ image: z.int().min(0), debug: z.int().min(0) })
  .default({ image: 0, debug: 0 })

/** Templates of names by what the packages have. */
interface Roles {
  readonly image: readonly string[]
  readonly debug: readonly string[]
  readonly modules: readonly string[]
}

/** Whoever reads a name must know what the package is. */
function hasOneRoleEach({ image, debug, modules }: Roles): boolean {
  const names = [...image, ...debug, ...modules]
  return new Set(names).size === names.length
}

const ONE_ROLE = 'a package has one role: image, debug or modules, and is named once'

/** How names of packages map to `uname -r`; see data/README.md. */
export const NameRules = z
  .strictObject({
    /** The name by which a build is known, whichever of its packages are there. */
    package: Template,
    image: z.array(Template).min(1),
    debug: z.array(Template),
    /** Packages with modules alone, all of which belong to the kernel. */
    modules: z.array(Template).default([]),
    leastBytes: LeastBytes,
    /** Regular expressions for whole releases with groups `series`, `flavour`, `variant`; `{arch}` as the distribution says it. */
    releases: z.array(ReleasePattern).min(1),
  })
  .refine(hasOneRoleEach, ONE_ROLE)
export type NameRules = z.infer<typeof NameRules>

const RpmName = z.string().regex(/^[a-zA-Z0-9][\w.+-]*(?:\{flavour\}[\w.+-]*)?$/, 'expected a package name')

/** How names of rpm packages map to `uname -r`: the first rule whose `evr` matches VERSION-RELEASE holds. */
export const RpmNames = z.strictObject({
  kernels: z
    .array(
      z
        .strictObject({
          /** Each stands for `{flavour}` in the names. */
          flavours: z.array(Id).min(1).default(['default']),
          /** The first is the name by which a build is known. */
          image: z.array(RpmName).min(1),
          debug: z.array(RpmName),
          /** Packages with modules alone, all of which belong to the kernel. */
          modules: z.array(RpmName).default([]),
          evr: z
            .string()
            .refine((text) => isPattern(text), 'expected a regular expression')
            .default(''),
          /** `{version}-{release}.{arch}`, with `{flavour}` and named groups of `evr`. */
          uname: z.string().refine((text) => /\{\w+\}/.test(text), 'expected {words} in it'),
        })
        .refine(hasOneRoleEach, ONE_ROLE),
    )
    .min(1),
  leastBytes: LeastBytes,
})
export type RpmNames = z.infer<typeof RpmNames>

const Politeness = z.strictObject({
  concurrency: z.int().min(1).max(16),
  delayMs: z.int().min(0).max(60_000),
  /** Where the hosts say what they want, or that they say nothing. */
  because: z.string(),
})

const Archive = z.strictObject({
  id: Id,
  /** The last part of its base URLs: how a mirror that was given is told, and its siblings derived. */
  name: Id,
  /** In the order to try. */
  mirrors: z.array(BaseUrl).min(1),
  /** Of these hosts, where they want to be asked more gently than the others. */
  politeness: Politeness.optional(),
})

const Keyrings = z.strictObject({
  /** Where distributions install it; taken where it is there. */
  system: z.array(z.string().startsWith('/')),
  /** Under data/keys. */
  shipped: z.array(Id),
})
export type Keyrings = z.infer<typeof Keyrings>

const AptSuite = z.strictObject({
  archive: Id,
  suite: z.string().regex(/^[a-z0-9][a-z0-9./-]*$/),
  /** True for a suite that does not change any more: its signature may have expired, and it may have left the mirrors. */
  frozen: z.boolean().default(false),
  /** Where it is not there for all. */
  arches: z.array(z.enum(ARCHES)).optional(),
})

/** An archive in Debian's form: `dists/SUITE/InRelease` and `Packages`. */
export const AptIndex = z
  .strictObject({
    format: z.literal('apt'),
    /** What its Release files have as `Origin`; none where that is not known. */
    origins: z.array(z.string()),
    keyrings: Keyrings,
    /** The first is the one that a mirror without a telling name is taken for. */
    archives: z.array(Archive).min(1),
    components: z.array(Id).min(1),
    /** By version as KernelPackage has it. */
    versions: z.record(Id, z.array(AptSuite).min(1)),
    names: NameRules,
  })
  .refine(
    (index) => suitesOf(index).every(({ archive }) => index.archives.some(({ id }) => id === archive)),
    'a suite names an archive that is not there',
  )
export type AptIndex = z.infer<typeof AptIndex>

const RpmPath = z
  .string()
  .regex(/^(?:[\w.+~:-]|\{\w+\})+(?:\/(?:[\w.+~:-]|\{\w+\})+)*$/, 'expected a path with {arch} and {words}')
  .refine((path) => !path.split('/').includes('..'), 'expected a path below the archive')

/** A part of a path, which can have words in it itself; nothing is one too. */
const RpmWord = z
  .string()
  .regex(/^(?:[\w.+~:/-]|\{\w+\})*$/, 'expected a part of a path')
  .refine((path) => !path.split('/').includes('..'), 'expected a path below the archive')

/** `required` where every package is signed with a key that is there; else what has no signature that counts goes by its index. */
const Signing = z.enum(['required', 'optional'])

/** Folders of packages of one kind, one for each combination of the words in `each`. */
const RpmRepo = z.strictObject({
  archive: Id,
  /** Below the archive; `{arch}` is the distribution's word, `{version}` its version, others are in `each`. */
  path: RpmPath,
  each: z.record(z.string().regex(/^\w+$/), z.array(RpmWord).min(1)).default({}),
  /** Where it is not there for all. */
  arches: z.array(z.enum(ARCHES)).optional(),
  /** True for what does not change any more: read once, and it may leave the mirrors. */
  frozen: z.boolean().default(false),
  /**
   * Below the archive, a list of dated releases as Amazon's `releasemd.xml`: the repository is there once for each, by the
   * word `{release}`.
   */
  releases: RpmPath.optional(),
  /** Whether its packages have to be signed, where it is another than that of the index. */
  packages: Signing.optional(),
})

const RpmVersions = z.record(Id, z.array(RpmRepo).min(1))

/** Repositories of rpm packages with `repodata/repomd.xml`. */
export const RepomdIndex = z
  .strictObject({
    format: z.literal('repomd'),
    /** Whose signature `repomd.xml.asc` has to have; without, the metadata is not signed. */
    keyrings: Keyrings.optional(),
    /** `optional` where not every repository or mirror has one: then what has none counts as unsigned. */
    signature: z.enum(['required', 'optional']).default('required'),
    archives: z.array(Archive).min(1),
    /** True where a path holds a `mirror.list` that names the repository, as at Amazon's. */
    mirrorList: z.boolean().default(false),
    /** Where a repository has no repodata: its folders as web pages. */
    folders: z.array(RpmPath).default([]),
    packages: Signing.default('optional'),
    versions: RpmVersions,
    names: RpmNames,
  })
  .refine(
    (index) => suitesOf(index).every(({ archive }) => index.archives.some(({ id }) => id === archive)),
    'a repository names an archive that is not there',
  )
export type RepomdIndex = z.infer<typeof RepomdIndex>

/** Folders of rpm packages as web pages, where that is all there is. */
export const AutoindexIndex = z
  .strictObject({
    format: z.literal('autoindex'),
    archives: z.array(Archive).min(1),
    packages: Signing.default('optional'),
    versions: RpmVersions,
    names: RpmNames,
  })
  .refine(
    (index) => suitesOf(index).every(({ archive }) => index.archives.some(({ id }) => id === archive)),
    'a folder names an archive that is not there',
  )
export type AutoindexIndex = z.infer<typeof AutoindexIndex>

/** What Launchpad remembers of an archive, superseded and deleted builds included. */
export const LaunchpadIndex = z.strictObject({
  format: z.literal('launchpad'),
  archives: z.array(Archive).length(1),
  /** `ubuntu/+archive/primary`. */
  archivePath: RpmPath,
  /** Where its files are, `https://launchpad.net/ubuntu/+archive/primary/+files`. */
  files: BaseUrl,
  /** Part of the names that are asked for: `linux-image-`. */
  query: Id,
  /** The series of each version, `ubuntu/focal`. */
  versions: z.record(Id, RpmPath),
  /** Publications in others are left out. */
  pockets: z.array(z.string().min(1)).min(1),
  /** Where the archive as it was is kept, and since when (ISO 8601). */
  snapshots: z.strictObject({ base: BaseUrl, since: z.iso.datetime() }).optional(),
  names: NameRules,
})
export type LaunchpadIndex = z.infer<typeof LaunchpadIndex>

const Pattern = z.string().refine((text) => isPattern(text), 'expected a regular expression')

/** What snapshot.debian.org remembers of an archive. */
export const SnapshotIndex = z.strictObject({
  format: z.literal('snapshot'),
  archives: z.array(Archive).length(1),
  /** Source packages whose binary packages are kernels. */
  sources: z.array(Id).min(1),
  /** Which version of the distribution a package version belongs to: the first pattern that matches holds. */
  releases: z.array(z.strictObject({ match: Pattern, version: Id })).min(1),
  /** Suites that may have listed a package when it was first seen, by version and by the archive it was seen in. */
  versions: z.record(Id, z.record(Id, z.array(z.string().regex(/^[a-z0-9][a-z0-9./-]*$/)).min(1))),
  names: NameRules,
})
export type SnapshotIndex = z.infer<typeof SnapshotIndex>

/** One member per index format; a source can have several. */
const Index = z.discriminatedUnion('format', [
  AptIndex,
  RepomdIndex,
  AutoindexIndex,
  LaunchpadIndex,
  SnapshotIndex,
])
export type Index = z.infer<typeof Index>

/** Which kernels carry their BTF: knowing it saves one image a kernel, and being wrong costs only that. */
const ImageFact = z.strictObject({
  /** Matched against the release. */
  release: z.string().refine((text) => isPattern(text), 'expected a regular expression'),
  versions: z.array(Id).optional(),
  arches: z.array(z.enum(ARCHES)).optional(),
  flavours: z.array(Id).optional(),
  /** The first package version whose image has BTF; `never`, `always`. */
  btf: z.string().min(1),
  /** True where the debug package's vmlinux has another build-id than the image, which is then read for its own. */
  buildIdsDiffer: z.boolean().default(false),
  /** The first package version whose kernel has eBPF with maps and kprobes, where not all have. */
  ebpf: z.string().min(1).optional(),
  /** Where that was seen. */
  because: z.string(),
})
export type ImageFact = z.infer<typeof ImageFact>

/** One file under data/sources: a distribution and where its kernels are. */
export const SourceFile = z.strictObject({
  id: Id,
  /** os-release `ID`. */
  distro: Id,
  /** Why it is left out unless it is asked for by name: it needs what most hubs have not. */
  onlyWhenNamed: z.string().optional(),
  /** True where its hosts want to be shown a client certificate, which the hub's configuration names. */
  clientCertificate: z.boolean().default(false),
  /** What the distribution calls the architectures that it has. */
  arches: z.partialRecord(z.enum(ARCHES), Id),
  politeness: Politeness,
  /** What is known of BTF in images; the first that fits a kernel holds, and what fits none is learnt. */
  images: z.array(ImageFact).default([]),
  /** By whose keys its packages are signed themselves, RPM's; a wrong signature is never taken for none. */
  packageKeys: Keyrings.optional(),
  /** By what archives as they were are believed. */
  snapshots: z
    .strictObject({ origins: z.array(z.string()), keyrings: Keyrings, components: z.array(Id).min(1) })
    .optional(),
  indexes: z.array(Index).min(1),
})
export type SourceFile = z.infer<typeof SourceFile>

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp
  } catch {
    return false
  }
}

function suitesOf(index: {
  readonly versions: Readonly<Record<string, readonly { readonly archive: string }[]>>
}): readonly { readonly archive: string }[] {
  return Object.values(index.versions).flat()
}
