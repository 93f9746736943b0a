import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { describeError } from '../../core/errors.ts'
import { makeKernel } from '../../extractor/kernel.fixture.ts'
import { withTestStore } from '../../test/helpers/store.ts'
import { IngestLab } from '../../test/helpers/ingest-lab.ts'

it('half of a kernel is refused where its neighbours are known, though every part of it is right', async () => {
  await withTestStore(async (store) => {
    const lab = new IngestLab(store)
    const debugs = async (release: string, fillers: number) => {
      const { vmlinux } = await makeKernel(join(store.tempDir, release), release, fillers)
      return [lab.file(release, await readFile(vmlinux))]
    }
    const [whole, half] = [await debugs('4.14.1-whole', 5200), await debugs('4.14.2-half', 2600)]
    await lab.ingest(lab.pkg('4.14.1-whole', { debugs: whole }))
    const refused = await lab.ingest(lab.pkg('4.14.2-half', { debugs: half })).catch(describeError)
    expect(refused).toMatch(/types, other builds of ol\/7\/4\.14 uek have \d+ to \d+/)
    // Of another flavour nothing is known.
    const other = await lab.ingest(lab.pkg('4.14.2-half', { debugs: half, flavour: 'cloud' }))
    expect(other.build.btf.sizeBytes).toBeGreaterThan(100_000)
  })
})
