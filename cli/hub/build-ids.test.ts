import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { silentLog } from '../../core/log.ts'
import { makeDeb } from '../../extractor/deb.fixture.ts'
import { bzImage, payload } from '../../extractor/image.fixture.ts'
import { makeKernel, type SampleKernel } from '../../extractor/kernel.fixture.ts'
import { makeRpm } from '../../extractor/rpm.fixture.ts'
import { run } from '../../extractor/run.fixture.ts'
import { createApp, createHub } from '../../registry/index.ts'
import { havePrograms } from '../../test/helpers/machine.ts'
import { openTestStore, type TestStore } from '../../test/helpers/store.ts'
import { IngestLab } from '../../test/helpers/ingest-lab.ts'

const able = havePrograms('gcc', 'ld', 'objcopy', 'pahole', 'dpkg-deb', 'rpmbuild', 'xz')
const RELEASE = '4.14.35-2047.el7uek.x86_64'
const IMAGE_ID = 'a'.repeat(40)
const DEBUG_ID = 'd'.repeat(40)
const OTHER_ID = 'e'.repeat(40)

describe.skipIf(!able)(
  'two build-ids of one kernel (skipped without gcc, binutils, pahole, rpmbuild)',
  () => {
    let scratch: TestStore
    let kernel: SampleKernel
    let image: Buffer
    let debug: Buffer
    let store: TestStore
    let lab: IngestLab

    /** The vmlinux at `path` with another build-id. */
    async function renamed(path: string, id: string): Promise<Buffer> {
      const note = join(scratch.tempDir, 'note')
      const words = Buffer.from('040000001400000003000000474e5500', 'hex')
      await writeFile(note, Buffer.concat([words, Buffer.from(id, 'hex')]))
      run('objcopy', [`--update-section=.note.gnu.build-id=${note}`, path, `${path}-${id}`])
      return readFile(`${path}-${id}`)
    }

    beforeAll(async () => {
      scratch = await openTestStore()
      kernel = await makeKernel(join(scratch.tempDir, 'kernel'), RELEASE)
      const bare = await renamed(kernel.bare, IMAGE_ID)
      image = await makeRpm({ [`boot/vmlinuz-${RELEASE}`]: bzImage(payload('gzip', bare)) }, 'xz')
      const vmlinux = await renamed(kernel.withoutBtf, DEBUG_ID)
      debug = await makeRpm({ [`usr/lib/debug/lib/modules/${RELEASE}/vmlinux`]: vmlinux }, 'xz')
    })
    afterAll(() => scratch.cleanUp())
    beforeEach(async () => {
      store = await openTestStore()
      onTestFinished(() => store.cleanUp())
      lab = new IngestLab(store)
    })

    const ask = async (path: string, body?: object): Promise<Response> => {
      const app = createApp(createHub({ catalog: store.catalog, blobs: store.blobs, log: silentLog }))
      return await app.request(path, {
        ...(body !== undefined && {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      })
    }

    it('are both read and kept, and either finds the build', async () => {
      const files = { images: [lab.file('kernel', image)], debugs: [lab.file('kernel-debuginfo', debug)] }
      const { build } = await lab.ingest(lab.pkg(RELEASE, files))
      expect(build.provenance).toMatchObject({
        buildId: IMAGE_ID,
        debugBuildId: DEBUG_ID,
        banner: kernel.banner,
        packageName: 'kernel-debuginfo',
        origin: 'dwarf',
        warnings: [],
      })
      for (const id of [IMAGE_ID, DEBUG_ID]) {
        for (const path of [`/v1/btf/${RELEASE}?build_id=${id}`, `/buildid/${id}/section/.BTF`]) {
          const answer = await ask(path)
          expect(answer.headers.get('btfhub-match')).toBe('build-id')
          expect(answer.headers.get('btfhub-digest')).toBe(build.btf.digest)
        }
        const resolved = (await (await ask('/v1/resolve', { build_id: id })).json()) as object
        expect(resolved).toMatchObject({
          match: 'build-id',
          build: { provenance: { build_id: IMAGE_ID, debug_build_id: DEBUG_ID } },
        })
      }
      expect((await ask(`/v1/btf/${RELEASE}?build_id=${OTHER_ID}`)).status).toBe(404)
    })

    it('of a Debian package too', async () => {
      const bare = await renamed(kernel.bare, IMAGE_ID)
      const deb = await makeDeb({ [`boot/vmlinuz-${RELEASE}`]: bzImage(payload('gzip', bare)) })
      const vmlinux = await renamed(kernel.withoutBtf, OTHER_ID)
      const dbg = await makeDeb({ [`usr/lib/debug/boot/vmlinux-${RELEASE}`]: vmlinux })
      const { build } = await lab.ingest(
        lab.pkg(RELEASE, { images: [lab.file('image', deb)], debugs: [lab.file('dbg', dbg)] }),
      )
      expect(build.provenance).toMatchObject({ buildId: IMAGE_ID, debugBuildId: OTHER_ID })
    })

    it('cost an image that is known to have no BTF only where they are known to differ', async () => {
      const files = { images: [lab.file('kernel', image)], debugs: [lab.file('kernel-debuginfo', debug)] }
      const same = { ...lab.pkg(RELEASE, files), imagesHaveBtf: false }
      expect((await lab.ingest(same)).build.provenance).toMatchObject({
        buildId: DEBUG_ID,
        debugBuildId: DEBUG_ID,
      })
      expect(lab.asked).toHaveLength(1)
      const other = { ...same, packageVersion: '2', buildIdsDiffer: true }
      const { build } = await lab.ingest(other, { forceDwarf: true })
      expect(build.provenance).toMatchObject({ buildId: IMAGE_ID, debugBuildId: DEBUG_ID })
      expect(lab.asked).toHaveLength(3)
      lab.remove(files.images[0]!)
      const gone = await lab.ingest({ ...other, packageVersion: '3' })
      expect(gone.build.provenance).toMatchObject({ buildId: DEBUG_ID, debugBuildId: DEBUG_ID })
    })

    it('come from no image that is not what its index says', async () => {
      const lying = lab.file('kernel', image, debug)
      const pkg = lab.pkg(RELEASE, { images: [lying], debugs: [lab.file('kernel-debuginfo', debug)] })
      await expect(lab.ingest(pkg)).rejects.toMatchObject({ code: 'BAD_DIGEST' })
      expect(await store.catalog.builds()).toEqual([])
    })

    it('make nothing ambiguous: the build that runs with an id goes before one whose debug package has it', async () => {
      const files = { images: [lab.file('kernel', image)], debugs: [lab.file('kernel-debuginfo', debug)] }
      const first = await lab.ingest(lab.pkg(RELEASE, files))
      const otherRelease = '4.14.35-2048.el7uek.x86_64'
      const second = await makeKernel(join(scratch.tempDir, 'second'), otherRelease)
      const vmlinux = await renamed(second.vmlinux, DEBUG_ID)
      const rpm = await makeRpm({ [`boot/vmlinuz-${otherRelease}`]: bzImage(payload('gzip', vmlinux)) }, 'xz')
      const { build } = await lab.ingest(lab.pkg(otherRelease, { images: [lab.file('second', rpm)] }))
      expect(build.provenance).toMatchObject({ buildId: DEBUG_ID, debugBuildId: null })
      const found = await ask(`/buildid/${DEBUG_ID}/section/.BTF`)
      expect(found.headers.get('btfhub-digest')).toBe(build.btf.digest)
      const image1 = await ask(`/buildid/${IMAGE_ID}/section/.BTF`)
      expect(image1.headers.get('btfhub-digest')).toBe(first.build.btf.digest)
    })
  },
)
