import type { Tool } from '../store/types.ts'

/** The tools of a catalog at one moment. */
export class ToolIndex {
  /** By name; the versions of each, newest first. */
  readonly names: ReadonlyMap<string, readonly Tool[]>

  constructor(tools: readonly Tool[]) {
    const names = new Map<string, Tool[]>()
    for (const tool of [...tools].sort((a, b) => b.id - a.id)) {
      names.set(tool.name, [...(names.get(tool.name) ?? []), tool])
    }
    this.names = new Map([...names].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** `NAME@VERSION`, or the newest version of `NAME`; null where there is none. */
  find(spec: string): Tool | null {
    const at = spec.lastIndexOf('@')
    if (at <= 0) return this.names.get(spec)?.[0] ?? null
    const versions = this.names.get(spec.slice(0, at)) ?? []
    return versions.find((tool) => tool.version === spec.slice(at + 1)) ?? null
  }
}

/** `NAME@VERSION`. */
export function formatTool(tool: Pick<Tool, 'name' | 'version'>): string {
  return `${tool.name}@${tool.version}`
}
