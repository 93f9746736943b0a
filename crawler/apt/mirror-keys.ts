import type { ListDeps } from '../deps.ts'
import type { Keyring } from '../openpgp/keyring.ts'
import { loadKeyring } from '../openpgp/load.ts'
import type { AptIndex } from '../schema.ts'
import type { CrawlContext } from '../types.ts'
import type { Mirror } from './mirrors.ts'

/** Keys of the distribution, as it is installed and as we ship it, and those that apt was told for this mirror. */
export function keyringLoader(
  index: AptIndex,
  context: CrawlContext,
  deps: ListDeps,
): (mirror: Mirror) => Promise<Keyring> {
  const loaded = new Map<string, Promise<Keyring>>()
  return (mirror) => {
    const key = JSON.stringify([mirror.keyFiles, mirror.inlineKeys])
    let keyring = loaded.get(key)
    if (keyring === undefined) {
      const inline = mirror.inlineKeys.map((text) => ({
        name: `Signed-By of ${mirror.base}`,
        bytes: Buffer.from(text),
      }))
      keyring = loadKeyring(index.keyrings, context, deps, { paths: mirror.keyFiles, inline })
      loaded.set(key, keyring)
    }
    return keyring
  }
}
