import { CrawlError } from '../types.ts'
import type { Coding } from '../unpack.ts'
import { CODINGS } from '../unpack.ts'
import { readXmlBytes } from '../xml.ts'

/** A digest as repomd.xml states it. */
export interface Checksum {
  /** Node's name of it. */
  readonly algorithm: 'sha256' | 'sha384' | 'sha512' | 'sha1'
  readonly hex: string
}

/** One metadata file that repomd.xml vouches for. */
export interface MetadataFile {
  readonly form: 'xml' | 'sqlite'
  readonly coding: Coding
  readonly href: string
  readonly checksum: Checksum
  /** Of the unpacked file; null where it is not stated. */
  readonly openChecksum: Checksum | null
  readonly sizeBytes: number | null
  readonly openSizeBytes: number | null
}

// "sha" is what createrepo called SHA-1 until 2010.
const ALGORITHMS: Readonly<Record<string, Checksum['algorithm']>> = {
  sha: 'sha1',
  sha1: 'sha1',
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
}
const LENGTHS = { sha1: 40, sha256: 64, sha384: 96, sha512: 128 } as const
const FORMS: Readonly<Record<string, MetadataFile['form']>> = { primary: 'xml', primary_db: 'sqlite' }

interface Draft {
  readonly form: MetadataFile['form']
  href: string | null
  base: string | null
  readonly texts: Map<string, string>
  readonly types: Map<string, string>
}

/**
 * The lists of packages that a `repomd.xml` names, in the order that we would rather read them: XML before SQLite, and
 * by {@link CODINGS}. Throws `MALFORMED` where it is no such file or names none that can be read.
 */
export async function parseRepomd(name: string, bytes: Uint8Array): Promise<readonly MetadataFile[]> {
  const drafts: Draft[] = []
  let draft: Draft | null = null
  let element: string | null = null
  let root: string | null = null
  await readXmlBytes(name, bytes, {
    open(tag, attributes) {
      root ??= tag
      element = tag
      if (tag === 'data') {
        const form = FORMS[attributes.type ?? '']
        draft =
          form === undefined ? null : { form, href: null, base: null, texts: new Map(), types: new Map() }
        if (draft !== null) drafts.push(draft)
      }
      if (draft === null) return
      if (tag === 'location') {
        draft.href = attributes.href ?? null
        draft.base = attributes['xml:base'] ?? null
      }
      if (attributes.type !== undefined) draft.types.set(tag, attributes.type)
    },
    close(tag) {
      element = null
      if (tag === 'data') draft = null
    },
    text(text) {
      if (draft === null || element === null) return
      draft.texts.set(element, (draft.texts.get(element) ?? '') + text.trim())
    },
  })
  if (root !== 'repomd')
    throw new CrawlError('MALFORMED', `${name}: expected repomd, got ${root ?? 'nothing'}`)
  const files = drafts.map((one) => finish(one)).filter((file) => file !== null)
  if (files.length === 0) {
    throw new CrawlError('MALFORMED', `${name}: expected a list of packages with a checksum, got none`)
  }
  return files.sort((a, b) => rank(a) - rank(b))
}

function rank({ form, coding }: MetadataFile): number {
  return (form === 'xml' ? 0 : CODINGS.length) + CODINGS.indexOf(coding)
}

function finish(draft: Draft): MetadataFile | null {
  const checksum = checksumOf(draft, 'checksum')
  const { form, href, base } = draft
  if (href === null || checksum === null || (base !== null && !URL.canParse(base))) return null
  const ending = /\.(?:xml|sqlite)(\.[a-z0-9]+)?$/.exec(href)?.[1] ?? ''
  const coding = CODINGS.find((known) => known === ending)
  if (coding === undefined) return null
  return {
    form,
    coding,
    href: base === null ? href : new URL(href, base.endsWith('/') ? base : `${base}/`).href,
    checksum,
    openChecksum: checksumOf(draft, 'open-checksum'),
    sizeBytes: numberOf(draft, 'size'),
    openSizeBytes: numberOf(draft, 'open-size'),
  }
}

function checksumOf(draft: Draft, element: string): Checksum | null {
  const algorithm = ALGORITHMS[draft.types.get(element) ?? '']
  const hex = draft.texts.get(element)?.toLowerCase() ?? ''
  if (algorithm === undefined || hex.length !== LENGTHS[algorithm] || !/^[0-9a-f]+$/.test(hex)) return null
  return { algorithm, hex }
}

function numberOf(draft: Draft, element: string): number | null {
  const text = draft.texts.get(element) ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : null
}
