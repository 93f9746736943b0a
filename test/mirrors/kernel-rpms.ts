import { join } from 'node:path'
import type { TestKey } from '../apt-repository.ts'
import { buildRpms } from './rpm-repository.ts'
import { signRpms } from './sign-rpms.ts'

/** A kernel's files on this machine. */
export interface KernelFiles {
  /** `uname -r`. */
  readonly release: string
  readonly vmlinuz: string
  /** With DWARF. */
  readonly vmlinux: string
}

export interface KernelRpms {
  /** Folders below the root that get the packages. */
  readonly imageDir: string
  readonly debugDir: string
  /** `kernel`, `kernel-core`, `kernel-debug`. */
  readonly image: string
  /** `kernel-debuginfo`. */
  readonly debug: string
  /** `3.10.0-957.el7`. */
  readonly build: string
}

/** A kernel as Red Hat's kin ship it: an image package, and debuginfo with its vmlinux, both signed. */
export function addKernelRpms(root: string, rpms: KernelRpms, files: KernelFiles, key: TestKey): void {
  const [version = '', release = ''] = rpms.build.split('-')
  const id = { version, release, arch: 'x86_64' }
  const modules = `/lib/modules/${files.release}`
  const images = buildRpms(join(root, rpms.imageDir), [
    { ...id, name: rpms.image, files: { [`${modules}/vmlinuz`]: files.vmlinuz } },
  ])
  const debugs = buildRpms(join(root, rpms.debugDir), [
    { ...id, name: rpms.debug, files: { [`/usr/lib/debug${modules}/vmlinux`]: files.vmlinux } },
  ])
  signRpms([...images, ...debugs], key)
}
