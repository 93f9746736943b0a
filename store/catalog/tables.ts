import type { Generated } from 'kysely'

/** The catalog's tables as `migrations/` leaves them. What their columns mean to others is said in `rows.ts`. */
export interface CatalogTables {
  catalog_state: { id: number; generation: number; min_changes: Generated<number> }
  digests: { id: Generated<number>; digest: string; size_bytes: number | null }
  builds: {
    id: Generated<number>
    key: string
    distro: string
    version: string
    arch: string
    release: string
    flavour: string
    series: string
    btf_id: number
    layout_digest: string
    /** Also in the provenance; here to select by. */
    origin: string
    /** JSON. */
    provenance: string
  }
  build_merged: { build_id: number; btf_id: number; layout_digest: string }
  build_modules: { build_id: number; name: string; btf_id: number; origin: string }
  failures: {
    id: Generated<number>
    key: string
    distro: string
    version: string
    arch: string
    release: string
    code: string
    message: string
    tries: number
    last_try_at: string
    next_try_at: string
  }
  tools: { id: Generated<number>; name: string; version: string; created_at: string }
  tool_objects: { tool_id: number; name: string; object_id: number }
  min_btfs: { tool_id: number; btf_id: number; min_id: number }
  derived: { from_id: number; form: string; to_id: number }
  tokens: {
    name: string
    hash: string
    /** JSON. */
    scopes: string
    created_at: string
  }
  index_memos: {
    key: string
    etag: string | null
    last_modified: string | null
    sha256: string
    value: string
  }
}
