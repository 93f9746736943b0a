import { constants } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { buildIdOf, readNotes } from '../btf/index.ts'

/** What this host says of its kernel; null where it says nothing. */
export interface Host {
  /** `uname -r`. */
  readonly release: string
  /** `uname -m`. */
  readonly arch: string
  /** The text of `/proc/version`. */
  readonly banner: string | null
  /** GNU build-id of the running kernel, from `/sys/kernel/notes`. */
  readonly buildId: string | null
  /** The text of os-release: of the container, where this runs in one. */
  readonly osRelease: string | null
  /** Where the kernel shows its own BTF; null where it has none. */
  readonly kernelBtf: string | null
}

/** Longer texts than these no hub takes (registry/api.ts), and no real one is as long. */
const MAX_BANNER_LENGTH = 1024
const MAX_OS_RELEASE_LENGTH = 16_384

/** Reads what is known of the running kernel. `root` is where the host's files are, `/host` in many containers. */
export async function readHost(root = '/'): Promise<Host> {
  const text = async (...paths: readonly string[]): Promise<string | null> => {
    for (const path of paths) {
      const bytes = await readIfThere(join(root, path))
      if (bytes !== null) return bytes.toString('utf8').trimEnd()
    }
    return null
  }
  const notes = await readIfThere(join(root, 'sys/kernel/notes'))
  const kernelBtf = join(root, 'sys/kernel/btf/vmlinux')
  return {
    release: (await text('proc/sys/kernel/osrelease')) ?? os.release(),
    arch: os.machine(),
    banner: unlessLonger(MAX_BANNER_LENGTH, await text('proc/version')),
    buildId: notes === null ? null : buildIdOf(readNotes(notes, os.endianness() === 'LE' ? 'little' : 'big')),
    osRelease: unlessLonger(MAX_OS_RELEASE_LENGTH, await text('etc/os-release', 'usr/lib/os-release')),
    kernelBtf: (await isReadable(kernelBtf)) ? kernelBtf : null,
  }
}

function unlessLonger(length: number, text: string | null): string | null {
  return text === null || text === '' || text.length > length ? null : text
}

/** What cannot be read is not known: sandboxes hide these files in several ways. */
async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path)
  } catch {
    return null
  }
}

async function isReadable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  )
}
