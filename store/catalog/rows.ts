import { z } from 'zod'
import { parseSha256, type Sha256 } from '../../core/digest.ts'
import { ARCHES } from '../../core/kernel.ts'
import { type Provenance, VERIFIED } from '../../core/provenance.ts'
import {
  StoreError,
  type BlobRef,
  type Build,
  type BuildModule,
  type BuildModules,
  type Failure,
  type NewBuild,
  type Token,
} from '../types.ts'

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((text) => text as Sha256)
const count = z.number().int().nonnegative()
const time = z.iso.datetime()

const provenance: z.ZodType<Provenance> = z.object({
  source: z.string(),
  origin: z.enum(['embedded', 'dwarf', 'imported']),
  packageName: z.string().nullable(),
  packageVersion: z.string().nullable(),
  url: z.string().nullable(),
  packageSha256: sha256.nullable(),
  verified: z.enum(VERIFIED),
  buildId: z.string().nullable(),
  // Rows of the time before both ids were kept have one only.
  debugBuildId: z.string().nullable().default(null),
  banner: z.string().nullable(),
  paholeVersion: z.string().nullable(),
  paholeFlags: z.array(z.string()).nullable(),
  warnings: z.array(z.string()),
  createdAt: time,
  hubVersion: z.string(),
})

const kernelColumns = { distro: z.string(), version: z.string(), arch: z.enum(ARCHES), release: z.string() }

const buildRow = z.object({
  ...kernelColumns,
  id: count,
  key: z.string(),
  flavour: z.string(),
  series: z.string(),
  digest: sha256,
  size_bytes: count,
  layout_digest: sha256,
  origin: z.string(),
  provenance: z.string().transform(parseJson).pipe(provenance),
})

const failureRow = z.object({
  ...kernelColumns,
  key: z.string(),
  code: z.string(),
  message: z.string(),
  tries: count.min(1),
  last_try_at: time,
  next_try_at: time,
})

const toolRow = z.object({ id: count, name: z.string(), version: z.string(), created_at: time })
const toolObjectRow = z.object({ name: z.string(), digest: sha256, size_bytes: count })
const mergedRow = z.object({ layout_digest: sha256, digest: sha256, size_bytes: count })
const moduleRow = z.object({
  name: z.string().min(1),
  origin: z.enum(['embedded', 'dwarf']),
  digest: sha256,
  size_bytes: count,
})
const blobRow = z.object({ digest: sha256, size_bytes: count })
const digestRow = z.object({ digest: sha256, size_bytes: count.nullable() })
const tokenRow = z.object({
  name: z.string(),
  hash: sha256,
  scopes: z.string().transform(parseJson).pipe(z.array(z.string())),
  created_at: time,
})
const indexMemoRow = z.object({
  etag: z.string().nullable(),
  last_modified: z.string().nullable(),
  sha256: z.string(),
  value: z.string(),
})

/** Every way from rows to values. Each throws `CORRUPT`, with the row's name, where a row is none that we write. */
export const decode = {
  build(row: { readonly id: number }): Build {
    const name = `builds row ${row.id}`
    const { id, key, distro, version, arch, release, flavour, series, ...rest } = check(buildRow, name, row)
    if (rest.origin !== rest.provenance.origin) {
      throw corrupt(name, `origin: ${rest.origin}, but ${rest.provenance.origin} in the provenance`)
    }
    return {
      id,
      kernel: { distro, version, arch, release },
      flavour,
      series,
      key,
      btf: { digest: rest.digest, sizeBytes: rest.size_bytes },
      layoutDigest: rest.layout_digest,
      provenance: rest.provenance,
    }
  },

  failure(row: { readonly id: number }): Failure {
    const { distro, version, arch, release, ...rest } = check(failureRow, `failures row ${row.id}`, row)
    const { key, code, message, tries, last_try_at: lastTryAt, next_try_at: nextTryAt } = rest
    return { key, kernel: { distro, version, arch, release }, code, message, tries, lastTryAt, nextTryAt }
  },

  tool(row: { readonly id: number }): { id: number; name: string; version: string; createdAt: string } {
    const { created_at: createdAt, ...rest } = check(toolRow, `tools row ${row.id}`, row)
    return { ...rest, createdAt }
  },

  toolObject(row: { readonly tool_id: number; readonly name: string }): BlobRef & { name: string } {
    const name = `tool_objects row ${row.tool_id}/${row.name}`
    const { size_bytes: sizeBytes, ...rest } = check(toolObjectRow, name, row)
    return { ...rest, sizeBytes }
  },

  /** A build and its modules in one. */
  merged(row: { readonly build_id: number }): Pick<BuildModules, 'merged' | 'mergedLayout'> {
    const { layout_digest, digest, size_bytes } = check(mergedRow, `build_merged row ${row.build_id}`, row)
    return { merged: { digest, sizeBytes: size_bytes }, mergedLayout: layout_digest }
  },

  module(row: { readonly build_id: number; readonly name: string }): BuildModule {
    const name = `build_modules row ${row.build_id}/${row.name}`
    const { digest, size_bytes: sizeBytes, ...rest } = check(moduleRow, name, row)
    return { ...rest, btf: { digest, sizeBytes } }
  },

  /** A blob with its size; `name` says which row pointed at it. */
  blob(name: string, row: unknown): BlobRef {
    const { digest, size_bytes: sizeBytes } = check(blobRow, name, row)
    return { digest, sizeBytes }
  },

  digest(row: { readonly id: number }): { digest: Sha256; sizeBytes: number | null } {
    const { digest, size_bytes: sizeBytes } = check(digestRow, `digests row ${row.id}`, row)
    return { digest, sizeBytes }
  },

  /** A digest alone, where thousands are listed. */
  sha256(name: string, text: string): Sha256 {
    const digest = parseSha256(text)
    if (digest === null) throw corrupt(name, `digest: ${JSON.stringify(text)} is no sha256`)
    return digest
  },

  token(row: { readonly name: string }): Token {
    const { created_at: createdAt, ...rest } = check(tokenRow, `tokens row ${row.name}`, row)
    return { ...rest, createdAt }
  },

  indexMemo(key: string, row: unknown): z.output<typeof indexMemoRow> {
    return check(indexMemoRow, `index_memos row ${key}`, row)
  },
}

/** A build as columns, but for the digest's number. */
export function encodeBuild(build: NewBuild): {
  key: string
  distro: string
  version: string
  arch: string
  release: string
  flavour: string
  series: string
  layout_digest: string
  origin: string
  provenance: string
} {
  return {
    key: build.key,
    ...build.kernel,
    flavour: build.flavour,
    series: build.series,
    layout_digest: build.layoutDigest,
    origin: build.provenance.origin,
    provenance: JSON.stringify(build.provenance),
  }
}

function check<T>(schema: z.ZodType<T>, name: string, row: unknown): T {
  const result = schema.safeParse(row)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw corrupt(name, `${issue?.path.join('.') || 'row'}: ${issue?.message}`)
}

function corrupt(name: string, what: string): StoreError {
  return new StoreError('CORRUPT', `catalog: ${name}: ${what}`)
}

function parseJson(text: string, context: z.RefinementCtx): unknown {
  try {
    return JSON.parse(text)
  } catch {
    context.addIssue({ code: 'custom', message: 'not JSON' })
    return z.NEVER
  }
}
