import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../core/version.ts'
import { describeFootprint, withFootprint } from './footprint.ts'
import { type LargePackage, largePackages } from './large-packages.ts'
import { compare, type ComparisonResult } from './measure.ts'
import { shell } from './shell.ts'

const BIN = join(packageRoot, 'bin/btfhub')
/** Each takes a minute or more. */
const ROUNDS = 2

/**
 * Debug packages of a gigabyte → BTF: against what one does by hand, and against what nobody can do without, which is
 * to unpack as far as vmlinux and to run pahole. `--force-dwarf`, as these kernels have BTF, which most of that kind
 * have not.
 */
export async function* benchExtractLarge(dir: string): AsyncGenerator<ComparisonResult> {
  for (const pkg of await largePackages()) {
    const work = join(dir, 'work')
    await mkdir(work)
    yield* benchPackage(pkg, work)
    await rm(work, { recursive: true })
  }
}

async function* benchPackage(pkg: LargePackage, dir: string): AsyncGenerator<ComparisonResult> {
  const input = `debug package of Debian 12’s ${pkg.release} as ${pkg.name}, ${pkg.sizeBytes} bytes`
  const facts = await flagsOf(pkg, dir)
  const measured = (name: string, script: string) => ({
    name,
    run: async () =>
      describeFootprint(
        await withFootprint(dir, async () => {
          await shell(`mkdir -p temp; ${script}; rm -rf temp`, dir, { TMPDIR: join(dir, 'temp') })
        }),
      ),
  })
  const ours = measured('btfhub extract', `node ${BIN} extract ${pkg.path} --force-dwarf -o ours.btf`)
  yield await compare({
    work: 'debug package → BTF from DWARF; against unpacking it by hand, pahole, tar cJ',
    input,
    ours,
    theirs: measured(
      'by hand',
      `${pkg.vmlinux} > temp/vmlinux; pahole ${facts} --btf_encode_detached=temp/x.btf temp/vmlinux; tar cJf theirs.tar.xz temp/x.btf`,
    ),
    atLeast: 1,
    rounds: ROUNDS,
  })
  await shell(`mkdir -p keep; ${pkg.vmlinux} > keep/vmlinux`, dir)
  yield await compare({
    work: 'the same; against the floor: its payload unpacked as far as vmlinux, and then pahole, alone',
    input,
    ours,
    theirs: {
      name: 'floor',
      run: async () => {
        const unpack = performance.now()
        await shell(floor(pkg), dir)
        const encode = performance.now()
        await shell(`pahole ${facts} --btf_encode_detached=keep/x.btf keep/vmlinux`, dir)
        const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
        return `unpacking ${seconds(encode - unpack)}, pahole ${seconds(performance.now() - encode)}`
      },
    },
    // All else is to take less than a tenth.
    atLeast: 0.9,
    rounds: ROUNDS,
  })
}

/** The decompressor alone, up to the end of vmlinux; the archive's reader only looks for it. */
function floor(pkg: LargePackage): string {
  const find = pkg.archive.startsWith('ar ')
    ? `tar xO --occurrence=1 ./usr/lib/debug/boot/vmlinux-${pkg.release}`
    : `cpio --quiet -i --to-stdout ./usr/lib/debug/lib/modules/${pkg.release}/vmlinux`
  return `set +o pipefail; ${pkg.archive} 2>/dev/null | ${find} > /dev/null`
}

/** The flags that we give pahole, so that all do the same work. */
async function flagsOf(pkg: LargePackage, dir: string): Promise<string> {
  const json = await shell(`node ${BIN} extract ${pkg.path} --force-dwarf -o ours.btf --json`, dir)
  return (JSON.parse(json) as { paholeFlags: readonly string[] }).paholeFlags.join(' ')
}
