import { randomBytes, timingSafeEqual } from 'node:crypto'
import { sha256Of, type Sha256 } from './digest.ts'
import { checkName } from './kernel.ts'

const PREFIX = 'btfhub_'
const SECRET_BYTES = 32

/** A new secret, 256 random bits behind a prefix by which scanners of repositories know it. */
export function makeSecret(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64url')
}

/** What is kept of a secret. It is as random as a hash, so nothing slower is needed against guessing. */
export function hashSecret(secret: string): Sha256 {
  return sha256Of(secret)
}

/**
 * The token whose secret was shown; null where there is none. Every hash is compared, each in constant time, so that how
 * long it takes says nothing.
 */
export function findToken<T extends { readonly hash: Sha256 }>(
  tokens: readonly T[],
  secret: string,
): T | null {
  const shown = Buffer.from(hashSecret(secret), 'hex')
  let found: T | null = null
  for (const token of tokens) if (timingSafeEqual(shown, Buffer.from(token.hash, 'hex'))) found = token
  return found
}

/** `tools` or `tool:NAME`: what a token lets its holder do. Throws KernelNameError for anything else. */
export function checkScope(scope: string): string {
  if (scope !== 'tools')
    checkName('scope tool:', scope.startsWith('tool:') ? scope.slice('tool:'.length) : '')
  return scope
}

/** Whether one of the scopes lets versions of a tool be added. */
export function allowsTool(scopes: readonly string[], tool: string): boolean {
  return scopes.includes('tools') || scopes.includes(`tool:${tool}`)
}
