import { parsePublicKey } from '../../core/signed-index/index.ts'
import { Exit, ExitCode } from '../exit.ts'
import { addKey, readKeys, removeKey } from '../hub/keys.ts'
import type { Invocation } from '../main.ts'

interface KeyOptions {
  readonly data: string
}

/** `btfhub key generate`: one more key that signs; its public part on stdout. */
export async function keyGenerate(options: KeyOptions, { terminal }: Invocation): Promise<void> {
  const { publicKey } = await addKey(options.data)
  terminal.out(publicKey)
}

/** `btfhub key show`: the public parts, a line each. Exit code 3 where there is no key. */
export async function keyShow(options: KeyOptions, { terminal }: Invocation): Promise<void> {
  const keys = await readKeys(options.data)
  for (const { publicKey } of keys) terminal.out(publicKey)
  if (keys.length > 0) return
  terminal.err('btfhub: no key yet; `btfhub key generate` makes one, the first export too')
  throw new Exit(ExitCode.notFound)
}

/** `btfhub key rm KEY`: signs with it no more. Exit code 3 where there is no such key. */
export async function keyRemove(text: string, options: KeyOptions, { terminal }: Invocation): Promise<void> {
  if (await removeKey(options.data, parsePublicKey(text))) return
  terminal.err(`btfhub: no key ${text}; \`btfhub key show\` shows what there is`)
  throw new Exit(ExitCode.notFound)
}
