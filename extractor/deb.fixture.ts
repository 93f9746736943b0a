import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { run } from './run.fixture.ts'

/** Files by path; a link where the content is an object. */
export type Files = Readonly<Record<string, Uint8Array | { readonly linkTo: string }>>

/** Names and arguments of the compressions that deb(5) allows for data.tar; dpkg-deb makes the first four. */
export const DEB_COMPRESSIONS = ['none', 'gzip', 'xz', 'zstd', 'bzip2', 'lzma'] as const
export type DebCompression = (typeof DEB_COMPRESSIONS)[number]

/** A Debian package of `files`, made by dpkg-deb, or by `ar` where dpkg-deb only reads the compression. */
export async function makeDeb(
  files: Files,
  compression: DebCompression = 'xz',
  name = 'linux-image-sample',
): Promise<Buffer> {
  return await inTempDir(async (dir) => {
    const root = join(dir, 'root')
    await writeFiles(root, {
      ...files,
      'DEBIAN/control': Buffer.from(
        `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: sample\n`,
      ),
    })
    const deb = join(dir, 'sample.deb')
    const isOld = compression === 'bzip2' || compression === 'lzma'
    run('dpkg-deb', ['--root-owner-group', `-Z${isOld ? 'none' : compression}`, '-b', root, deb])
    if (isOld) {
      run('ar', ['x', deb], undefined, dir)
      const [program, suffix] = compression === 'bzip2' ? ['bzip2', 'bz2'] : ['lzma', 'lzma']
      run(program, [join(dir, 'data.tar')])
      await rm(deb)
      run('ar', ['rc', deb, 'debian-binary', 'control.tar', `data.tar.${suffix}`], undefined, dir)
    }
    return await readFile(deb)
  })
}

/** A tar archive of `files`, in their order, made by GNU tar. */
export async function makeTar(files: Files, args: readonly string[] = []): Promise<Buffer> {
  return await inTempDir(async (dir) => {
    await writeFiles(dir, files)
    return run('tar', ['-c', ...args, '-C', dir, '--', ...Object.keys(files)])
  })
}

async function writeFiles(root: string, files: Files): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const at = join(root, path)
    await mkdir(dirname(at), { recursive: true })
    if (content instanceof Uint8Array) await writeFile(at, content)
    else await symlink(content.linkTo, at)
  }
}

async function inTempDir<T>(handler: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'btfhub-deb-'))
  try {
    return await handler(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
