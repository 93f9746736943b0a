import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../core/version.ts'
import { describeFootprint, type Footprint, withFootprint } from './footprint.ts'
import { type LargePackage, largePackages } from './large-packages.ts'
import { type ComparisonResult, type Contender, race, type Standing, versus } from './measure.ts'
import { shell } from './shell.ts'

const BIN = join(packageRoot, 'bin/btfhub')
const ROUNDS = 3
/** What one core alone unpacks takes a minute each time, in which a busy neighbour's second does not matter. */
const LONG_ROUNDS = 1

/** The programs that nobody can do without. They run one after the other. */
const FLOOR = ['pahole', 'xz', 'zstd'] as const

/**
 * Debug packages of a gigabyte → BTF: against what one does by hand, and against what nobody can do without, which is
 * to unpack as far as vmlinux and to run pahole. `--force-dwarf`, as these kernels have BTF, which most of that kind
 * have not.
 */
export async function* benchExtractLarge(dir: string): AsyncGenerator<ComparisonResult> {
  const packages = await largePackages()
  const [first] = packages
  if (first === undefined) return
  const flags = await flagsOf(first, dir)
  // It is the same in all of them.
  const vmlinux = join(dir, 'vmlinux')
  await shell(`${first.vmlinux} > ${vmlinux}`, dir)
  for (const pkg of packages) {
    const work = join(dir, 'work')
    await mkdir(work)
    yield* benchPackage(pkg, { flags, vmlinux, dir: work })
    await rm(work, { recursive: true })
  }
}

/** What all do the same work with. */
interface Setting {
  readonly flags: string
  readonly vmlinux: string
  readonly dir: string
}

async function* benchPackage(pkg: LargePackage, setting: Setting): AsyncGenerator<ComparisonResult> {
  const { flags, dir } = setting
  const input = `debug package of Debian 12’s ${pkg.release} as ${pkg.name}, ${pkg.sizeBytes} bytes`
  const measured = (
    name: string,
    script: string,
    more: (footprint: Footprint) => readonly string[],
  ): Contender => ({
    name,
    run: async () => {
      const footprint = await withFootprint(dir, async () => {
        await shell(`mkdir -p temp; ${script}; rm -rf temp`, dir, { TMPDIR: join(dir, 'temp') })
      })
      return [describeFootprint(footprint), ...more(footprint), describeWork(footprint)].join('\n')
    },
  })
  const contenders = [
    measured('btfhub extract', `node ${BIN} extract ${pkg.path} --force-dwarf -o ours.btf`, (footprint) => [
      describeShares(footprint),
    ]),
    measured(
      'by hand',
      `${pkg.vmlinux} > temp/vmlinux; pahole ${flags} --btf_encode_detached=temp/x.btf temp/vmlinux; tar cJf theirs.tar.xz temp/x.btf`,
      () => [],
    ),
    floorOf(pkg, setting),
  ]
  await shell(`cat ${pkg.path} > /dev/null`, dir)
  const standings = await race(contenders, pkg.isOneBlock ? LONG_ROUNDS : ROUNDS)
  const [ours, byHand, floor] = standings as [Standing, Standing, Standing]
  yield versus(
    {
      work: 'debug package → BTF from DWARF; against unpacking it by hand, pahole, tar cJ',
      input,
      atLeast: 1,
    },
    ours,
    byHand,
  )
  yield versus(
    {
      work: 'the same; against the floor: its payload unpacked as far as vmlinux, and then pahole, alone',
      input,
      // All else is to take less than a tenth.
      atLeast: 0.9,
    },
    { ...ours, notes: [] },
    floor,
  )
}

/** The decompressor alone, up to the end of vmlinux, where the archive's reader only looks for it; and pahole. */
function floorOf(pkg: LargePackage, { flags, vmlinux, dir }: Setting): Contender {
  const find = pkg.archive.startsWith('ar ')
    ? `tar xO --occurrence=1 ./usr/lib/debug/boot/vmlinux-${pkg.release}`
    : `cpio --quiet -i --to-stdout ./usr/lib/debug/lib/modules/${pkg.release}/vmlinux`
  return {
    name: 'floor',
    run: async () => {
      const unpacking = await withFootprint(dir, async () => {
        await shell(`set +o pipefail; ${pkg.archive} 2>/dev/null | ${find} > /dev/null`, dir)
      })
      const encoding = await withFootprint(dir, async () => {
        await shell(`pahole ${flags} --btf_encode_detached=floor.btf ${vmlinux}`, dir)
      })
      return [
        `unpacking ${seconds(unpacking.wallMs)}, pahole ${seconds(encoding.wallMs)}`,
        describeWork({ programs: new Map([...unpacking.programs, ...encoding.programs]) }),
      ].join('\n')
    },
  }
}

/** The wall time of a run, by who had it. */
function describeShares({ wallMs, programs }: Footprint): string {
  const share = (name: string, ms: number): string =>
    `${name} ${seconds(ms)} (${((100 * ms) / wallMs).toFixed(1)} %)`
  const floor = FLOOR.map((name) => ({ name, ms: programs.get(name)?.wallMs ?? 0 })).filter(
    ({ ms }) => ms > 0,
  )
  const elseMs = floor.reduce((left, { ms }) => left - ms, wallMs)
  const shares = [...floor, { name: 'all else', ms: elseMs }].map(({ name, ms }) => share(name, ms))
  return `of ${seconds(wallMs)} ${shares.join(', ')}`
}

/** The time of processors, which neighbours on a busy machine change less than that of the wall. */
function describeWork({ programs }: Pick<Footprint, 'programs'>): string {
  const works = [...programs]
    .map(([name, { cpuMs }]) => ({ name, cpuMs }))
    .filter(({ cpuMs }) => cpuMs >= 100)
  const sumMs = works.reduce((sum, { cpuMs }) => sum + cpuMs, 0)
  return `${seconds(sumMs)} of processors: ${works.map(({ name, cpuMs }) => `${name} ${seconds(cpuMs)}`).join(', ')}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** The flags that we give pahole, so that all do the same work. */
async function flagsOf(pkg: LargePackage, dir: string): Promise<string> {
  const json = await shell(`node ${BIN} extract ${pkg.path} --force-dwarf -o ours.btf --json`, dir)
  return (JSON.parse(json) as { paholeFlags: readonly string[] }).paholeFlags.join(' ')
}
