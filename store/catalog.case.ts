import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { sha256Of, type Sha256 } from '../core/digest.ts'
import { modulesKey } from '../core/kernel-package.ts'
import { createCatalogModel } from './catalog.model.fixture.ts'
import { sampleBuild } from './sample.fixture.ts'
import type { BlobRef, Build, BuildModules, Catalog, Failure, Tool, ToolObject } from './types.ts'

const blob = (text: string): BlobRef => ({ digest: sha256Of(text), sizeBytes: text.length })
const object = (name: string, text = name): ToolObject => ({ name, ...blob(text) })
const fail = (key: string, lastTryAt = '2026-03-01T00:00:00.000Z'): Omit<Failure, 'tries' | 'nextTryAt'> => ({
  key,
  kernel: sampleBuild().kernel,
  code: 'NO_BTF',
  message: 'it has none',
  lastTryAt,
})

/** What every catalog must do, run by each implementation with its own way to open an empty one. */
export function describeCatalog(name: string, open: () => Promise<Catalog>): void {
  describe(`${name} as a catalog`, () => {
    let catalog: Catalog
    beforeEach(async () => {
      catalog = await open()
    })

    it('is empty at first', async () => {
      const absent = sha256Of('absent')
      expect(await catalog.builds()).toEqual([])
      expect(await catalog.buildByKey('absent')).toBeNull()
      expect(await catalog.failures()).toEqual([])
      expect(await catalog.failure('absent')).toBeNull()
      expect(await catalog.tools()).toEqual([])
      expect(await catalog.tool('absent')).toBeNull()
      expect(await catalog.removeTool('absent')).toBe(0)
      expect(await catalog.minBtf(1, absent)).toBeNull()
      expect(await catalog.minBtfs(1)).toEqual(new Map())
      expect(await catalog.derived(absent, 'gz')).toBeNull()
      expect(await catalog.indexMemo('absent')).toBeNull()
      expect(await catalog.referencedBlobs()).toEqual(new Set())
      expect(await catalog.prune()).toBe(0)
      expect(await catalog.check()).toEqual({ rows: 0, wrong: [] })
    })

    it('keeps tokens by name, each with one secret at a time', async () => {
      const [old, fresh] = [sha256Of('old'), sha256Of('fresh')]
      expect(await catalog.tokens()).toEqual([])
      const added = await catalog.addToken({ name: 'ci', hash: old, scopes: ['tools', 'tool:x'] })
      expect(added).toMatchObject({ name: 'ci', hash: old, scopes: ['tools', 'tool:x'] })
      await expect(catalog.addToken({ name: 'ci', hash: fresh, scopes: [] })).rejects.toMatchObject({
        code: 'CONFLICT',
      })
      expect(await catalog.tokens()).toEqual([added])
      expect(await catalog.rotateToken('ci', fresh)).toBe(true)
      expect((await catalog.tokens())[0]?.hash).toBe(fresh)
      expect(await catalog.rotateToken('none', old)).toBe(false)
      expect(await catalog.removeToken('ci')).toBe(true)
      expect(await catalog.removeToken('ci')).toBe(false)
      expect(await catalog.tokens()).toEqual([])
    })

    describe('builds', () => {
      it('come back as they were added, under a growing id', async () => {
        const full = sampleBuild({
          provenance: {
            origin: 'dwarf',
            paholeVersion: '1.24',
            paholeFlags: ['-J', '--btf_gen_floats'],
            warnings: ['a “warning”\nof two lines', ''],
          },
        })
        const bare = sampleBuild({
          kernel: { release: '4.18.0-80.el8.x86_64' },
          provenance: {
            packageName: null,
            packageVersion: null,
            url: null,
            packageSha256: null,
            buildId: null,
            banner: null,
          },
        })
        const first = await catalog.addBuild(full)
        const second = await catalog.addBuild(bare)
        expect(first).toEqual({ ...full, id: first.id })
        expect(second).toEqual({ ...bare, id: second.id })
        expect(second.id).toBeGreaterThan(first.id)
        expect(await catalog.builds()).toEqual([first, second])
        expect(await catalog.buildByKey(bare.key)).toEqual(second)
      })

      it('are added once: the same key again gives back the first, and counts as no change', async () => {
        const first = await catalog.addBuild(sampleBuild())
        const generation = await catalog.generation()
        const later = sampleBuild({ provenance: { createdAt: '2027-01-01T00:00:00.000Z' } })
        expect(await catalog.addBuild(later)).toEqual(first)
        expect(await catalog.builds()).toEqual([first])
        expect(await catalog.generation()).toBe(generation)
      })

      it('are refused where the key is taken by another BTF, naming both', async () => {
        const first = await catalog.addBuild(sampleBuild())
        const other = sampleBuild({ btf: new TextEncoder().encode('other') })
        const refused = catalog.addBuild(other)
        await expect(refused).rejects.toMatchObject({ code: 'CONFLICT' })
        await expect(refused).rejects.toThrow(first.btf.digest)
        await expect(refused).rejects.toThrow(other.btf.digest)
        expect(await catalog.builds()).toEqual([first])
        expect((await catalog.referencedBlobs()).has(other.btf.digest)).toBe(false)
      })

      it('are refused where the key is taken by another kernel', async () => {
        const first = await catalog.addBuild(sampleBuild())
        const other = { ...sampleBuild(), kernel: { ...first.kernel, release: '6.1.0-48-amd64' } }
        await expect(catalog.addBuild(other)).rejects.toThrow(/debian\/12\/x86_64\/6\.1\.0-48-amd64/)
      })

      it('may share one BTF', async () => {
        const btf = new TextEncoder().encode('shared')
        const a = await catalog.addBuild(sampleBuild({ btf, kernel: { release: 'a' } }))
        const b = await catalog.addBuild(sampleBuild({ btf, kernel: { release: 'b' } }))
        expect(a.btf).toEqual(b.btf)
        expect(await catalog.referencedBlobs()).toEqual(new Set([a.btf.digest]))
      })

      it('are refused where their BTF is known with another size', async () => {
        await catalog.addBuild(sampleBuild())
        const lying = sampleBuild({ key: 'other' })
        const wrong = { ...lying, btf: { ...lying.btf, sizeBytes: 1 } }
        await expect(catalog.addBuild(wrong)).rejects.toMatchObject({ code: 'CORRUPT' })
      })

      describe('when asked for', () => {
        let all: readonly Build[]
        beforeEach(async () => {
          const kernels = [
            { distro: 'debian', version: '12', arch: 'x86_64', release: '6.1.0-47-amd64' },
            { distro: 'debian', version: '12', arch: 'aarch64', release: '6.1.0-47-arm64' },
            { distro: 'debian', version: '13', arch: 'x86_64', release: '6.12.107+deb13-cloud-amd64' },
            { distro: 'ubuntu', version: '18.04', arch: 'x86_64', release: '5.4.0-80-generic' },
            { distro: 'ubuntu', version: '20.04', arch: 'x86_64', release: '5.4.0-80-generic' },
            { distro: 'centos', version: '7', arch: 'x86_64', release: '3.10.0-1160.el7.x86_64' },
            { distro: 'made_up', version: '1%', arch: 'x86_64', release: 'Odd_100%\\release' },
          ] as const
          const origins = ['embedded', 'dwarf'] as const
          all = await Promise.all(
            kernels.map((kernel, i) =>
              catalog.addBuild(sampleBuild({ kernel, provenance: { origin: origins[i % 2] ?? 'dwarf' } })),
            ),
          )
          all = all.toSorted((a, b) => a.id - b.id)
        })

        it.each([
          ['nothing in particular', {}, 7],
          ['a distro', { distro: 'debian' }, 3],
          ['a distro and a version', { distro: 'ubuntu', version: '20.04' }, 1],
          ['an arch', { arch: 'aarch64' }, 1],
          ['a release', { release: '5.4.0-80-generic' }, 2],
          ['an origin', { origin: 'dwarf' }, 3],
          ['a part of the release', { q: 'cloud' }, 1],
          ['a part in other letters', { q: 'CLOUD' }, 1],
          ['a part with a percent sign', { q: '0%' }, 1],
          ['a part with an underscore', { q: 'odd_1' }, 1],
          ['a part with a backslash', { q: '%\\r' }, 1],
          ['an underscore, which is no wildcard', { q: '5_4' }, 0],
          ['everything at once', { distro: 'debian', version: '12', arch: 'x86_64', q: '6.1' }, 1],
          ['what there is not', { distro: "x' or 1=1 --" }, 0],
          ['none of them', { limit: 0 }, 0],
        ])('by %s are found', async (_, filter, expected) => {
          const found = await catalog.builds(filter)
          expect(found).toHaveLength(expected)
          for (const build of found) expect(all).toContainEqual(build)
        })

        it('in pages come each once and in the order of their ids', async () => {
          const pages: Build[] = []
          for (let afterId = 0; ;) {
            const page = await catalog.builds({ arch: 'x86_64', afterId, limit: 2 })
            expect(page.length).toBeLessThanOrEqual(2)
            pages.push(...page)
            const last = page.at(-1)
            if (last === undefined) break
            afterId = last.id
          }
          expect(pages).toEqual(all.filter((build) => build.kernel.arch === 'x86_64'))
        })
      })
    })

    describe('modules', () => {
      const origin = 'embedded' as const
      const ofBuild = (...names: string[]): BuildModules => ({
        modules: names.map((name) => ({ name, btf: blob(`BTF of ${name}`), origin })),
        merged: blob(`merged ${names.join()}`),
        mergedLayout: sha256Of(`layout ${names.join()}`),
      })

      it('come back as they were put, by name, and are a change', async () => {
        const { id } = await catalog.addBuild(sampleBuild())
        expect(await catalog.modules(id)).toBeNull()
        expect(await catalog.buildsWithModules()).toEqual(new Set())
        const generation = await catalog.generation()
        const modules = ofBuild('veth', 'ext4')
        await catalog.putModules(id, modules)
        expect(await catalog.modules(id)).toEqual({ ...modules, modules: modules.modules.toReversed() })
        expect(await catalog.buildsWithModules()).toEqual(new Set([id]))
        expect(await catalog.generation()).toBe(generation + 1)
        await catalog.putModules(id, { ...modules, modules: modules.modules.toReversed() })
        expect(await catalog.generation()).toBe(generation + 1)
        expect(await catalog.check()).toMatchObject({ wrong: [] })
      })

      it('may be none', async () => {
        const { id } = await catalog.addBuild(sampleBuild())
        await catalog.putModules(id, ofBuild())
        expect(await catalog.modules(id)).toEqual(ofBuild())
      })

      it('of a build never change, and need one', async () => {
        const { id } = await catalog.addBuild(sampleBuild())
        await catalog.putModules(id, ofBuild('veth'))
        await expect(catalog.putModules(id, ofBuild('ext4'))).rejects.toMatchObject({ code: 'CONFLICT' })
        await expect(catalog.putModules(id + 1, ofBuild())).rejects.toMatchObject({ code: 'NOT_FOUND' })
        expect(await catalog.modules(id)).toEqual(ofBuild('veth'))
      })

      it('keep their blobs referenced, and what is derived from those', async () => {
        const { id, btf } = await catalog.addBuild(sampleBuild())
        const { modules, merged, mergedLayout } = ofBuild('veth')
        await catalog.putModules(id, { modules, merged, mergedLayout })
        const veth = blob('BTF of veth')
        await catalog.putDerived(veth.digest, 'gz', blob('gz'))
        expect(await catalog.prune()).toBe(0)
        expect(await catalog.referencedBlobs()).toEqual(
          new Set([btf.digest, veth.digest, merged.digest, blob('gz').digest]),
        )
        const references = await catalog.references()
        expect(references.filter(({ kind }) => kind === 'module').map(({ by }) => by)).toEqual([
          expect.stringMatching(/^module veth of build test/),
          expect.stringMatching(/^build test.* with its modules$/),
        ])
      })
    })

    describe('failures', () => {
      it('are counted, each try later than the one before', async () => {
        const days = async (): Promise<number> => {
          const { lastTryAt, nextTryAt } = await catalog.addFailure(fail('a'))
          return (Date.parse(nextTryAt) - Date.parse(lastTryAt)) / 86_400_000
        }
        const backOff: number[] = []
        for (let i = 0; i < 8; i++) backOff.push(await days())
        expect(backOff).toEqual([1, 2, 4, 8, 16, 30, 30, 30])
        expect(await catalog.failure('a')).toMatchObject({ tries: 8, code: 'NO_BTF' })
      })

      it('keep what the last try said', async () => {
        await catalog.addFailure(fail('a', '2026-03-01T00:00:00.000Z'))
        const last = { ...fail('a', '2026-03-02T12:00:00.000Z'), code: 'ILL', message: 'host is down' }
        const kept = await catalog.addFailure(last)
        expect(kept).toEqual({ ...last, tries: 2, nextTryAt: '2026-03-04T12:00:00.000Z' })
        expect(await catalog.failures()).toEqual([kept])
        expect(await catalog.failure('a')).toEqual(kept)
      })

      it('are forgotten when the build comes, and only that one', async () => {
        const build = sampleBuild()
        await catalog.addFailure(fail(build.key))
        await catalog.addFailure(fail('other'))
        await catalog.addBuild(build)
        expect((await catalog.failures()).map((failure) => failure.key)).toEqual(['other'])
        await catalog.addFailure(fail(build.key))
        await catalog.addBuild(build)
        expect(await catalog.failure(build.key)).toBeNull()
      })

      it('of a build’s modules are forgotten when those come, not when the build does', async () => {
        const build = sampleBuild()
        await catalog.addFailure(fail(modulesKey(build.key)))
        const { id } = await catalog.addBuild(build)
        expect(await catalog.failure(modulesKey(build.key))).toMatchObject({ tries: 1 })
        const merged = blob('merged')
        await catalog.putModules(id, { modules: [], merged, mergedLayout: sha256Of('layout') })
        expect(await catalog.failures()).toEqual([])
      })

      it('do not change the generation', async () => {
        const generation = await catalog.generation()
        await catalog.addFailure(fail('a'))
        expect(await catalog.generation()).toBe(generation)
      })
    })

    describe('tools', () => {
      it('come back with their objects by name, whatever order they were given in', async () => {
        const objects = [object('b.bpf.o'), object('a.bpf.o')]
        const tool = await catalog.addTool({ name: 'snoop', version: '1', objects })
        expect(tool).toMatchObject({ name: 'snoop', version: '1', objects: objects.toReversed() })
        expect(Date.parse(tool.createdAt)).toBeGreaterThan(Date.now() - 60_000)
        expect(await catalog.tool('snoop', '1')).toEqual(tool)
        expect(await catalog.addTool({ name: 'snoop', version: '1', objects: objects.toReversed() })).toEqual(
          tool,
        )
        expect(await catalog.tools()).toEqual([tool])
      })

      it.each([
        ['other bytes', [object('a.bpf.o', 'changed')]],
        ['another name', [object('b.bpf.o', 'a.bpf.o')]],
        ['one more object', [object('a.bpf.o'), object('b.bpf.o')]],
        ['no objects', []],
        ['two objects of one name', [object('a.bpf.o'), object('a.bpf.o', 'changed')]],
      ])('do not change within a version: %s are refused', async (_, objects) => {
        const kept = await catalog.addTool({ name: 'snoop', version: '1', objects: [object('a.bpf.o')] })
        await expect(catalog.addTool({ name: 'snoop', version: '1', objects })).rejects.toMatchObject({
          code: 'CONFLICT',
          message: expect.stringContaining('snoop@1'),
        })
        expect(await catalog.tools()).toEqual([kept])
      })

      it('without a version are the one added last, not the one with the highest number', async () => {
        await catalog.addTool({ name: 'snoop', version: '2', objects: [object('a.bpf.o')] })
        const last = await catalog.addTool({ name: 'snoop', version: '10', objects: [object('b.bpf.o')] })
        await catalog.addTool({ name: 'snoop', version: '2', objects: [object('a.bpf.o')] })
        await catalog.addTool({ name: 'other', version: '3', objects: [] })
        expect(await catalog.tool('snoop')).toEqual(last)
        expect(await catalog.tool('snoop', '3')).toBeNull()
      })

      it('are removed by version or whole, with the min BTFs of those alone', async () => {
        const tool = (version: string): Promise<Tool> =>
          catalog.addTool({ name: 'snoop', version, objects: [object('a.bpf.o')] })
        const [one, two] = [await tool('1'), await tool('2')]
        const full = sha256Of('full')
        for (const { id } of [one, two]) await catalog.putMinBtf(id, full, blob('min'))
        expect(await catalog.removeTool('snoop', '1')).toBe(1)
        expect(await catalog.tools()).toEqual([two])
        expect(await catalog.minBtf(one.id, full)).toBeNull()
        expect(await catalog.minBtf(two.id, full)).toEqual(blob('min'))
        expect(await catalog.removeTool('snoop')).toBe(1)
        expect(await catalog.removeTool('snoop')).toBe(0)
        expect(await catalog.referencedBlobs()).toEqual(new Set())
        const again = await tool('1')
        expect(again.id).toBeGreaterThan(two.id)
        expect(await catalog.minBtfs(again.id)).toEqual(new Map())
      })
    })

    describe('min BTFs', () => {
      it('are known by tool and full BTF, and replaced when put again', async () => {
        const { id } = await catalog.addTool({ name: 'snoop', version: '1', objects: [] })
        const [a, b] = [sha256Of('a'), sha256Of('b')]
        await catalog.putMinBtf(id, a, blob('one'))
        await catalog.putMinBtf(id, b, blob('one'))
        expect(await catalog.minBtf(id, a)).toEqual(blob('one'))
        await catalog.putMinBtf(id, b, blob('other'))
        expect(await catalog.minBtfs(id)).toEqual(
          new Map([
            [a, blob('one')],
            [b, blob('other')],
          ]),
        )
        expect(await catalog.minBtf(id + 1, a)).toBeNull()
      })

      it('are listed for some full BTFs, by tool, however many these are', async () => {
        const [one, two] = [
          await catalog.addTool({ name: 'one', version: '1', objects: [] }),
          await catalog.addTool({ name: 'two', version: '1', objects: [] }),
        ]
        const [a, b, c] = [sha256Of('a'), sha256Of('b'), sha256Of('c')]
        for (const btf of [a, b, c]) await catalog.putMinBtf(one.id, btf, blob('one'))
        await catalog.putMinBtf(two.id, b, blob('two'))
        const others = Array.from({ length: 2500 }, (_, i) => sha256Of(`other ${i}`))
        expect(await catalog.minBtfsOf([a, ...others, b, b])).toEqual(
          new Map([
            [
              one.id,
              new Map([
                [a, blob('one')],
                [b, blob('one')],
              ]),
            ],
            [two.id, new Map([[b, blob('two')]])],
          ]),
        )
        expect(await catalog.minBtfsOf([])).toEqual(new Map())
      })

      it('are counted, and count as no change of what is kept in memory', async () => {
        const { id } = await catalog.addTool({ name: 'snoop', version: '1', objects: [] })
        const [generation, count] = [await catalog.generation(), await catalog.minChanges()]
        await catalog.putMinBtf(id, sha256Of('a'), blob('one'))
        await catalog.putMinBtf(id, sha256Of('a'), blob('other'))
        expect(await catalog.minChanges()).toBe(count + 2)
        expect(await catalog.generation()).toBe(generation)
      })

      it('of a tool that is not there are refused', async () => {
        const put = catalog.putMinBtf(7, sha256Of('a'), blob('min'))
        await expect(put).rejects.toMatchObject({
          code: 'NOT_FOUND',
          message: expect.stringContaining('tool 7'),
        })
      })
    })

    describe('derived blobs', () => {
      it('are known by source and form, and replaced when put again', async () => {
        const from = sha256Of('from')
        await catalog.putDerived(from, 'gz', blob('packed'))
        await catalog.putDerived(from, 'tar.xz:a.btf', blob('tar'))
        await catalog.putDerived(from, 'gz', blob('packed again'))
        expect(await catalog.derived(from, 'gz')).toEqual(blob('packed again'))
        expect(await catalog.derived(from, 'tar.xz:a.btf')).toEqual(blob('tar'))
        expect(await catalog.derived(from, 'tar.xz:b.btf')).toBeNull()
        expect(await catalog.derived(blob('packed').digest, 'gz')).toBeNull()
      })

      it('of what was lowered for readers of old are kept with it', async () => {
        const { btf } = await catalog.addBuild(sampleBuild())
        await catalog.putDerived(btf.digest, 'compat:0.4', blob('lowered'))
        await catalog.putDerived(blob('lowered').digest, 'gz', blob('packed'))
        await catalog.putDerived(blob('packed').digest, 'gz', blob('twice'))
        expect(await catalog.prune()).toBe(1)
        expect(await catalog.referencedBlobs()).toEqual(
          new Set([btf.digest, blob('lowered').digest, blob('packed').digest]),
        )
      })

      it('count as referenced, and are kept, while their source is used', async () => {
        const { btf } = await catalog.addBuild(sampleBuild())
        await catalog.putDerived(btf.digest, 'gz', blob('used'))
        await catalog.putDerived(sha256Of('nobody'), 'gz', blob('unused'))
        expect(await catalog.referencedBlobs()).toEqual(new Set([btf.digest, blob('used').digest]))
        expect(await catalog.prune()).toBe(1)
        expect(await catalog.prune()).toBe(0)
        expect(await catalog.derived(sha256Of('nobody'), 'gz')).toBeNull()
        expect(await catalog.derived(btf.digest, 'gz')).toEqual(blob('used'))
      })
    })

    it('names for each blob who points at it', async () => {
      const { btf, key } = await catalog.addBuild(sampleBuild())
      const { id } = await catalog.addTool({ name: 'snoop', version: '1', objects: [object('a.bpf.o')] })
      await catalog.putMinBtf(id, btf.digest, blob('min'))
      await catalog.putDerived(blob('min').digest, 'gz', blob('packed'))
      const references = await catalog.references()
      expect(references.toSorted((a, b) => (a.kind < b.kind ? -1 : 1))).toEqual([
        { ...btf, kind: 'build', by: `build ${key}` },
        { ...blob('packed'), kind: 'derived', by: `gz of ${blob('min').digest}` },
        { ...blob('min'), kind: 'min', by: 'min BTF of tool snoop@1' },
        { ...blob('a.bpf.o'), kind: 'object', by: 'object a.bpf.o of tool snoop@1' },
      ])
    })

    it('remembers what indexes said, the last time', async () => {
      const memo = { etag: '"x"', lastModified: null, sha256: sha256Of('index'), value: '{"packages":[]}' }
      await catalog.putIndexMemo('https://kernels.example/Packages', { ...memo, etag: null })
      await catalog.putIndexMemo('https://kernels.example/Packages', memo)
      await catalog.putIndexMemo('other', { ...memo, lastModified: 'Thu, 01 Jan 2026 00:00:00 GMT' })
      expect(await catalog.indexMemo('https://kernels.example/Packages')).toEqual(memo)
      expect((await catalog.indexMemo('other'))?.lastModified).toBe('Thu, 01 Jan 2026 00:00:00 GMT')
    })

    it('takes many changes at once, one after the other', async () => {
      const builds = Array.from({ length: 40 }, (_, i) => sampleBuild({ kernel: { release: `r${i % 20}` } }))
      const before = await catalog.generation()
      const added = await Promise.all(builds.map((build) => catalog.addBuild(build)))
      expect(new Set(added.map((build) => build.id)).size).toBe(20)
      expect(await catalog.generation()).toBe(before + 20)
    })

    it('does what a plain model of it does, in any order of changes', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 40 }), async (changes) => {
          const real = await open()
          const model = createCatalogModel()
          for (const { what, run } of changes) {
            const [expected, actual] = [await outcome(run(model)), await outcome(run(real))]
            expect(actual, what).toEqual(expected)
          }
          for (const view of VIEWS) expect(await view(real)).toEqual(await view(model))
          expect((await real.check()).wrong).toEqual([])
          await real.close()
        }),
        { numRuns: 60 },
      )
    })
  })
}

