import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Btf, Kind, parseBtf, withoutKabiNumber } from '../btf/index.ts'
import { KernelView, parseBpfObject, prepareTool, resolveObject } from '../minimize/index.ts'
import { installedObjects } from '../test/helpers/bpf-objects.ts'
import { outcomesOf } from '../test/helpers/relolog.ts'
import { localForms } from './local-forms.fixture.ts'
import { run } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'
import { type SoundBtf, soundBtf } from './sound-btf.ts'

const corpus = join(process.env['BTFHUB_CORPUS'] ?? '../shared/data', 'btf')
const name = join(corpus, 'centos/8/arm64/4.18.0-147.5.1.el8_1.aarch64.btf.xz')
/** Half a million types are compared in several ways; ten seconds each on a busy machine. */
const PATIENCE_MS = 180_000
const dir = await fileScratch()

function structs(btf: Btf, wanted: string): number[] {
  return btf.idsByName(wanted).filter((id) => btf.kind(id) === Kind.STRUCT)
}

describe.skipIf(!existsSync(name))(
  'CentOS 8’s arm64 kernel, deduplicated by halves (skipped where BTFHUB_CORPUS is not there)',
  { timeout: PATIENCE_MS },
  () => {
    let bytes: Uint8Array
    let sound: SoundBtf
    let before: Btf
    let after: Btf

    beforeAll(() => {
      bytes = new Uint8Array(run('xz', ['-dc', name]))
      sound = soundBtf(bytes)
      ;[before, after] = [parseBtf(bytes), parseBtf(sound.btf)]
    }, PATIENCE_MS)

    it('comes down from 562 thousand types to fewer than its neighbours have, and says so', () => {
      expect(before.idCount).toBe(561_978)
      // Kylin's 4.19 of the same architecture has 97,648, Debian 10's 81,439.
      expect(after.idCount).toBeLessThan(82_000)
      expect(sound.btf.byteLength).toBeLessThan(4_000_000)
      expect(sound.warnings).toEqual([`deduplicated here: of 561977 types ${after.idCount - 1} are left`])
      expect(structs(after, 'task_struct').length).toBe(1)
      expect(structs(after, 'ring_buffer').length).toBe(2)
    })

    it('is what bpftool reads, and gives the same bytes each time', async () => {
      const path = join(dir, 'sound.btf')
      await writeFile(path, sound.btf)
      const listed = run('bpftool', ['btf', 'dump', 'file', path, 'format', 'raw']).toString()
      expect(listed.match(/^\[\d+\]/gm)?.length).toBe(after.idCount - 1)
      expect(Buffer.from(soundBtf(bytes).btf).equals(sound.btf)).toBe(true)
    })

    it('has every definition that was there, but for the numbers of kABI macros, and no other', () => {
      const forms = localForms(before, withoutKabiNumber)
      expect(forms.size).toBeGreaterThan(7000)
      expect(localForms(after)).toEqual(forms)
    })

    it('relocates every object as it did before', () => {
      const objects = installedObjects()
      const views = [before, after].map((btf) => new KernelView(btf))
      let compared = 0
      for (const { name: label, bytes: elf } of objects) {
        const [object] = prepareTool([parseBpfObject(label, elf)]).objects
        if (object === undefined) continue
        const [was, is] = views.map((view) => outcomesOf(resolveObject(object, view)))
        expect(is, label).toEqual(was)
        compared += was?.length ?? 0
      }
      if (objects.length > 0) expect(compared).toBeGreaterThan(500)
    })
  },
)

describe.skipIf(!existsSync(corpus))('task_struct twice in the corpus (skipped without it)', () => {
  const read = (path: string): Btf =>
    parseBtf(new Uint8Array(execFileSync('xz', ['-dc', join(corpus, path)], { maxBuffer: 1 << 28 })))

  it('of CentOS 7 is not the kABI macros’ doing, whose numbers are gone, but that of two definitions of ring_buffer', () => {
    const btf = read('centos/7/x86_64/3.10.0-1160.el7.x86_64.btf.xz')
    const copies = structs(btf, 'task_struct')
    expect(copies.length).toBe(2)
    const forms = localForms(btf)
    expect(forms.get('struct task_struct')?.size).toBe(1)
    expect(forms.get('struct ring_buffer')?.size).toBe(2)
  })
})
