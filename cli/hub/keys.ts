import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256Of } from '../../core/digest.ts'
import {
  generateKeyPem,
  parseSigningKey,
  type PublicKeyText,
  type SigningKey,
} from '../../core/signed-index/index.ts'
import { writeFileAtomic } from '../../core/temp-file.ts'

/** Nobody but the hub's own user reads a secret. */
const SECRET_MODE = 0o600
const SECRET_DIR_MODE = 0o700

/** The keys of a hub, `keys/*.pem` in its data folder; none where it has none yet. Throws IndexError `BAD_KEY`. */
export async function readKeys(dataDir: string): Promise<readonly SigningKey[]> {
  const names = await readdir(join(dataDir, 'keys')).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return []
    throw err
  })
  const keys: SigningKey[] = []
  for (const name of names.filter((each) => each.endsWith('.pem')).sort()) {
    const path = join(dataDir, 'keys', name)
    keys.push(parseSigningKey(path, await readFile(path, 'utf8')))
  }
  return keys
}

/** The keys that sign a hub's index: those in files, where any are named, else its own. Throws as {@link readKeys}. */
export async function readSigningKeys(
  dataDir: string,
  files: readonly string[],
): Promise<readonly SigningKey[]> {
  if (files.length === 0) return readKeys(dataDir)
  return Promise.all(files.map(async (file) => parseSigningKey(file, await readFile(file, 'utf8'))))
}

/** Makes one more key. */
export async function addKey(dataDir: string): Promise<SigningKey> {
  const pem = generateKeyPem()
  const key = parseSigningKey('a new key', pem)
  await mkdir(join(dataDir, 'keys'), { recursive: true, mode: SECRET_DIR_MODE })
  await writeFileAtomic(keyPath(dataDir, key.publicKey), pem, SECRET_MODE)
  return key
}

/** False where the hub has no such key. */
export async function removeKey(dataDir: string, publicKey: PublicKeyText): Promise<boolean> {
  const keys = await readKeys(dataDir)
  if (!keys.some((key) => key.publicKey === publicKey)) return false
  await rm(keyPath(dataDir, publicKey))
  return true
}

/** By a hash of it, because base64url has names that begin with `-`. */
function keyPath(dataDir: string, publicKey: PublicKeyText): string {
  return join(dataDir, 'keys', `${sha256Of(publicKey).slice(0, 16)}.pem`)
}
