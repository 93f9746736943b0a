import type { Sha256 } from '../core/digest.ts'
import type { Kernel } from '../core/kernel.ts'
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

/** BTF of a kernel in the form that was asked for. Throws what making it throws. */
export async function inForm(hub: Hub, btf: Content, kernel: Kernel, format: Format): Promise<Content> {
  switch (format) {
    case 'raw':
      return btf
    case 'gz':
    case 'xz':
      return hub.derived.get(btf.digest, format)
    case 'tar.xz':
      return hub.derived.get(btf.digest, `tar.xz:${kernel.release}.btf`)
    case 'elf':
      return hub.derived.get(btf.digest, `elf:${kernel.arch}`)
    case 'sha256':
      return checksumLine(btf.digest, `${kernel.release}.btf`)
  }
}

/** A line as `sha256sum -c` reads it; `name` needs no escaping, see core/kernel.checkName. */
export function checksumLine(digest: Sha256, name: string): Content {
  return memoryContent(Buffer.from(`${digest}  ${name}\n`))
}
