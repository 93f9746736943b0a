import { existsSync } from 'node:fs'
import { mkdir, open, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { debianPair } from './packages.ts'
import { shell } from './shell.ts'

/** One debug package with the content that real ones have, and how its payload is unpacked by hand. */
export interface LargePackage {
  readonly name: string
  readonly path: string
  readonly release: string
  readonly sizeBytes: number
  /** Whether its payload is one block of xz, which one core alone can unpack. */
  readonly isOneBlock: boolean
  /** A shell pipeline that writes the payload's archive, as far as this machine's cores can help. */
  readonly archive: string
  /** A shell pipeline that writes vmlinux, as one does by hand; it starts with the package itself. */
  readonly vmlinux: string
}

/** An RPM package that is made of the files of Debian's. */
interface RpmRecipe {
  readonly codec: 'xz' | 'zstd'
  /** As rpmbuild names it. */
  readonly payload: string
  /** Modules that are left out, so that the package has a gigabyte. */
  readonly without: readonly string[]
}

const RPMS: readonly RpmRecipe[] = [
  // As EL 9 and Fedora.
  { codec: 'zstd', payload: 'w3T2.zstdio', without: ['drivers/gpu', 'drivers/net'] },
  // In one block, as EL 7 and 8 have it: one core alone unpacks it.
  { codec: 'xz', payload: 'w2.xzdio', without: [] },
]

/** What the files of the debug package take, and both RPM packages: asked for before any of it is written. */
const WORK_BYTES = 9e9

/**
 * The debug package of Debian's kernel for every machine, of some 0.9 GB, and RPM packages of the same files where Red
 * Hat has them: vmlinux behind all modules. Each is made once and kept, 3 GB together; that takes some ten minutes,
 * nearly all of them in xz, and 9 GB of disk.
 */
export async function largePackages(): Promise<readonly LargePackage[]> {
  const pair = await debianPair(/^6\.1\..*-\d+-amd64$/)
  const { release } = pair
  const deb = join(pair.dir, pair.debug)
  const inDeb = `usr/lib/debug/boot/vmlinux-${release}`
  const packages: LargePackage[] = [
    {
      name: 'DEB, xz',
      path: deb,
      release,
      sizeBytes: pair.debugBytes,
      isOneBlock: false,
      archive: `ar p ${deb} data.tar.xz | xz -dc -T${availableParallelism()}`,
      // tar leaves when it has the file, which dpkg-deb calls an error.
      vmlinux: `set +o pipefail; dpkg-deb --fsys-tarfile ${deb} 2>/dev/null | tar xO --occurrence=1 ./${inDeb}`,
    },
  ]
  const inRpm = `usr/lib/debug/lib/modules/${release}/vmlinux`
  await makeRpms(pair.dir, deb, release, { [inDeb]: inRpm })
  for (const { codec } of RPMS) {
    const path = rpmPath(pair.dir, release, codec)
    const { start, sizeBytes } = await payloadOf(path)
    packages.push({
      name: `RPM, ${codec}`,
      path,
      release,
      sizeBytes,
      isOneBlock: codec === 'xz',
      archive: `tail -c +${start + 1} ${path} | ${codec} -dc`,
      vmlinux: `rpm2cpio ${path} | cpio --quiet -i --to-stdout ./${inRpm}`,
    })
  }
  return packages
}

function rpmPath(dir: string, release: string, codec: string): string {
  return join(dir, `kernel-debuginfo-${release}.${codec}.rpm`)
}

/** Makes those packages that are not there; where it was interrupted, it goes on with the next one. */
async function makeRpms(
  dir: string,
  deb: string,
  release: string,
  moved: Readonly<Record<string, string>>,
): Promise<void> {
  const missing = RPMS.filter(({ codec }) => !existsSync(rpmPath(dir, release, codec)))
  if (missing.length === 0) return
  const work = join(dir, '.rpm')
  await rm(work, { recursive: true, force: true })
  await mkdir(work)
  try {
    const { bavail, bsize } = await statfs(work)
    if (bavail * bsize < WORK_BYTES) {
      throw new Error(
        `${dir} has ${bavail * bsize} bytes free, the packages need ${WORK_BYTES}: BTFHUB_TEST_CACHE=DIR takes another folder`,
      )
    }
    await shell(`mkdir root && dpkg-deb -x ${deb} root && rm -r root/usr/share`, work)
    for (const [from, to] of Object.entries(moved))
      await rename(join(work, 'root', from), join(work, 'root', to))
    for (const { codec, payload, without } of missing) {
      const left = without.map((at) => `%exclude /usr/lib/debug/lib/modules/${release}/kernel/${at}`)
      const spec = [
        '%global __os_install_post %{nil}',
        '%global debug_package %{nil}',
        '%global _build_id_links none',
        'Name: kernel-debuginfo\nVersion: 1\nRelease: 1\nSummary: bench\nLicense: none\nAutoReqProv: no',
        '%description\nbench',
        `%install\nmkdir -p %{buildroot}\ncp -al ${work}/root/. %{buildroot}`,
        ['%files', '/usr/lib/debug', ...left].join('\n'),
      ]
      await writeFile(join(work, 'bench.spec'), `${spec.join('\n')}\n`)
      await shell(
        `rpmbuild -bb --quiet --define '_topdir ${work}' --define '_tmppath ${work}' --define '_binary_payload ${payload}' bench.spec`,
        work,
      )
      await shell(`mv RPMS/*/*.rpm made.rpm && rm -rf RPMS BUILDROOT`, work)
      await rename(join(work, 'made.rpm'), rpmPath(dir, release, codec))
    }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Where the payload begins: behind the lead, the signature and its padding, and the header. */
async function payloadOf(path: string): Promise<{ readonly start: number; readonly sizeBytes: number }> {
  const file = await open(path)
  try {
    const endOf = async (start: number): Promise<number> => {
      const intro = Buffer.alloc(16)
      await file.read(intro, 0, 16, start)
      return start + 16 + intro.readUInt32BE(8) * 16 + intro.readUInt32BE(12)
    }
    const signatureEnd = await endOf(96)
    const start = await endOf(Math.ceil(signatureEnd / 8) * 8)
    return { start, sizeBytes: (await file.stat()).size }
  } finally {
    await file.close()
  }
}
