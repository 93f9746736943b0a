import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../core/version.ts'
import { bzImage, payload } from '../../extractor/image.fixture.ts'
import { makeKernel, markerOf } from '../../extractor/kernel.fixture.ts'
import { addPackage, makeKey, missingAptTool, type TestKey, writeSuite } from '../apt-repository.ts'
import { havePrograms } from '../helpers/machine.ts'
import { addKernelRpms, type KernelFiles, type KernelRpms } from './kernel-rpms.ts'
import { addToLaunchpad, LAUNCHPAD_FILES } from './launchpad.ts'
import { createRepo, missingRpmTool } from './rpm-repository.ts'
import { missingServer } from './servers.ts'

/** A kernel in the mirrors, and what a crawl is to make of it. */
export interface FleetKernel {
  /** `centos/7/x86_64/3.10.0-957.el7.x86_64`. */
  readonly kernel: string
  readonly origin: 'embedded' | 'dwarf'
  /** A struct that its BTF has and no other's. */
  readonly marker: string
}

/** Mirrors of several distributions in one folder, as a web server offers them. Nobody writes to it. */
export interface Fleet {
  readonly root: string
  readonly kernels: readonly FleetKernel[]
}

const FLEET_SOURCES = ['centos', 'anolis', 'ubuntu'] as const
const FLEET_MIRRORS = ['centos-vault', 'anolis', 'ubuntu'] as const

/** Arguments of a crawl of all mirrors at a web server. */
export function fleetArgs(url: string, root: string): string[] {
  const versions = ['7', '8', '20.04'].flatMap((version) => ['--version', version])
  const mirrors = FLEET_MIRRORS.flatMap((path) => ['--mirror', `${url}/${path}`])
  return [
    'crawl',
    ...FLEET_SOURCES,
    ...versions,
    '--arch',
    'x86_64',
    ...mirrors,
    '--keyring',
    join(root, FLEET_KEY),
  ]
}

/** By which its archives and packages are signed, under their root. */
export const FLEET_KEY = 'archive-key.asc'

/** The first of the programs that make the mirrors and their kernels which is missing; null where all are there. */
export function missingFleetTool(): string | null {
  return (
    missingRpmTool() ??
    missingAptTool() ??
    missingServer() ??
    ['gcc', 'ld', 'objcopy', 'readelf', 'pahole'].find((program) => !havePrograms(program)) ??
    null
  )
}

/** What the mirrors are made by; where none of it has changed, they are taken as they are. */
const RECIPE = [
  'extractor/image.fixture.ts',
  'extractor/kernel.fixture.ts',
  'test/apt-repository.ts',
  'test/mirrors/fleet.ts',
  'test/mirrors/kernel-rpms.ts',
  'test/mirrors/launchpad.ts',
  'test/mirrors/rpm-repository.ts',
  'test/mirrors/sign-rpms.ts',
]

/** The mirrors, built with the real tools where this machine has not got them yet: that takes half a minute. */
export async function openFleet(): Promise<Fleet> {
  const recipe = createHash('sha256')
  for (const file of RECIPE) recipe.update(readFileSync(join(packageRoot, file)))
  const cache = process.env['BTFHUB_TEST_CACHE'] ?? join(tmpdir(), 'btfhub-test-cache')
  const dir = join(cache, `mirrors-${recipe.digest('hex').slice(0, 16)}`)
  if (!existsSync(dir)) await build(cache, dir)
  const kernels = JSON.parse(readFileSync(join(dir, 'kernels.json'), 'utf8')) as FleetKernel[]
  return { root: join(dir, 'root'), kernels }
}

/** In a folder of its own, which is renamed when it is whole; of two that build at once one counts. */
async function build(cache: string, dir: string): Promise<void> {
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'building-'))
  // The web servers run as somebody else.
  chmodSync(work, 0o755)
  const key = makeKey()
  try {
    const builder = new Builder(join(work, 'root'), join(work, 'kernels'), key)
    await addCentos(builder)
    await addAnolis(builder)
    await addUbuntu(builder)
    writeFileSync(join(work, 'root', FLEET_KEY), key.publicKey)
    writeFileSync(join(work, 'kernels.json'), JSON.stringify(builder.kernels, null, 2))
    rmSync(join(work, 'kernels'), { recursive: true })
    try {
      renameSync(work, dir)
    } catch (err) {
      if (!existsSync(dir)) throw err
    }
  } finally {
    key.remove()
    rmSync(work, { recursive: true, force: true })
  }
}

class Builder {
  readonly kernels: FleetKernel[] = []
  readonly root: string
  /** Of the archives, and of the packages. */
  readonly key: TestKey
  readonly #work: string

  constructor(root: string, work: string, key: TestKey) {
    this.root = root
    this.key = key
    this.#work = work
  }

