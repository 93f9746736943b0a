import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Btf, findMember, parseBtf, parseElf, sectionBytes, sizeOf } from '../../btf/index.ts'
import { bzImage, payload } from '../../extractor/image.fixture.ts'
import { download, findMirror, kernelOffers, newest, releaseOf } from '../../extractor/mirror.fixture.ts'
import { addPackage, makeKey, writeSuite } from '../apt-repository.ts'
import { btfhub, type RunningServer, serveCli } from '../helpers/cli.ts'
import { nightly } from '../helpers/nightly.ts'
import { FLEET_KEY, fleetArgs, missingFleetTool } from './fleet.ts'
import { addKernelRpms, type KernelFiles } from './kernel-rpms.ts'
import { createRepo } from './rpm-repository.ts'
import { type FileServer, startNginx } from './servers.ts'

const mirror = nightly && missingFleetTool() === null ? await findMirror() : null

const CENTOS = '3.10.0-1160.119.1.el7.x86_64'
const ANOLIS = '5.10.134-16.1.an8.x86_64'
const UBUNTU = '5.15.0-91-generic'

describe.skipIf(mirror === null)(
  'a real kernel of Debian, shipped as CentOS 7, Anolis 8 and Ubuntu 20.04 ship theirs (in make nightly, with a mirror)',
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-real-'))
    const root = join(work, 'root')
    const data = join(work, 'hub')
    const env = { BTFHUB_CACHE: join(work, 'cache') }
    let nginx: FileServer
    let server: RunningServer | undefined
    /** What the kernel carries in Debian's own package. */
    let original: Buffer

    beforeAll(async () => {
      const offers = await kernelOffers(mirror ?? '', 'bullseye', 'amd64')
      const debugOffer = newest(offers, /^linux-image-5\.10\.0-\d+-cloud-amd64-dbg$/)
      const release = releaseOf(debugOffer)
      const image = await download(mirror ?? '', newest(offers, new RegExp(`^linux-image-${release}$`)))
      const debug = await download(mirror ?? '', debugOffer)
      await btfhub(['extract', image, '-o', join(work, 'original.btf')])
      original = readFileSync(join(work, 'original.btf'))

      for (const [name, deb] of Object.entries({ image, debug })) {
        execFileSync('dpkg-deb', ['-x', deb, join(work, name)])
      }
      const vmlinux = join(work, `debug/usr/lib/debug/boot/vmlinux-${release}`)
      const filesOf = (as: string): KernelFiles => {
        const renamed = rename(readFileSync(vmlinux), release, as)
        const files = { vmlinux: join(work, `vmlinux-${as}`), vmlinuz: join(work, `vmlinuz-${as}`) }
        writeFileSync(files.vmlinux, renamed)
        // An image has no DWARF; its BTF is loaded with it.
        const stripped = join(work, 'stripped')
        execFileSync('objcopy', ['-S', files.vmlinux, stripped])
        writeFileSync(files.vmlinuz, bzImage(payload('zstd', readFileSync(stripped))))
        return { release: as, ...files }
      }
      const key = makeKey()
      const centos = {
        imageDir: 'centos-vault/7.9.2009/updates/x86_64/Packages',
        debugDir: 'centos-debuginfo/7/x86_64',
        build: '3.10.0-1160.119.1.el7',
      }
      const plain = filesOf(CENTOS)
      // No kernel of CentOS 7 was ever linked with BTF.
      writeFileSync(plain.vmlinux, withoutBtf(readFileSync(plain.vmlinux)))
      addKernelRpms(root, { ...centos, image: 'kernel', debug: 'kernel-debuginfo' }, plain, key)
      createRepo(join(root, 'centos-vault/7.9.2009/updates/x86_64'), 'xml', '.gz')
      const anolis = {
        imageDir: 'anolis/8/kernel-5.10/x86_64/os/Packages',
        debugDir: 'anolis/8/kernel-5.10/x86_64/debug/Packages',
        build: '5.10.134-16.1.an8',
      }
      const anolisNames = { image: 'kernel-core', debug: 'kernel-debuginfo' }
      addKernelRpms(root, { ...anolis, ...anolisNames }, filesOf(ANOLIS), key)
      for (const kind of ['os', 'debug'])
        createRepo(join(root, 'anolis/8/kernel-5.10/x86_64', kind), 'sqlite', '.xz')
      addPackage(join(root, 'ubuntu'), 'pool/main', {
        name: `linux-image-${UBUNTU}`,
        version: '5.15.0-91.101~20.04.1',
        arch: 'amd64',
        files: { [`boot/vmlinuz-${UBUNTU}`]: filesOf(UBUNTU).vmlinuz },
      })
      const suite = { suite: 'focal', origin: 'Ubuntu', pool: 'pool/main', arches: ['amd64'] }
      writeSuite(join(root, 'ubuntu'), suite, key)
      writeFileSync(join(root, FLEET_KEY), key.publicKey)
      key.remove()
      nginx = await startNginx(root, work)
    }, 600_000)
    afterAll(async () => {
      await server?.stop()
      await nginx.close()
      rmSync(work, { recursive: true, force: true })
    })

    it(
      'comes in with the very BTF that it carries, or that its DWARF gives',
      { timeout: 900_000 },
      async () => {
        const args = [...fleetArgs(nginx.url, root), '--data', data, '--json']
        const { builds } = JSON.parse(await btfhub(args)) as {
          builds: readonly { readonly kernel: string; readonly outcome: string }[]
        }
        expect(builds.map(({ kernel, outcome }) => `${kernel} ${outcome}`).sort()).toEqual([
          `anolis/8/x86_64/${ANOLIS} embedded`,
          `centos/7/x86_64/${CENTOS} dwarf`,
          `ubuntu/20.04/x86_64/${UBUNTU} embedded`,
        ])
        const hub = await serveCli(data)
        server = hub
        const get = async (release: string): Promise<Buffer> =>
          readFileSync(await btfhub(['get', release, '--arch', 'x86_64', '--hub', hub.url], env))
        expect((await get(ANOLIS)).equals(original)).toBe(true)
        expect((await get(UBUNTU)).equals(original)).toBe(true)

        const [embedded, dwarf] = [parseBtf(original), parseBtf(await get(CENTOS))]
        for (const name of ['task_struct', 'sk_buff', 'mm_struct', 'inode', 'net_device']) {
          expect(sizeOf(dwarf, idOf(dwarf, name)), name).toBe(sizeOf(embedded, idOf(embedded, name)))
        }
        for (const member of ['pid', 'tgid', 'comm', 'mm', 'real_parent', 'start_time']) {
          expect(offsetIn(dwarf, member), member).toBe(offsetIn(embedded, member))
        }
      },
    )
  },
)

