import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { parseBtf } from '../../btf/index.ts'
import { sha256Of } from '../../core/digest.ts'
import { makeDeb } from '../../extractor/deb.fixture.ts'
import { bzImage, compress, payload } from '../../extractor/image.fixture.ts'
import { makeKernel, type SampleKernel } from '../../extractor/kernel.fixture.ts'
import { makeModule, type SampleModule } from '../../extractor/modules.fixture.ts'
import { makeRpm } from '../../extractor/rpm.fixture.ts'
import { run } from '../../extractor/run.fixture.ts'
import { audit, collectGarbage } from '../../store/index.ts'
import { havePrograms } from '../../test/helpers/machine.ts'
import { openTestStore, type TestStore } from '../../test/helpers/store.ts'
import { IngestLab } from '../../test/helpers/ingest-lab.ts'

const able = havePrograms('gcc', 'ld', 'objcopy', 'pahole', 'dpkg-deb', 'rpmbuild', 'xz')
const RELEASE = '6.1.0-1-sample'

describe.skipIf(!able)('modules of a build (skipped without gcc, binutils, pahole, rpmbuild)', () => {
  let scratch: TestStore
  let kernel: SampleKernel
  let one: SampleModule
  let two: SampleModule
  let image: Buffer
  let store: TestStore
  let lab: IngestLab
  const root = `lib/modules/${RELEASE}/kernel`

  beforeAll(async () => {
    scratch = await openTestStore()
    kernel = await makeKernel(join(scratch.tempDir, 'kernel'), RELEASE)
    one = await makeModule(join(scratch.tempDir, 'kernel'), kernel, 'one')
    two = await makeModule(join(scratch.tempDir, 'kernel'), kernel, 'two')
    image = bzImage(payload('gzip', kernel.stripped))
  })
  afterAll(() => scratch.cleanUp())
  beforeEach(async () => {
    store = await openTestStore()
    onTestFinished(() => store.cleanUp())
    lab = new IngestLab(store)
  })

  async function expectModules(
    buildId: number,
    origin: 'embedded' | 'dwarf',
    ...names: string[]
  ): Promise<void> {
    const found = await store.catalog.modules(buildId)
    expect(found?.modules.map((module) => [module.name, module.origin])).toEqual(
      names.map((name) => [name, origin]),
    )
    const merged = parseBtf(await store.blobs.read(found!.merged.digest))
    for (const name of names) expect(merged.idsByName(`${name}_state`)).toHaveLength(1)
    expect(merged.idsByName('task_struct')).toHaveLength(1)
    expect((await audit(store, undefined, { graceMs: 0 })).problems).toEqual([])
    expect(await collectGarbage(store, { graceMs: 0 })).toMatchObject({ removed: 0, forgotten: 0 })
  }

  it('come with the kernel out of one package, which is downloaded once', async () => {
    const deb = await makeDeb({
      [`boot/vmlinuz-${RELEASE}`]: image,
      [`${root}/one.ko`]: one.ko,
      [`${root}/two.ko.xz`]: compress('xz', two.ko),
    })
    const pkg = lab.pkg(RELEASE, { images: [lab.file('image', deb)] })
    const { build } = await lab.ingest(pkg, { modules: true, verify: false })
    expect(lab.asked).toHaveLength(1)
    await expectModules(build.id, 'embedded', 'one', 'two')
    const found = await store.catalog.modules(build.id)
    expect(found?.modules[0]?.btf.digest).toBe(sha256Of(one.btf))
    // The same again is the same, and a build that came without gets them later.
    expect((await lab.ingest(pkg, { modules: true })).build).toEqual(build)
    const later = { ...pkg, packageVersion: '2' }
    const without = await lab.ingest(later)
    expect(await store.catalog.modules(without.build.id)).toBeNull()
    await lab.ingest(later, { modules: true })
    expect(await store.catalog.modules(without.build.id)).toEqual(found)
  })

  it('come out of packages of their own too, whose digests are checked', async () => {
    const core = lab.file('kernel-core', await makeRpm({ [`lib/modules/${RELEASE}/vmlinuz`]: image }, 'xz'))
    const rpm = await makeRpm({ [`${root}/one.ko.zst`]: compress('zstd', one.ko) }, 'zstd')
    const extra = await makeRpm({ [`${root}/two.ko`]: two.ko }, 'zstd')
    const modules = [lab.file('kernel-modules', rpm), lab.file('kernel-modules-extra', extra)]
    const { build } = await lab.ingest(lab.pkg(RELEASE, { images: [core], modules }), { modules: true })
    await expectModules(build.id, 'embedded', 'one', 'two')
    expect(lab.asked.map((url) => url.split('/').at(-1))).toEqual([
      'kernel-core',
      'kernel-modules',
      'kernel-modules-extra',
    ])
  })

  it.each<[string, string]>([
    ['is not what its index says', 'BAD_DIGEST'],
    ['is gone from its mirror', 'GONE'],
    ['is cut off', 'MALFORMED'],
  ])(
    'are not taken in where one of their packages %s; the kernel’s own BTF is, and they are later',
    async (_what, code) => {
      const core = lab.file('core', await makeRpm({ [`lib/modules/${RELEASE}/vmlinuz`]: image }, 'xz'))
      const rpm = await makeRpm({ [`${root}/one.ko.zst`]: compress('zstd', one.ko) }, 'zstd')
      const second = await makeRpm({ [`${root}/two.ko`]: two.ko }, 'zstd')
      const half = second.subarray(0, second.byteLength - 100)
      const ill = { BAD_DIGEST: [rpm, second], GONE: [rpm, rpm], MALFORMED: [half, half] }[code]!
      const extra = lab.file('extra', ill[0]!, ill[1])
      if (code === 'GONE') lab.remove(extra)
      const modules = [lab.file('modules', rpm), extra]
      const failed = await lab.ingest(lab.pkg(RELEASE, { images: [core], modules }), { modules: true })
      expect(failed.modules).toMatchObject({ kind: 'failed', reason: { code } })
      expect(sha256Of(kernel.btf)).toBe(failed.build.btf.digest)
      expect([...(await store.catalog.buildsWithModules())]).toEqual([])
      const asked = lab.asked.length
      const well = [lab.file('modules', rpm), lab.file('extra', second)]
      const later = await lab.ingest(lab.pkg(RELEASE, { images: [core], modules: well }), { modules: true })
      expect(later).toMatchObject({ build: failed.build, modules: { kind: 'added', count: 2 } })
      expect(lab.asked).toHaveLength(asked + 3)
      await expectModules(later.build.id, 'embedded', 'one', 'two')
    },
  )

  it('are not called none where a package of a kernel has none, nor where they have no types', async () => {
    const core = lab.file('core', await makeRpm({ [`lib/modules/${RELEASE}/vmlinuz`]: image }, 'xz'))
    const none = await lab.ingest(lab.pkg(RELEASE, { images: [core] }), { modules: true })
    expect(none.modules).toMatchObject({
      kind: 'failed',
      reason: { code: 'NO_BTF', message: expect.stringMatching(/: no modules in what is offered/) as string },
    })
    const bare = lab.file('bare', await makeRpm({ [`${root}/one.ko`]: await strippedModule() }, 'zstd'))
    const untyped = await lab.ingest(lab.pkg(RELEASE, { images: [core], modules: [bare] }), { modules: true })
    expect(untyped.modules).toMatchObject({
      reason: { message: expect.stringMatching(/: 1 modules, none with BTF or DWARF,/) as string },
    })
    expect([...(await store.catalog.buildsWithModules())]).toEqual([])
  })

  it('wait for room on the disk for the package that is read twice', async () => {
    const deb = await makeDeb({ [`boot/vmlinuz-${RELEASE}`]: image, [`${root}/one.ko`]: one.ko })
    const file = { ...lab.file('image', deb), sizeBytes: 2 ** 52, sha256: null }
    const pkg = lab.pkg(RELEASE, { images: [file] })
    await expect(lab.ingest(pkg, { modules: true })).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(lab.asked).toEqual([])
  })

  it('come from the debug package where the image’s have no BTF, and where the kernel’s own comes from there', async () => {
    const bare = await makeDeb({
      [`boot/vmlinuz-${RELEASE}`]: image,
      [`${root}/one.ko`]: await strippedModule(),
    })
    const path = `usr/lib/debug/${root}/one.ko`
    const vmlinux = await readFile(kernel.withoutBtf)
    const debug = lab.file(
      'dbg',
      await makeDeb({ [path]: one.dwarf, [`usr/lib/debug/boot/vmlinux-${RELEASE}`]: vmlinux }),
    )
    const pkg = lab.pkg(RELEASE, { images: [lab.file('image', bare)], debugs: [debug] })
    const { build } = await lab.ingest(pkg, { modules: true })
    expect(build.provenance.origin).toBe('embedded')
    await expectModules(build.id, 'dwarf', 'one')
    const forced = await lab.ingest({ ...pkg, packageVersion: '2' }, { modules: true, forceDwarf: true })
    expect(forced.build.provenance.origin).toBe('dwarf')
    await expectModules(forced.build.id, 'dwarf', 'one')
  })

  /** A module without types, as kernels of old have them. */
  async function strippedModule(): Promise<Buffer> {
    const dir = join(scratch.tempDir, 'kernel')
    run('objcopy', ['-g', '-R', '.BTF', join(dir, 'one.ko'), join(dir, 'bare.ko')])
    return readFile(join(dir, 'bare.ko'))
  }
})
