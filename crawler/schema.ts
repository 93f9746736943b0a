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

/** How names of packages map to `uname -r`; see data/README.md. */
export const NameRules = z.strictObject({
  /** The name by which a build is known, whichever of its packages are there. */
  package: Template,
  image: z.array(Template).min(1),
  debug: z.array(Template),
  /** A smaller package of the kind has no kernel: it is empty, or only depends on the one that has it. */
  leastBytes: z
    .strictObject({ image: z.int().min(0), debug: z.int().min(0) })
    .default({ image: 0, debug: 0 }),
  /** Regular expressions for whole releases with groups `series`, `flavour`, `variant`; `{arch}` as the distribution says it. */
  releases: z.array(ReleasePattern).min(1),
})
export type NameRules = z.infer<typeof NameRules>

const AptArchive = z.strictObject({
  id: Id,
  /** The last part of its base URLs: how a mirror that was given is told, and its siblings derived. */
  name: Id,
  /** In the order to try. */
  mirrors: z.array(BaseUrl).min(1),
})

const AptSuite = z.strictObject({
  archive: Id,
  suite: z.string().regex(/^[a-z0-9][a-z0-9./-]*$/),
  /** True for a suite that does not change any more: its signature may have expired, and it may have left the mirrors. */
  frozen: z.boolean().default(false),
})

/** An archive in Debian's form: `dists/SUITE/InRelease` and `Packages`. */
export const AptIndex = z
  .strictObject({
    format: z.literal('apt'),
    /** What its Release files have as `Origin`. */
    origins: z.array(z.string()).min(1),
    keyrings: z.strictObject({
      /** Where distributions install it; taken where it is there. */
      system: z.array(z.string().startsWith('/')),
      /** Under data/keys. */
      shipped: z.array(Id).min(1),
    }),
    /** The first is the one that a mirror without a telling name is taken for. */
    archives: z.array(AptArchive).min(1),
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

/** One member per index format; a source can have several. */
const Index = z.discriminatedUnion('format', [AptIndex])
export type Index = z.infer<typeof Index>

/** One file under data/sources: a distribution and where its kernels are. */
export const SourceFile = z.strictObject({
  id: Id,
  /** os-release `ID`. */
  distro: Id,
  /** What the distribution calls the architectures that it has. */
  arches: z.partialRecord(z.enum(ARCHES), Id),
  politeness: z.strictObject({
    concurrency: z.int().min(1).max(16),
    delayMs: z.int().min(0).max(60_000),
    /** Where the hosts say what they want, or that they say nothing. */
    because: z.string(),
  }),
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
