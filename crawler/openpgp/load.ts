import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describeError } from '../../core/errors.ts'
import type { ListDeps } from '../deps.ts'
import type { Keyrings } from '../schema.ts'
import { type CrawlContext, CrawlError } from '../types.ts'
import { type KeyFile, type Keyring, readKeyring } from './keyring.ts'

/**
 * Keys of a distribution, as we ship them and as they are installed, with those that the user named and those of `more`
 * files of this machine. Throws
 * `BAD_SOURCE` where a named or shipped one is missing and `BAD_SIGNATURE` where it is no keyring; installed ones that are
 * missing or damaged are left out, for there are still ours.
 */
export async function loadKeyring(
  keyrings: Keyrings,
  context: CrawlContext,
  deps: ListDeps,
  more: { readonly paths: readonly string[]; readonly inline: readonly KeyFile[] } = {
    paths: [],
    inline: [],
  },
): Promise<Keyring> {
  const root = deps.aptRoot ?? '/'
  const named = (deps.keyFiles ?? []).map(keyFile)
  const shipped = keyrings.shipped.map((name) => keyFile(join(deps.keysDir, name)))
  const installed = [...more.paths, ...keyrings.system].map((path) => optional(join(root, path), context))
  const files = await Promise.all([...named, ...shipped, ...installed])
  return readKeyring([...files.filter((file) => file !== null), ...more.inline])
}

async function optional(path: string, context: CrawlContext): Promise<KeyFile | null> {
  try {
    const file = await keyFile(path)
    await readKeyring([file])
    return file
  } catch (err) {
    if (!(err instanceof CrawlError)) throw err
    context.log.debug({ path, reason: describeError(err) }, 'keyring left out')
    return null
  }
}

async function keyFile(path: string): Promise<KeyFile> {
  try {
    return { name: path, bytes: await readFile(path) }
  } catch (err) {
    throw new CrawlError('BAD_SOURCE', `keyring ${path}`, { cause: err })
  }
}
