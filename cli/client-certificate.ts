import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { describeError } from '../core/errors.ts'
import type { TlsIdentity } from '../core/http-dispatch.ts'
import type { SourceFile } from '../crawler/index.ts'
import { UsageError } from './exit.ts'

/** Files in PEM by which a hub is known to archives that ask who comes, as they were named on the command line. */
export interface ClientCertificateFiles {
  readonly clientCert?: string
  readonly clientKey?: string
  /** Authorities that such archives are held against, instead of those of the machine. */
  readonly clientCa?: string
}

/**
 * What the hosts of sources that want a client certificate are shown, `mirrors` that replace them included; nobody else
 * sees it. Throws UsageError where it is wanted and not there, or is none; the key is in no message.
 */
export async function clientIdentities(
  sources: readonly SourceFile[],
  mirrors: readonly string[],
  files: ClientCertificateFiles,
): Promise<Readonly<Record<string, TlsIdentity>>> {
  const wanting = sources.filter(({ clientCertificate }) => clientCertificate)
  if (wanting.length === 0) return {}
  const identity = await readIdentity(wanting.map(({ id }) => id).join(', '), files)
  const own = wanting.flatMap(({ indexes }) =>
    indexes.flatMap(({ archives }) => archives.flatMap((archive) => archive.mirrors)),
  )
  const urls = [...own, ...mirrors].filter((url) => URL.canParse(url))
  return Object.fromEntries(urls.map((url) => [new URL(url).host, identity]))
}

async function readIdentity(who: string, files: ClientCertificateFiles): Promise<TlsIdentity> {
  const { clientCert, clientKey, clientCa } = files
  if (clientCert === undefined || clientKey === undefined) {
    throw new UsageError(
      `${who}: its hosts want a client certificate: name its files with --client-cert and --client-key, or in BTFHUB_CLIENT_CERT and BTFHUB_CLIENT_KEY`,
    )
  }
  const identity = {
    cert: await readPem('--client-cert', clientCert),
    key: await readPem('--client-key', clientKey),
    ...(clientCa === undefined ? {} : { ca: await readPem('--client-ca', clientCa) }),
  }
  try {
    createSecureContext(identity)
  } catch (err) {
    throw new UsageError(`--client-cert ${clientCert} with --client-key ${clientKey}: ${describeError(err)}`)
  }
  return identity
}

async function readPem(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (err) {
    throw new UsageError(`${option} ${path}: ${describeError(err)}`)
  }
}
