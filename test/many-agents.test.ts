import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startAgents } from './helpers/agents-at-once.ts'
import { nightly } from './helpers/nightly.ts'
import { type RunningServer, serveCli } from './helpers/cli.ts'
import { bannerOf, buildIdOf, makeSyntheticHub, releaseOf, toolOf } from './helpers/synthetic-hub.ts'

/** The bench has 10,000 on a hub of 20,000 kernels and 50 tools. */
const AGENTS = nightly ? 10_000 : 1_000

describe(`${AGENTS} agents that start at once, each on another kernel`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'btfhub-agents-'))
  let server: RunningServer

  beforeAll(async () => {
    await makeSyntheticHub(dir, { kernels: AGENTS, tools: 2 })
    server = await serveCli(dir)
  })
  afterAll(async () => {
    await server.stop()
    rmSync(dir, { recursive: true })
  })

  const each = (path: (i: number) => string): string[] => Array.from({ length: AGENTS }, (_, i) => path(i))
  async function residentBytes(): Promise<number> {
    const text = await (await fetch(`${server.url}/metrics`)).text()
    return Number(/^process_resident_memory_bytes (\d+)$/m.exec(text)?.[1])
  }

  it.each<[string, (i: number) => string]>([
    ['by release, cold', (i) => `/v1/min/${toolOf(0)}/${releaseOf(i)}`],
    ['by release, hot', (i) => `/v1/min/${toolOf(0)}/${releaseOf(i)}`],
    ['by build-id and banner, cold', (i) => exact(i)],
  ])('are all answered %s, in bounded memory', async (_, path) => {
    const { errors, latenciesMs } = await startAgents(server.url, each(path))
    expect(errors).toEqual([])
    expect(latenciesMs).toHaveLength(AGENTS)
    expect(await residentBytes()).toBeLessThan(512 * 1024 * 1024)
  })

  it('are each given their own kernel’s', async () => {
    const of = async (path: string): Promise<string | null> => {
      const answer = await fetch(`${server.url}${path}`)
      return answer.headers.get('btfhub-kernel')
    }
    for (const i of [0, 7, AGENTS - 1]) {
      expect(await of(exact(i))).toBe(`ubuntu/20.04/x86_64/${releaseOf(i)}`)
      expect(await of(`/v1/min/${toolOf(1)}/${releaseOf(i)}`)).toBe(`ubuntu/20.04/x86_64/${releaseOf(i)}`)
    }
  })
})

function exact(i: number): string {
  const facts = new URLSearchParams({ build_id: buildIdOf(i), banner: bannerOf(i) })
  return `/v1/min/${toolOf(1)}/${releaseOf(i)}?${facts.toString()}`
}
