import { existsSync } from 'node:fs'
import { mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { debianPair } from './packages.ts'
import { shell } from './shell.ts'

/** One debug package with the content that real ones have, and how its payload is unpacked by hand. */
export interface LargePackage {
  readonly name: string
  readonly path: string
  readonly release: string
  readonly sizeBytes: number
  /** A shell pipeline that writes the payload's archive. */
  readonly archive: string
  /** A shell pipeline that writes vmlinux, as one does by hand; it starts with the package itself. */
  readonly vmlinux: string
}

/** Payloads as rpmbuild names them: xz in one block, as EL 7 and 8 have it, and zstd, as EL 9 and Fedora. */
const RPM_PAYLOADS = { xz: 'w2.xzdio', zstd: 'w3T2.zstdio' } as const

/**
 * The debug package of Debian's kernel for every machine, of some 0.9 GB, and RPM packages of the same files where Red
 * Hat has them: vmlinux behind all modules. Made once, which takes a quarter of an hour and 15 GB of disk.
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
      archive: `ar p ${deb} data.tar.xz | xz -dc`,
      // tar leaves when it has the file, which dpkg-deb calls an error.
      vmlinux: `set +o pipefail; dpkg-deb --fsys-tarfile ${deb} 2>/dev/null | tar xO --occurrence=1 ./${inDeb}`,
    },
  ]
  const inRpm = `usr/lib/debug/lib/modules/${release}/vmlinux`
  const missing = Object.keys(RPM_PAYLOADS).filter((codec) => !existsSync(rpmPath(pair.dir, release, codec)))
  if (missing.length > 0) await makeRpms(pair.dir, deb, release, inDeb, inRpm)
  for (const codec of Object.keys(RPM_PAYLOADS)) {
    const path = rpmPath(pair.dir, release, codec)
    const { start, sizeBytes } = await payloadOf(path)
    packages.push({
      name: `RPM, ${codec}`,
      path,
      release,
      sizeBytes,
      archive: `tail -c +${start + 1} ${path} | ${codec} -dc`,
      vmlinux: `rpm2cpio ${path} | cpio --quiet -i --to-stdout ./${inRpm}`,
    })
  }
  return packages
}

function rpmPath(dir: string, release: string, codec: string): string {
  return join(dir, `kernel-debuginfo-${release}.${codec}.rpm`)
}

async function makeRpms(
  dir: string,
  deb: string,
  release: string,
  inDeb: string,
  inRpm: string,
): Promise<void> {
  const work = await mkdtemp(join(dir, '.rpm-'))
  try {
    await shell(
      `mkdir root && dpkg-deb -x ${deb} root && rm -r root/usr/share && mv -f root/${inDeb} root/${inRpm}`,
      work,
    )
    const spec = [
      '%global __os_install_post %{nil}',
      '%global debug_package %{nil}',
      '%global _build_id_links none',
      'Name: kernel-debuginfo\nVersion: 1\nRelease: 1\nSummary: bench\nLicense: none\nAutoReqProv: no',
      '%description\nbench',
      `%install\nmkdir -p %{buildroot}\ncp -al ${work}/root/. %{buildroot}`,
      '%files\n/usr/lib/debug',
    ]
    await writeFile(join(work, 'bench.spec'), `${spec.join('\n')}\n`)
    for (const [codec, payload] of Object.entries(RPM_PAYLOADS)) {
      await shell(
        `rpmbuild -bb --quiet --define '_topdir ${work}' --define '_binary_payload ${payload}' bench.spec`,
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
