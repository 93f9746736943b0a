import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../core/temp-file.ts'
import type { Client, Fetched } from './client.ts'
import { ClientError } from './errors.ts'
import type { Form } from './forms.ts'
import type { Host } from './host.ts'
import type { KernelQuery } from './query.ts'

/** What `btfhub get` is asked to do. What is said here goes before what the host says. */
export interface GetOptions extends KernelQuery {
  readonly format?: 'raw' | Form | undefined
  /** Where to write it; into the cache where it is not given. */
  readonly output?: string | undefined
  /** Writes it where libbpf and cilium/ebpf look by themselves. */
  readonly install?: boolean | undefined
  /** Asks a hub even where this host's kernel has BTF. */
  readonly force?: boolean | undefined
}

/** A file with a verified BTF: fetched, or the kernel's own. */
export type Got = Fetched | { readonly from: 'kernel'; readonly path: string; readonly release: string }

/**
 * The path of a verified BTF for a kernel, this host's by default. Where that one shows its own BTF, its own. Throws
 * ClientError.
 */
export async function get(
  options: GetOptions,
  parts: { readonly client: Client; readonly host: Host; readonly root?: string },
): Promise<Got> {
  const { client, host, root = '/' } = parts
  const { format = 'raw', output, install, force, ...asked } = options
  const query = withHostFacts(asked, host)
  if (install === true && format !== 'raw' && format !== 'elf') {
    throw new ClientError('BAD_REQUEST', `--install with ${format}: loaders read raw BTF and ELF only`)
  }
  const own = isThisHost(asked, host) && force !== true && isPlain(options) ? host.kernelBtf : null
  const got: Got =
    own !== null
      ? { from: 'kernel', path: own, release: host.release }
      : format === 'raw'
        ? await client.fetchBtf(query)
        : await client.fetchForm(query, format)
  // A build-id may name a kernel of another release than this host's, whose place it must not take.
  const destination =
    output ?? (install === true ? installPath(root, query.release ?? releaseOf(got)) : undefined)
  if (destination === undefined) return got
  await place(await readFile(got.path), destination)
  return { ...got, path: destination }
}

/**
 * The last place but one where libbpf looks (btf.c, `btf__load_vmlinux_btf`) and cilium/ebpf after it; raw BTF there
 * is read from libbpf 1.1 and cilium/ebpf 0.12.3 on, before that ELF only.
 */
export function installPath(root: string, release: string): string {
  return join(root, 'usr/lib/debug/boot', `vmlinux-${release}`)
}

/** Whether a kernel's own BTF is what is wanted: no other form, not modules', not lowered. */
function isPlain({ format = 'raw', variant = 'full', module, compat = 'native' }: GetOptions): boolean {
  return format === 'raw' && variant === 'full' && module === undefined && compat === 'native'
}

/** The release of the kernel that a BTF is of. */
export function releaseOf(got: Got): string {
  return got.from === 'kernel' ? got.release : got.kernel.slice(got.kernel.lastIndexOf('/') + 1)
}

/** This host's facts fill what was not said, if the kernel is this host's. */
function withHostFacts(asked: KernelQuery, host: Host): KernelQuery {
  if (!isThisHost(asked, host)) {
    // A build-id or banner names a kernel of whatever release and architecture.
    const isNamed = asked.buildId !== undefined || asked.banner !== undefined
    if (isNamed) return asked
    return { ...asked, release: asked.release ?? host.release, arch: asked.arch ?? host.arch }
  }
  const hasSystem = asked.distro !== undefined || asked.version !== undefined
  return {
    ...asked,
    release: host.release,
    arch: host.arch,
    buildId: asked.buildId ?? host.buildId ?? undefined,
    banner: asked.banner ?? host.banner ?? undefined,
    osRelease: asked.osRelease ?? (hasSystem ? undefined : (host.osRelease ?? undefined)),
  }
}

/** Whether what was asked is the running kernel: nothing that was said is otherwise on this host. */
function isThisHost(asked: KernelQuery, host: Host): boolean {
  return (
    (asked.release ?? host.release) === host.release &&
    (asked.arch ?? host.arch) === host.arch &&
    (asked.buildId ?? host.buildId) === host.buildId &&
    (asked.banner ?? host.banner) === host.banner
  )
}

/**
 * Writes a whole file, or nothing. Throws ClientError `BAD_REQUEST` where there is something else than a file, `FAILED`
 * where it cannot be written.
 */
export async function place(bytes: Uint8Array, to: string): Promise<void> {
  const there = await stat(to).catch(() => null)
  if (there !== null && !there.isFile()) {
    // A rename would put a file in the place of /dev/null or a pipe.
    throw new ClientError('BAD_REQUEST', `${to}: is there, and is no file`)
  }
  try {
    await writeFileAtomic(to, bytes)
  } catch (err) {
    throw new ClientError('FAILED', `writing ${to}`, { cause: err })
  }
}
