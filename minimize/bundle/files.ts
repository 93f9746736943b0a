import type { Kernel } from '../../core/kernel.ts'
import { namesOf } from './names.ts'
import type { BundleFile, BundleFiles, BundleItem, BundleLayout, LeftOut } from './types.ts'

/** bcc reads the `name` field of a tar header alone, and needs its NUL. */
const MAX_BCC_NAME_BYTES = 99

/**
 * The files of a bundle in a layout, each name once. Where kernels of one name have different min BTF, none of them is
 * in the bundle: a reader could not tell them apart either.
 */
export function bundleFiles(
  layout: Exclude<BundleLayout, 'compact'>,
  items: readonly BundleItem[],
): BundleFiles {
  const byName = new Map<string, BundleItem[]>()
  for (const item of items) {
    for (const name of namesOf(layout, item.kernel)) {
      const same = byName.get(name)
      if (same === undefined) byName.set(name, [item])
      else same.push(item)
    }
  }
  const files: BundleFile[] = []
  const leftOut: LeftOut[] = []
  const leave = (name: string, same: readonly BundleItem[], why: LeftOut['why']): void => {
    const kernels: readonly Kernel[] = same.map(({ kernel }) => kernel)
    leftOut.push({ name, kernels, why })
  }
  for (const [name, same] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [first, ...others] = same as [BundleItem, ...BundleItem[]]
    if (others.some(({ bytes }) => !isSame(bytes, first.bytes))) leave(name, same, 'ambiguous')
    else if (layout === 'bcc' && Buffer.byteLength(name) > MAX_BCC_NAME_BYTES)
      leave(name, same, 'name-too-long')
    else files.push({ name, bytes: first.bytes })
  }
  return { files, leftOut }
}

export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0
}
