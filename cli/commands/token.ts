import { checkScope, hashSecret, makeSecret } from '../../core/token.ts'
import { checkName } from '../../core/kernel.ts'
import { Exit, ExitCode } from '../exit.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'
import { formatTable } from '../terminal.ts'

export interface TokenOptions {
  readonly data: string
  readonly json: boolean
}

/** `btfhub token add NAME --scope SCOPE…`: its secret on stdout, now and never again. */
export async function tokenAdd(
  name: string,
  options: Pick<TokenOptions, 'data'> & { readonly scope: readonly string[] },
  invocation: Invocation,
): Promise<void> {
  checkName('token name', name)
  const scopes = [...new Set(options.scope.map(checkScope))].sort()
  const secret = makeSecret()
  await withStore(options, invocation, (store) =>
    store.catalog.addToken({ name, hash: hashSecret(secret), scopes }),
  )
  invocation.terminal.out(secret)
}

/** `btfhub token list`: everything but the secrets, which are kept nowhere. */
export async function tokenList(options: TokenOptions, invocation: Invocation): Promise<void> {
  const { terminal } = invocation
  const tokens = await withStore({ data: options.data, readOnly: true }, invocation, (store) =>
    store.catalog.tokens(),
  )
  const shown = tokens.map(({ name, scopes, createdAt }) => ({ name, scopes, created_at: createdAt }))
  if (options.json) terminal.out(JSON.stringify(shown, null, 2))
  else {
    const rows = shown.map((token) => [token.name, token.scopes.join(' '), token.created_at.slice(0, 16)])
    terminal.out(formatTable(['TOKEN', 'SCOPES', 'SINCE'], rows))
  }
}

/** `btfhub token rotate NAME`: another secret, the old one being worth nothing from now on. Exit code 3 where there is none. */
export async function tokenRotate(
  name: string,
  options: Pick<TokenOptions, 'data'>,
  invocation: Invocation,
): Promise<void> {
  const secret = makeSecret()
  const isThere = await withStore(options, invocation, (store) =>
    store.catalog.rotateToken(name, hashSecret(secret)),
  )
  if (!isThere) throw notThere(name, invocation)
  invocation.terminal.out(secret)
}

/** `btfhub token rm NAME`. Exit code 3 where there is none. */
export async function tokenRemove(
  name: string,
  options: Pick<TokenOptions, 'data'>,
  invocation: Invocation,
): Promise<void> {
  const isThere = await withStore(options, invocation, (store) => store.catalog.removeToken(name))
  if (!isThere) throw notThere(name, invocation)
}

function notThere(name: string, { terminal }: Invocation): Exit {
  terminal.err(`btfhub: no token ${name}; \`btfhub token list\` shows what there is`)
  return new Exit(ExitCode.notFound)
}
