import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseBtf, validateBtf } from '../btf/index.ts'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import { extract, extractModules, mergeModules } from '../extractor/index.ts'
import {
  download,
  findMirror,
  kernelOffers,
  newest,
  type Offer,
  offerOf,
  releaseOf,
  stanzas,
} from '../extractor/mirror.fixture.ts'
import { chunks, run } from '../extractor/run.fixture.ts'
import { havePrograms } from './helpers/machine.ts'
import { unpackNewerTools } from './helpers/newer-tools.ts'

const isNightly = process.env['BTFHUB_NIGHTLY'] === '1' && havePrograms('bpftool', 'objcopy', 'dpkg-deb')
const mirror = isNightly ? await findMirror() : null
const dir = await mkdtemp(join(tmpdir(), 'btfhub-modules-'))
afterAll(() => rm(dir, { recursive: true, force: true }))

const dump = (base: string, file: string): Buffer => run('bpftool', ['-B', base, 'btf', 'dump', 'file', file])

describe.skipIf(mirror === null)(
  'modules of Debian’s kernels (nightly; skipped where apt’s mirror does not answer)',
  { timeout: 600_000 },
  () => {
    it.each([
      // Bookworm's modules are as the linker left them, trixie's are compressed with xz.
      ['bookworm', (deb: string, to: string) => run('dpkg-deb', ['-x', deb, to])],
      [
        'trixie',
        (deb: string, to: string) => {
          run('dpkg-deb', ['-x', deb, to])
          run('sh', ['-c', 'find "$0" -name "*.ko.xz" -exec xz -dkf {} +', to])
        },
      ],
    ])(
      'the newest cloud kernel of %s: what bpftool reads of each is what its own file says',
      async (suite, unpack) => {
        const offers = await kernelOffers(mirror as string, suite, 'amd64')
        const offer = newest(offers, /^linux-image-\d.*-cloud-amd64$/)
        const deb = await download(mirror as string, offer)
        const { signal } = new AbortController()
        const how = { release: releaseOf(offer), tempDir: dir, jobs: 2, signal }
        const input = () => ({ name: offer.name, bytes: createReadStream(deb, { highWaterMark: 1 << 20 }) })
        const { btf: base } = await extract(input(), {
          ...how,
          forceDwarf: false,
          readToEnd: false,
          log: silentLog,
        })
        const found = await extractModules(input(), { ...how, base })
        expect(found).toMatchObject({ untyped: 0, refused: [], sha256: offer.sha256 })
        expect(found.modules.length).toBeGreaterThan(1000)

        const root = join(dir, suite)
        unpack(deb, root)
        const files = run('find', [root, '-name', '*.ko']).toString().trim().split('\n')
        expect(found.modules).toHaveLength(files.length)
        const basePath = join(dir, `${suite}.btf`)
        await writeFile(basePath, base)
        for (const name of ['nf_conntrack', 'openvswitch', 'vsock', 'af_key', 'veth']) {
          const ko = files.find((path) => path.endsWith(`/${name}.ko`))
          const module = found.modules.find((one) => one.name === name)
          if (ko === undefined || module === undefined) throw new Error(`${suite} has no module ${name}`)
          const section = join(dir, 'section')
          run('objcopy', [`--dump-section=.BTF=${section}`, ko, '/dev/null'])
          expect(sha256Of(module.btf)).toBe(sha256Of(await readFile(section)))
          const split = join(dir, name)
          await writeFile(split, module.btf)
          expect(dump(basePath, split).equals(dump(basePath, ko))).toBe(true)
        }

        const merged = parseBtf(mergeModules(base, found.modules))
        validateBtf(merged)
        for (const name of ['task_struct', 'nf_conntrack_net', 'vport']) {
          expect([name, merged.idsByName(name).length]).toEqual([name, 1])
        }
        await writeFile(join(dir, 'merged.btf'), merged.bytes)
        const text = run('bpftool', ['btf', 'dump', 'file', join(dir, 'merged.btf')]).toString()
        expect(text).toContain(`[${merged.idCount - 1}] `)
      },
    )
  },
)

