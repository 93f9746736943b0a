import { z } from 'zod'

const Time = z.string().regex(/^\d{8}T\d{6}Z$/)
const Sha1 = z.string().regex(/^[0-9a-f]{40}$/)
const Version = z.string().regex(/^[A-Za-z0-9.+:~-]{1,200}$/)

/** `/mr/package/SOURCE/`: the versions that were ever seen (snapshot.debian.org's "machine-usable interface"). */
export const SourceVersions = z.object({ result: z.array(z.object({ version: Version })) })

/** Where a file was seen first, once for each archive. */
const Seen = z.object({
  name: z.string().regex(/^[A-Za-z0-9._+~:%-]{1,250}\.deb$/),
  archive_name: z.string().regex(/^[a-z][a-z-]{0,40}$/),
  path: z
    .string()
    .regex(/^(?:\/[A-Za-z0-9._+~-]+){1,20}$/)
    .refine((path) => !path.split('/').some((part) => part === '.' || part === '..')),
  first_seen: Time,
  size: z.int().min(0),
})

/** `/mr/package/SOURCE/VERSION/allfiles?fileinfo=1`. Files that are no .deb are left out by {@link filesOf}. */
export const AllFiles = z.object({
  result: z.object({
    binaries: z.array(
      z.object({
        name: z.string(),
        version: Version,
        files: z.array(z.object({ hash: Sha1, architecture: z.string() })),
      }),
    ),
  }),
  fileinfo: z.record(z.string(), z.array(z.unknown())),
})
export type AllFiles = z.infer<typeof AllFiles>

/** One kernel package that was in an archive once. */
export const PastFile = z.object({
  name: z.string(),
  version: z.string(),
  arch: z.string(),
  fileName: z.string(),
  sizeBytes: z.number(),
  seen: z.array(z.object({ archive: z.string(), at: Time, path: z.string() })).min(1),
})
export type PastFile = z.infer<typeof PastFile>

/** The files of some architectures whose package names `accepts`, and how many made no sense. */
export function filesOf(
  { result, fileinfo }: AllFiles,
  arches: readonly string[],
  accepts: (packageName: string, arch: string) => boolean,
): { readonly files: readonly PastFile[]; readonly skipped: number } {
  const files: PastFile[] = []
  let skipped = 0
  for (const { name, version, files: copies } of result.binaries) {
    for (const { hash, architecture: arch } of copies) {
      if (!arches.includes(arch) || !accepts(name, arch)) continue
      const seen = (fileinfo[hash] ?? []).flatMap((one) => Seen.safeParse(one).data ?? [])
      const [first] = seen
      if (first === undefined) skipped++
      else {
        const places = seen.map(({ archive_name: archive, first_seen: at, path }) => ({ archive, at, path }))
        files.push({ name, version, arch, fileName: first.name, sizeBytes: first.size, seen: places })
      }
    }
  }
  return { files, skipped }
}
