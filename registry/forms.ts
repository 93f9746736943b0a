import type { Sha256 } from '../core/digest.ts'
import type { Kernel } from '../core/kernel.ts'
import { type DerivedForm, makeForm } from '../store/index.ts'
import type { Format } from './api.ts'
import { type Content, memoryContent } from './content.ts'
import type { Hub } from './hub.ts'

/** Media types of the forms. */
export const mediaTypes: Readonly<Record<Format, string>> = {
  raw: 'application/octet-stream',
  elf: 'application/octet-stream',
  gz: 'application/gzip',
  xz: 'application/x-xz',
  'tar.xz': 'application/x-xz',
  sha256: 'text/plain; charset=utf-8',
}

/**
 * BTF of a kernel in the form that was asked for, kept where it has to be made; `name` is that of the file in a tar,
 * without its ending. Throws what making it throws.
 */
export async function inForm(
  hub: Hub,
  btf: Content,
  kernel: Kernel,
  format: Format,
  name = kernel.release,
): Promise<Content> {
  if (format === 'raw') return btf
  if (format === 'sha256') return checksumLine(btf.digest, `${name}.btf`)
  return hub.derived.get(btf.digest, derivedFormOf(kernel, format, name))
}

/** The same of BTF that is in no store: nothing is kept. */
export async function formOfMade(btf: Content, kernel: Kernel, format: Format): Promise<Content> {
  if (format === 'raw') return btf
  if (format === 'sha256') return checksumLine(btf.digest, `${kernel.release}.btf`)
  return memoryContent(await makeForm(derivedFormOf(kernel, format), await btf.read()))
}

/** What the store calls a form of a kernel's BTF. */
export function derivedFormOf(
  kernel: Kernel,
  format: Exclude<Format, 'raw' | 'sha256'>,
  name = kernel.release,
): DerivedForm {
  switch (format) {
    case 'gz':
    case 'xz':
      return format
    case 'tar.xz':
      return `tar.xz:${name}.btf`
    case 'elf':
      return `elf:${kernel.arch}`
  }
}

/** A line as `sha256sum -c` reads it; `name` needs no escaping, see core/kernel.checkName. */
export function checksumLine(digest: Sha256, name: string): Content {
  return memoryContent(Buffer.from(`${digest}  ${name}\n`))
}
