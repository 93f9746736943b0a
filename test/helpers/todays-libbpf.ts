import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../extractor/run.fixture.ts'
import { hostArch, unpackPackages } from './debian-packages.ts'
import { RELOLOG_SOURCE } from './relolog.ts'

/** An oracle, and whose libbpf it has. */
export interface Libbpf {
  readonly version: string
  readonly program: string
}

/**
 * The oracle with the libbpf of Debian sid linked into it, whatever this machine's is.
 * @param dir where to unpack and build
 * @throws Error where the package is not to be had, or the oracle does not compile with it
 */
export async function buildTodaysRelolog(mirror: string, dir: string): Promise<Libbpf> {
  const versions = await unpackPackages({ mirror, suite: 'sid', arch: hostArch, names: /libbpf-dev/ }, dir)
  const [triplet = ''] = await readdir(join(dir, 'usr/lib'))
  const archive = join(dir, 'usr/lib', triplet, 'libbpf.a')
  run('objcopy', [...asOlderC(archive), archive])
  const program = join(dir, 'relolog')
  const include = join(dir, 'usr/include')
  run('gcc', ['-O2', '-w', '-I', include, '-o', program, RELOLOG_SOURCE, archive, '-lelf', '-lz'])
  return { version: versions.get('libbpf-dev') ?? '', program }
}

/** glibc 2.38 has scanf and its like under names for C23, which an older one lacks; what they do here is the same. */
function asOlderC(archive: string): string[] {
  const wanted = run('nm', ['-u', archive])
    .toString()
    .matchAll(/ U (__isoc23_(\w+))$/gm)
  const names = new Map([...wanted].map(([, name = '', plain = '']) => [name, plain]))
  return [...names].map(([name, plain]) => `--redefine-sym=${name}=${plain}`)
}
