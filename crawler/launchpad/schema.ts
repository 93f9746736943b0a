import { z } from 'zod'
import { parseSha256, type Sha256 } from '../../core/digest.ts'

/** One publication of a binary package; only the fields that are used (api.launchpad.net/devel.html). */
export const Publication = z.object({
  self_link: z.url({ protocol: /^https?$/ }),
  binary_package_name: z.string().regex(/^[a-z0-9][a-z0-9.+-]{0,199}$/),
  binary_package_version: z.string().regex(/^[A-Za-z0-9.+:~-]{1,200}$/),
  is_debug: z.boolean().default(false),
  date_created: z.iso.datetime({ offset: true }).nullable().default(null),
  /** `Release`, `Security`, `Updates`, `Proposed`. */
  pocket: z.string().regex(/^[A-Za-z]{1,20}$/),
  date_superseded: z.iso.datetime({ offset: true }).nullable().default(null),
  date_published: z.iso.datetime({ offset: true }).nullable().default(null),
})
export type Publication = z.infer<typeof Publication>

/** One page of a collection. Entries are checked one by one: a single odd one does not spoil the page. */
export const PublicationPage = z.object({
  entries: z.array(z.unknown()),
  next_collection_link: z.string().optional(),
})
export type PublicationPage = z.infer<typeof PublicationPage>

const Digest = z.string().transform((text, context): Sha256 => {
  const digest = parseSha256(text)
  if (digest !== null) return digest
  context.addIssue('expected a sha256')
  return z.NEVER
})

/** What `binaryFileUrls` with `include_meta` says of a publication's files. */
export const FileUrls = z.array(
  z.object({ url: z.url({ protocol: /^https?$/ }), size: z.int().min(0), sha256: Digest.nullable() }),
)
export type FileUrls = z.infer<typeof FileUrls>

/** What is remembered of a listing; bump the number in its key with its form. */
export const Memo = z.object({
  publications: z.array(Publication),
  skipped: z.number(),
})
export type Memo = z.infer<typeof Memo>
