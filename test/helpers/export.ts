import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPem, parseSigningKey, type SigningKey } from '../../core/signed-index/index.ts'
import { exportTree, type ExportReport, type ExportTreeOptions } from '../../cli/export/export.ts'
import { TREE_FORMS } from '../../cli/export/types.ts'
import type { Store } from '../../store/index.ts'

/** A key of a test's own. */
export function testKey(): SigningKey {
  return parseSigningKey('a key of a test', generateKeyPem())
}

/** Exports a store into a folder, all forms, good for a day. */
export async function exportTo(
  dir: string,
  store: Store,
  key: SigningKey,
  options: Partial<ExportTreeOptions> = {},
): Promise<ExportReport> {
  return exportTree(dir, store, {
    keys: [key],
    forms: TREE_FORMS,
    getScript: '#!/bin/sh\n',
    lifetimeMs: 24 * 3600_000,
    copies: false,
    modules: true,
    now: new Date(),
    signal: new AbortController().signal,
    onProgress: () => {},
    ...options,
  })
}

/** Runs `handler` with a new folder, and removes it afterwards. */
export async function withScratch<T>(handler: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'btfhub-test-'))
  try {
    return await handler(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