/** The kernel under another release: its banner, as long as before, what does not fit taken from its builder's name. */
function rename(kernel: Buffer, from: string, to: string): Buffer {
  const renamed = Buffer.from(kernel)
  const [before, after] = [`Linux version ${from} (`, `Linux version ${to} (`]
  let found = 0
  for (let at = renamed.indexOf(before); at >= 0; at = renamed.indexOf(before, at + before.length), found++) {
    const line = renamed.subarray(at, renamed.indexOf(0, at))
    const rest = line.subarray(before.length).toString('latin1')
    const longer = after.length - before.length
    const text = after + (longer > 0 ? rest.slice(longer) : 'x'.repeat(-longer) + rest)
    line.write(text, 'latin1')
  }
  if (found === 0) throw new Error(`no banner of ${from}`)
  return renamed
}

/** The section's bytes wiped, and its name. */
function withoutBtf(vmlinux: Buffer): Buffer {
  sectionBytes(vmlinux, parseElf(vmlinux), '.BTF')?.fill(0)
  const name = vmlinux.indexOf('\0.BTF\0', 'latin1')
  if (name < 0) throw new Error('no section .BTF')
  vmlinux.write('.nil', name + 1, 'latin1')
  return vmlinux
}

function idOf(btf: Btf, name: string): number {
  return btf.idsByName(name)[0] ?? 0
}

function offsetIn(btf: Btf, member: string): number {
  return findMember(btf, idOf(btf, 'task_struct'), member)?.offsetBits ?? NaN
}
