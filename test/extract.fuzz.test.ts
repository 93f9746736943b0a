import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { IngestLab } from './helpers/ingest-lab.ts'
import { IngestError } from '../cli/hub/read-package.ts'
import { HttpError } from '../core/http.ts'
import { makeDeb } from '../extractor/deb.fixture.ts'
import { extractBytes } from '../extractor/extract.fixture.ts'
import { arm64Image, bzImage, compress, payload, zboot } from '../extractor/image.fixture.ts'
import { ExtractError } from '../extractor/index.ts'
import { makeKernel, type SampleKernel } from '../extractor/kernel.fixture.ts'
import { makeRpm, writeRpm } from '../extractor/rpm.fixture.ts'
import { makeRelative, makeUnits, shareDwarf } from '../extractor/units.fixture.ts'
import { mutated } from './helpers/mutations.ts'
import { nightly } from './helpers/nightly.ts'
import { openTestStore, type TestStore } from './helpers/store.ts'

/**
 * Packages, images and ELF files that were damaged on their way, through all that a crawl does with them: nothing is
 * published that is not what the index says, whatever the damage, and nothing else happens either. Seeded: `SEED` and
 * the number in a failure make the same bytes again.
 */
const SEED = 20261121
const RUNS = nightly ? 20_000 : 500
/** A sample takes some 30 ms, with pahole 200; on a busy machine ten times as long. */
const HANG_MS = 30_000
/** What the process may grow by: buffers of one sample, and what the collector has not come to yet. */
const GROWTH_BYTES = 768 << 20

interface Sample {
  readonly name: string
  readonly bytes: Buffer
  readonly kind: 'images' | 'debugs'
  /** Bytes of the BTF that it gives undamaged. */
  readonly btfBytes: number
}

let work: string
let store: TestStore
let kernel: SampleKernel
const samples: Sample[] = []

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'btfhub-fuzz-'))
  store = await openTestStore()
  kernel = await makeKernel(work)
  const { release, stripped, flat } = kernel
  const [vmlinux, withoutBtf] = [await readFile(kernel.vmlinux), await readFile(kernel.withoutBtf)]
  const [image, debug] = [`boot/vmlinuz-${release}`, `usr/lib/debug/lib/modules/${release}/vmlinux`]
  const lz4 = bzImage(payload('lz4', stripped))
  const add = (kind: Sample['kind'], name: string, bytes: Buffer, btfBytes = kernel.btf.byteLength): void => {
    samples.push({ kind, name, bytes, btfBytes })
  }
  for (const codec of ['none', 'gzip', 'xz', 'zstd'] as const) {
    add('images', `deb.${codec}`, await makeDeb({ [image]: lz4 }, codec))
    add('images', `rpm.${codec}`, await makeRpm({ [image]: lz4 }, codec))
  }
  for (const style of ['4.11', '4.14', '6'] as const) {
    add('images', `rpm-${style}`, writeRpm({ [image]: lz4 }, { style, compression: 'none' }))
  }
  for (const codec of ['gzip', 'bzip2', 'lzma', 'xz', 'lz4', 'zstd'] as const) {
    add('images', `bzimage.${codec}`, bzImage(payload(codec, stripped)))
  }
  add('images', 'arm64', arm64Image(flat))
  add('images', 'zboot', zboot('gzip', arm64Image(flat)))
  add('images', 'btf', kernel.btf)
  add('images', 'btf.xz', compress('xz', kernel.btf))
  add('debugs', 'elf with BTF', vmlinux)
  add('debugs', 'elf', withoutBtf)
  add('debugs', 'deb debug', await makeDeb({ [`usr/lib/debug/boot/vmlinux-${release}`]: withoutBtf }, 'none'))
  add('debugs', 'rpm debug', await makeRpm({ [debug]: withoutBtf }, 'zstd'))
  const units = await makeUnits(work, 'units', ['-gdwarf-5'])
  const relative = await makeRelative(work, 'units', ['-gdwarf-5'])
  const whole = await extractBytes(await readFile(units), store.tempDir, { forceDwarf: true })
  shareDwarf([units, relative], join(work, 'common'))
  const shared = {
    [debug]: await readFile(units),
    'usr/lib/debug/.dwz/common': await readFile(join(work, 'common')),
  }
  add('debugs', 'deb that dwz -m went over', await makeDeb(shared, 'none'), whole.btf.byteLength)
  add('debugs', 'rpm that dwz -m went over', await makeRpm(shared, 'none'), whole.btf.byteLength)
})

afterAll(async () => {
  await store.cleanUp()
  await rm(work, { recursive: true, force: true })
})

/** What became of a damaged sample: the code of the error that refused it. */
async function outcome(sample: Sample, bytes: Buffer): Promise<string> {
  const lab = new IngestLab(store)
  const parts = { [sample.kind]: [lab.file('sample', bytes, sample.bytes)] }
  const abort = new AbortController()
  const watch = setTimeout(() => abort.abort(new Error(`took longer than ${HANG_MS} ms`)), HANG_MS)
  try {
    await lab.ingest(lab.pkg(kernel.release, parts), { jobs: 1, signal: abort.signal })
    return 'published'
  } catch (err) {
    if (err instanceof ExtractError || err instanceof IngestError || err instanceof HttpError) return err.code
    throw err
  } finally {
    clearTimeout(watch)
  }
}

describe('damaged packages, images and ELF files', () => {
  it('are samples that are published as they are, undamaged', async () => {
    for (const sample of samples) {
      const lab = new IngestLab(await openTestStore())
      try {
        const { build } = await lab.ingest(
          lab.pkg(kernel.release, { [sample.kind]: [lab.file(sample.name, sample.bytes)] }),
        )
        expect(build.btf.sizeBytes, sample.name).toBe(sample.btfBytes)
      } finally {
        await lab.store.cleanUp()
      }
    }
  })

  it(
    `${RUNS} of them end in an error of ours each, in bounded time and memory, and publish nothing`,
    async () => {
      const before = process.memoryUsage().rss
      const counts = new Map<string, number>()
      let peak = before
      for (let run = 0; run < RUNS; run++) {
        const sample = samples[run % samples.length] as Sample
        const bytes = mutated(sample.bytes, SEED + run, samples[(run * 7 + 3) % samples.length]?.bytes)
        if (bytes.equals(sample.bytes)) continue
        const code = await outcome(sample, bytes).catch((err: unknown) => {
          throw new Error(`run ${run}, ${sample.name}`, { cause: err })
        })
        expect(code, `run ${run}, ${sample.name}`).not.toBe('published')
        counts.set(code, (counts.get(code) ?? 0) + 1)
        peak = Math.max(peak, process.memoryUsage().rss)
      }
      expect(peak - before).toBeLessThan(GROWTH_BYTES)
      expect(await store.catalog.builds()).toEqual([])
      expect(await readdir(store.tempDir)).toEqual([])
      // The damage is of many kinds, or it would show little.
      expect([...counts.keys()]).toEqual(expect.arrayContaining(['BAD_DIGEST', 'MALFORMED', 'UNSUPPORTED']))
    },
    nightly ? 4 * 3600_000 : 300_000,
  )
})
