import type { IndexCache, IndexMemo } from './types.ts'

/** A memory of indexes that ends with the process: for a listing without a hub. */
export function memoryIndexCache(): IndexCache {
  const memos = new Map<string, IndexMemo>()
  return {
    get: (key) => Promise.resolve(memos.get(key) ?? null),
    put: (key, memo) => {
      memos.set(key, memo)
      return Promise.resolve()
    },
  }
}
