import { type PublicKey, readKeys } from 'openpgp'
import { describeError } from '../../core/errors.ts'
import { type Sha256, sha256Of } from '../../core/digest.ts'
import { CrawlError } from '../types.ts'

/** Keys that may sign an archive's Release files. */
export interface Keyring {
  readonly keys: readonly PublicKey[]
  /** Changes whenever a key does: what was verified with other keys is not remembered. */
  readonly id: Sha256
}

/** One file of keys, binary or armoured; `name` is for messages. */
export interface KeyFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** Reads all keys of some files. Throws `BAD_SIGNATURE` where a file is no keyring. */
export async function readKeyring(files: readonly KeyFile[]): Promise<Keyring> {
  const keys: PublicKey[] = []
  for (const file of files) keys.push(...(await readKeyFile(file)))
  const fingerprints = keys.map((key) => key.getFingerprint())
  const bytes = files.map((file) => sha256Of(file.bytes))
  return { keys, id: sha256Of([...fingerprints, ...bytes].join('\n')) }
}

async function readKeyFile(file: KeyFile): Promise<PublicKey[]> {
  const text = Buffer.from(file.bytes).toString('latin1')
  try {
    if (!text.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----'))
      return await readKeys({ binaryKeys: file.bytes })
    const blocks =
      text.match(/-----BEGIN PGP PUBLIC KEY BLOCK-----[^]*?-----END PGP PUBLIC KEY BLOCK-----/g) ?? []
    const keys = await Promise.all(blocks.map((armoredKeys) => readKeys({ armoredKeys })))
    return keys.flat()
  } catch (err) {
    throw new CrawlError(
      'BAD_SIGNATURE',
      `keyring ${file.name}: expected OpenPGP keys, ${describeError(err)}`,
      {
        cause: err,
      },
    )
  }
}