interface Change {
  readonly what: string
  run(catalog: Catalog): Promise<unknown>
}

const KEYS = ['k0', 'k1', 'k2']
const NAMES = ['t0', 't1']
const VERSIONS = ['1', '2']
const TEXTS = ['x', 'y', 'z']

/** One change to a catalog, out of few names, so that they meet often. */
const change: fc.Arbitrary<Change> = fc
  .record({
    kind: fc.constantFrom(
      'build',
      'build',
      'failure',
      'failure',
      'tool',
      'tool',
      'untool',
      'min',
      'derived',
      'prune',
    ),
    key: fc.constantFrom(...KEYS),
    name: fc.constantFrom(...NAMES),
    version: fc.constantFrom(...VERSIONS),
    all: fc.boolean(),
    text: fc.constantFrom(...TEXTS),
    day: fc.integer({ min: 1, max: 28 }),
  })
  .map(({ kind, key, name, version, all, text, day }): Change => {
    const what = [kind, key, name, version, all, text, day].join(' ')
    const at = `2026-01-${String(day).padStart(2, '0')}T00:00:00.000Z`
    switch (kind) {
      case 'build': {
        const build = sampleBuild({ key, btf: new TextEncoder().encode(text) })
        return { what, run: (catalog) => catalog.addBuild(build) }
      }
      case 'failure':
        return { what, run: (catalog) => catalog.addFailure({ ...fail(key, at), message: text }) }
      case 'tool':
        return { what, run: (catalog) => catalog.addTool({ name, version, objects: [object('o', text)] }) }
      case 'untool':
        return { what, run: (catalog) => catalog.removeTool(name, all ? undefined : version) }
      case 'min':
        return {
          what,
          async run(catalog) {
            const tool = await catalog.tool(name)
            await catalog.putMinBtf(tool?.id ?? 999, sha256Of(text), blob(`min ${key}`))
          },
        }
      case 'derived':
        return { what, run: (catalog) => catalog.putDerived(sha256Of(text), 'gz', blob(`gz ${key}`)) }
      case 'prune':
        return { what, run: (catalog) => catalog.prune() }
    }
  })