  /** Makes a kernel of a few kilobytes, its image with BTF where that is where a crawl is to find it. */
  async kernel(place: string, release: string, origin: FleetKernel['origin']): Promise<KernelFiles> {
    const dir = join(this.#work, release)
    const sample = await makeKernel(dir, release)
    const vmlinuz = join(dir, 'vmlinuz')
    const elf = origin === 'embedded' ? sample.stripped : await readFile(sample.bare)
    writeFileSync(vmlinuz, bzImage(payload('gzip', elf)))
    this.kernels.push({ kernel: `${place}/x86_64/${release}`, origin, marker: markerOf(release) })
    return { release, vmlinuz, vmlinux: sample.withoutBtf }
  }

  async rpms(place: string, origin: FleetKernel['origin'], rpms: KernelRpms, variant = ''): Promise<void> {
    const files = await this.kernel(place, `${rpms.build}.x86_64${variant}`, origin)
    addKernelRpms(this.root, rpms, files, this.key)
  }
}

/** A vault with repodata of several forms, and a host of debuginfo that has lost its own: its pages say what is there. */
async function addCentos(builder: Builder): Promise<void> {
  const debugDir = 'centos-debuginfo/7/x86_64'
  const os = 'centos-vault/7.6.1810/os/x86_64'
  const updates = 'centos-vault/7.9.2009/updates/x86_64'
  const build = '3.10.0-957.el7'
  const first = { imageDir: `${os}/Packages`, debugDir, build }
  await builder.rpms('centos/7', 'dwarf', { ...first, image: 'kernel', debug: 'kernel-debuginfo' })
  const twin = { ...first, image: 'kernel-debug', debug: 'kernel-debug-debuginfo' }
  await builder.rpms('centos/7', 'dwarf', twin, '.debug')
  const later = { imageDir: `${updates}/Packages`, debugDir, build: '3.10.0-1160.119.1.el7' }
  await builder.rpms('centos/7', 'dwarf', { ...later, image: 'kernel', debug: 'kernel-debuginfo' })
  createRepo(join(builder.root, os), 'sqlite', '.bz2')
  createRepo(join(builder.root, updates), 'xml', '.gz')
}

/** Red Hat's kernel and Anolis's own, some with BTF in their images. */
async function addAnolis(builder: Builder): Promise<void> {
  const add = async (repo: string, build: string, origin: FleetKernel['origin']): Promise<void> => {
    const dir = `anolis/${repo}/x86_64`
    const [imageDir, debugDir] = [`${dir}/os/Packages`, `${dir}/debug/Packages`]
    const names = { image: 'kernel-core', debug: 'kernel-debuginfo' }
    await builder.rpms('anolis/8', origin, { imageDir, debugDir, ...names, build })
  }
  await add('8.4/BaseOS', '4.18.0-305.25.1.an8_4', 'embedded')
  await add('8.4/Plus', '4.19.91-24.8.an8', 'dwarf')
  await add('8/kernel-5.10', '5.10.134-12.1.an8', 'dwarf')
  await add('8/kernel-5.10', '5.10.134-13.an8', 'dwarf')
  await add('8/kernel-5.10', '5.10.134-16.1.an8', 'embedded')
  const at = (path: string): string => join(builder.root, 'anolis', path)
  createRepo(at('8.4/BaseOS/x86_64/os'), 'xml', '.xz')
  createRepo(at('8.4/BaseOS/x86_64/debug'), 'sqlite', '.xz')
  createRepo(at('8.4/Plus/x86_64/os'), 'xml', '')
  createRepo(at('8.4/Plus/x86_64/debug'), 'sqlite', '.gz')
  createRepo(at('8/kernel-5.10/x86_64/os'), 'xml', '.bz2')
  createRepo(at('8/kernel-5.10/x86_64/debug'), 'xml', '.zst')
}

/** Debug packages of Ubuntu that are smaller than this have no kernel in them: data/sources/ubuntu.yaml. */
const DDEB_KILOBYTES = 11_000

/** Images in the archive, debug packages in ddebs, and a kernel that only Launchpad has kept. */
async function addUbuntu(builder: Builder): Promise<void> {
  const { root, key } = builder
  const add = (archive: string, name: string, version: string, kilobytes: number, files = {}): void =>
    addPackage(join(root, archive), 'pool/main', {
      name,
      version,
      arch: 'amd64',
      ballast: kilobytes * 8,
      files,
    })
  const image = ({ release, vmlinuz }: KernelFiles): object => ({ [`boot/vmlinuz-${release}`]: vmlinuz })
  const debug = ({ release, vmlinux }: KernelFiles): object => ({
    [`usr/lib/debug/boot/vmlinux-${release}`]: vmlinux,
  })

  const hwe = await builder.kernel('ubuntu/20.04', '5.15.0-91-generic', 'embedded')
  add('ubuntu', `linux-image-${hwe.release}`, '5.15.0-91.101~20.04.1', 1100, image(hwe))
  add('ubuntu', `linux-image-unsigned-${hwe.release}`, '5.15.0-91.101~20.04.1', 1200, image(hwe))

  const ga = await builder.kernel('ubuntu/20.04', '5.4.0-42-generic', 'dwarf')
  add('ubuntu', `linux-image-${ga.release}`, '5.4.0-42.46', 1100, image(ga))
  add('ddebs', `linux-image-unsigned-${ga.release}-dbgsym`, '5.4.0-42.46', DDEB_KILOBYTES, debug(ga))
  // The debug package of the signed twin is empty, as Ubuntu's are.
  add('ddebs', `linux-image-${ga.release}-dbgsym`, '5.4.0-42.46', 20)

  for (const archive of ['ubuntu', 'ddebs']) {
    const suite = { suite: 'focal', origin: 'Ubuntu', pool: 'pool/main', arches: ['amd64'] }
    writeSuite(join(root, archive), suite, key)
  }

  const old = await builder.kernel('ubuntu/20.04', '5.4.0-26-generic', 'dwarf')
  const name = `linux-image-unsigned-${old.release}-dbgsym`
  add('superseded', name, '5.4.0-26.30', DDEB_KILOBYTES, debug(old))
  const deb = `${name}_5.4.0-26.30_amd64.deb`
  mkdirSync(join(root, LAUNCHPAD_FILES), { recursive: true })
  renameSync(
    join(root, 'superseded/pool/main', deb),
    join(root, LAUNCHPAD_FILES, deb.replace(/deb$/, 'ddeb')),
  )
  rmSync(join(root, 'superseded'), { recursive: true })
  addToLaunchpad(root, { name, version: '5.4.0-26.30', arch: 'amd64' })
}
