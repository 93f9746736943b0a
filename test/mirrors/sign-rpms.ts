import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { havePrograms } from '../helpers/machine.ts'
import type { TestKey } from '../apt-repository.ts'

export interface SignOptions {
  /** OpenPGP signatures of version 3, as distributions made them until about 2020: by GnuPG 1. */
  readonly version3?: boolean
  readonly digest?: 'sha1' | 'sha256' | 'sha512'
  /** What time GnuPG thinks it is: `20200101T000000`. */
  readonly at?: string
}

/** True where signatures of version 3 can be made. */
export const canSignVersion3 = havePrograms('gpg1')

/** Signs packages with rpmsign, in place. */
export function signRpms(files: readonly string[], key: TestKey, options: SignOptions = {}): void {
  const { version3 = false, digest = 'sha256', at } = options
  const home = version3 ? oldHome(key) : key.home
  const extra = [
    ...(version3 ? ['--force-v3-sigs'] : []),
    ...(at === undefined ? [] : ['--faked-system-time', at]),
  ]
  const defines = [
    `_gpg_name ${key.fingerprint}`,
    `_gpg_path ${home}`,
    `_gpg_digest_algo ${digest}`,
    `__gpg ${programPath(version3 ? 'gpg1' : 'gpg')}`,
    ...(extra.length === 0 ? [] : [`_gpg_sign_cmd_extra_args ${extra.join(' ')}`]),
  ].flatMap((define) => ['--define', define])
  try {
    execFileSync('rpmsign', [...defines, '--addsign', ...files], { stdio: 'pipe' })
  } finally {
    if (version3) rmSync(home, { recursive: true, force: true })
  }
}

/** Takes all signatures off, in place. */
export function unsignRpms(files: readonly string[]): void {
  execFileSync('rpmsign', ['--delsign', ...files], { stdio: 'pipe' })
}

function programPath(name: string): string {
  return execFileSync('sh', ['-c', `command -v ${name}`])
    .toString()
    .trim()
}

/** A home of GnuPG 1 with the same key. */
function oldHome({ home }: TestKey): string {
  const old = mkdtempSync(join(tmpdir(), 'gpg1-'))
  const secret = execFileSync('gpg', ['--homedir', home, '--batch', '--quiet', '--export-secret-keys'])
  execFileSync('gpg1', ['--homedir', old, '--batch', '--quiet', '--import'], { input: secret, stdio: 'pipe' })
  return old
}