/** What a change gave or threw, without what may differ: ids and times of day. */
async function outcome(result: Promise<unknown>): Promise<unknown> {
  try {
    return withoutLuck(await result)
  } catch (err) {
    return { code: (err as { code?: unknown }).code ?? String(err) }
  }
}

function withoutLuck(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutLuck)
  if (typeof value !== 'object' || value === null) return value
  return { ...value, id: undefined, createdAt: undefined }
}

const VIEWS: readonly ((catalog: Catalog) => Promise<unknown>)[] = [
  async (catalog) => withoutLuck(await catalog.builds()),
  (catalog) => catalog.failures(),
  async (catalog) => withoutLuck(await catalog.tools()),
  (catalog) => catalog.generation(),
  async (catalog) => [...(await catalog.referencedBlobs())].sort(),
  ...KEYS.map((key) => async (catalog: Catalog) => withoutLuck(await catalog.buildByKey(key))),
  ...KEYS.map((key) => (catalog: Catalog) => catalog.failure(key)),
  ...NAMES.map((name) => async (catalog: Catalog) => {
    const tool = await catalog.tool(name)
    const mins = tool === null ? [] : [...(await catalog.minBtfs(tool.id))]
    return [withoutLuck(tool), mins.sort(([a], [b]) => (a < b ? -1 : 1))]
  }),
  ...TEXTS.map((text) => (catalog: Catalog) => catalog.derived(sha256Of(text) satisfies Sha256, 'gz')),
]
