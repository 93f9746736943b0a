import { catalog } from './001-catalog.ts'
import { modules } from './002-modules.ts'
import { tokens } from './003-tokens.ts'
import { minChanges } from './004-min-changes.ts'
import type { Migration } from './migrate.ts'

/** Every step from an empty database to today's, in order. A step that was released never changes. */
export const migrations: readonly Migration[] = [catalog, modules, tokens, minChanges]
