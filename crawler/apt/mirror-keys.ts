import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describeError } from '../../core/errors.ts'
import type { ListDeps } from '../deps.ts'
import type { AptIndex } from '../schema.ts'
import { type CrawlContext, CrawlError } from '../types.ts'
import { type KeyFile, type Keyring, readKeyring } from './keyring.ts'
import type { Mirror } from './mirrors.ts'

/** Keys of the distribution, as it is installed and as we ship it, and those that apt was told for this mirror. */
export function keyringLoader(
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

  /** Keys that the machine has of its own; without them there are still ours. */
  async function optional(path: string): Promise<KeyFile | null> {
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
}

async function keyFile(path: string): Promise<KeyFile> {
  try {
    return { name: path, bytes: await readFile(path) }
  } catch (err) {
    throw new CrawlError('BAD_SOURCE', `keyring ${path}`, { cause: err })
  }
}
