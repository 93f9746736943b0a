import type { Kernel } from '../../core/kernel.ts'

/** How min BTF of many kernels is packed, each as some program looks it up; docs/bundles.md says who does. */
export const BUNDLE_LAYOUTS = ['tree', 'bcc', 'gadget', 'datadog', 'flat', 'compact'] as const
export type BundleLayout = (typeof BUNDLE_LAYOUTS)[number]

/** The min BTF of a tool on one kernel. */
export interface BundleItem {
  readonly kernel: Kernel
  readonly bytes: Uint8Array
}

/** A file of a bundle. Files of equal content may share their bytes. */
export interface BundleFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** A name that cannot be in the bundle: `ambiguous` where kernels of that name need different contents. */
export interface LeftOut {
  readonly name: string
  readonly kernels: readonly Kernel[]
  readonly why: 'ambiguous' | 'name-too-long'
}

export interface BundleFiles {
  /** In order of name. */
  readonly files: readonly BundleFile[]
  readonly leftOut: readonly LeftOut[]
}
