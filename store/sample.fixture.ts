import { sha256Of } from '../core/digest.ts'
import type { Kernel } from '../core/kernel.ts'
import type { Provenance } from '../core/provenance.ts'
import type { NewBuild } from './types.ts'

/** What can be told of a build made up for a test; the rest is filled in, and unlike that of other releases. */
export interface SampleBuild {
  readonly kernel?: Partial<Kernel>
  readonly key?: string
  readonly flavour?: string
  readonly series?: string
  /** Its digest and size become the build's; put it into the blobs as well where it is to be read. */
  readonly btf?: Uint8Array
  readonly layout?: string
  readonly provenance?: Partial<Provenance>
}

/** A build that passes for a real one. */
export function sampleBuild(sample: SampleBuild = {}): NewBuild {
  const kernel: Kernel = {
    distro: 'debian',
    version: '12',
    arch: 'x86_64',
    release: '6.1.0-47-amd64',
    ...sample.kernel,
  }
  const name = [kernel.distro, kernel.version, kernel.arch, kernel.release].join('/')
  const bytes = sample.btf ?? new TextEncoder().encode(`BTF of ${name}`)
  return {
    kernel,
    flavour: sample.flavour ?? 'default',
    series: sample.series ?? `${kernel.distro}/${kernel.version}`,
    key: sample.key ?? `test/${name}/linux-image/1`,
    btf: { digest: sha256Of(bytes), sizeBytes: bytes.byteLength },
    layoutDigest: sha256Of(`layout ${sample.layout ?? name}`),
    provenance: {
      source: 'test',
      origin: 'embedded',
      packageName: `linux-image-${kernel.release}`,
      packageVersion: '1',
      url: `https://kernels.example/${name}.deb`,
      packageSha256: sha256Of(`package ${name}`),
      verified: 'signed-index',
      buildId: sha256Of(`build-id ${name}`).slice(0, 40),
      debugBuildId: null,
      banner: `Linux version ${kernel.release} (test@kernels.example) #1 SMP`,
      paholeVersion: null,
      paholeFlags: null,
      warnings: [],
      createdAt: '2026-01-02T03:04:05.678Z',
      hubVersion: '0.0.0-test',
      ...sample.provenance,
    },
  }
}