describe.skipIf(mirror === null)(
  'modules in a package of their own (nightly; skipped where apt’s mirror does not answer)',
  { timeout: 600_000 },
  () => {
    it('the newest kernel of trixie-backports: merged, each type is there once, whatever modules bring along', async () => {
      const which = /^Package: linux-(?:binary-unsigned|modules)-\d\S*-cloud-amd64\n/
      const offers = (await stanzas(mirror as string, 'trixie-backports', 'amd64', which)).map(offerOf)
      const offer = newest(offers, /^linux-modules-/)
      const release = offer.name.replace('linux-modules-', '')
      const image = offers.find(({ name }) => name === `linux-binary-unsigned-${release}`)
      const { signal } = new AbortController()
      const how = { release, tempDir: dir, jobs: 2, signal }
      const inputOf = async (of: Offer) => {
        const bytes = createReadStream(await download(mirror as string, of), { highWaterMark: 1 << 20 })
        return { name: of.name, bytes }
      }
      const { btf: base } = await extract(await inputOf(image as Offer), {
        ...how,
        forceDwarf: false,
        readToEnd: false,
        log: silentLog,
      })
      const found = await extractModules(await inputOf(offer), { ...how, base })
      expect(found).toMatchObject({ untyped: 0, refused: [], sha256: offer.sha256 })
      expect(found.modules.length).toBeGreaterThan(900)
      const merged = parseBtf(mergeModules(base, found.modules))
      validateBtf(merged)
      for (const name of ['task_struct', 'sk_buff', 'net_device', 'inode', 'nf_conntrack_net']) {
        expect([name, merged.idsByName(name).length]).toEqual([name, 1])
      }
    })
  },
)

describe.skipIf(mirror === null || process.arch !== 'x64')(
  'modules with a distilled base, by pahole 1.30 (nightly; skipped where apt’s mirror does not answer)',
  { timeout: 900_000 },
  () => {
    it('are put onto their own kernel, and onto another build of it, as libbpf does that', async () => {
      const offers = await kernelOffers(mirror as string, 'trixie', 'amd64')
      const debug = newest(offers, /^linux-image-\d.*-cloud-amd64-dbg$/)
      const release = releaseOf(debug)
      const image = /^linux-image-\d.*-cloud-amd64$/
      const own = newest(
        offers.filter(({ name }) => name === `linux-image-${release}`),
        image,
      )
      const other = newest(
        offers.filter(({ name }) => name !== own.name),
        image,
      )
      const newer = await unpackNewerTools(mirror as string, join(dir, 'newer'))
      const bases: string[] = []
      for (const offer of [own, other]) {
        const input = { name: offer.name, bytes: createReadStream(await download(mirror as string, offer)) }
        const { btf } = await extract(input, {
          ...{ release: releaseOf(offer), tempDir: dir, jobs: 2, signal: new AbortController().signal },
          ...{ forceDwarf: false, readToEnd: false, log: silentLog },
        })
        const path = join(dir, `${offer.name}.btf`)
        await writeFile(path, btf)
        bases.push(path)
      }

      const root = join(dir, 'distilled')
      const tree = `usr/lib/debug/lib/modules/${release}/kernel`
      await mkdir(root)
      const [deb, patterns] = [await download(mirror as string, debug), ['net/netfilter', 'net/openvswitch']]
      run('sh', [
        '-c',
        'deb=$1; shift; dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$0" --wildcards "$@"',
        ...[root, deb, ...patterns.map((path) => `*/${tree}/${path}/*.ko`)],
      ])
      const files = run('find', [root, '-name', '*.ko']).toString().trim().split('\n')
      expect(files.length).toBeGreaterThan(50)
      for (const ko of files) {
        newer('pahole', ['-J', '-j1', '--btf_features=default,distilled_base', `--btf_base=${bases[0]}`, ko])
      }
      const tar = run('tar', ['-c', '-C', root, 'usr'])
      for (const basePath of bases) {
        const found = await extractModules(
          { name: 'distilled', bytes: chunks(tar) },
          {
            base: await readFile(basePath),
            ...{ release, tempDir: dir, jobs: 2, signal: new AbortController().signal },
          },
        )
        expect(found).toMatchObject({ untyped: 0, refused: [] })
        expect(found.modules).toHaveLength(files.length)
        for (const { name, btf, origin } of found.modules) {
          expect(origin).toBe('embedded')
          const split = join(dir, 'relocated')
          await writeFile(split, btf)
          const ko = files.find((path) => basename(path, '.ko').replaceAll('-', '_') === name)
          const [ours, theirs] = [split, ko as string].map((path) =>
            newer('bpftool', ['-B', basePath, 'btf', 'dump', 'file', path]),
          )
          expect(ours?.equals(theirs as Buffer), name).toBe(true)
        }
      }
    })
  },
)
