import { verifyDetached } from '../openpgp/signature.ts'
import type { RpmUnit } from '../rpm/units.ts'
import { type FetchedDocument, fetchSigned } from '../signed-document.ts'
import type { CrawlContext } from '../types.ts'
import type { RepomdTrust } from './index-file.ts'

/**
 * A `repomd.xml`, conditionally where it is remembered, its signature (`repomd.xml.asc`) checked where there are keys.
 * A signature that does not hold is never taken for none. Null where the mirror has no such file. Throws `BAD_SIGNATURE`, and what `http` throws.
 */
export async function fetchRepomd(
  url: string,
  trust: RepomdTrust,
  unit: RpmUnit,
  context: CrawlContext,
): Promise<FetchedDocument | null> {
  const { keyring, now } = trust
  const got = await fetchSigned(
    {
      url,
      signatureUrl: keyring === null ? null : `${url}.asc`,
      optional: trust.optional,
      key: `repomd/1 ${keyring === null ? 'plain' : 'signed'} ${url}`,
    },
    context,
  )
  if (got === null) return null
  unit.bytes += got.bytes
  if (keyring !== null && got.signature !== null) {
    await verifyDetached(got.document, got.signature, { keyring, now, frozen: unit.frozen, name: url })
  }
  return got
}
