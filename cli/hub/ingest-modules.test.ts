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
    const lying = {
      ...lab.pkg(RELEASE, { images: [core], modules: [lab.file('lying', rpm, extra)] }),
      packageVersion: '2',
    }
    await expect(lab.ingest(lying, { modules: true })).rejects.toMatchObject({ code: 'BAD_DIGEST' })
    expect([...(await store.catalog.buildsWithModules())]).toEqual([build.id])
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
