import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Where the files below say that they are; the web server puts its own address in place of it. */
export const LAUNCHPAD_ORIGIN = 'http://launchpad.test'

/** Where Launchpad has a debug package's file, below the root. */
export const LAUNCHPAD_FILES = 'ubuntu/+archive/primary/+files'

/** A debug package that Launchpad remembers, its file among its {@link LAUNCHPAD_FILES}. */
export interface Remembered {
  readonly name: string
  readonly version: string
  readonly arch: string
}

/**
 * Launchpad's answers as files: one page with the publication of a debug package, and what it tells of its file. As
 * files know no queries, the page is the same for every series.
 */
export function addToLaunchpad(root: string, { name, version, arch }: Remembered): void {
  const put = (path: string, value: unknown): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), JSON.stringify(value))
  }
  const file = `${LAUNCHPAD_FILES}/${name}_${version}_${arch}.ddeb`
  const bytes = readFileSync(join(root, file))
  const publication = {
    self_link: `${LAUNCHPAD_ORIGIN}/launchpad/publications/1`,
    display_name: `${name} ${version} in focal ${arch}`,
    status: 'Superseded',
    pocket: 'Updates',
    binary_package_name: name,
    binary_package_version: version,
    is_debug: true,
    date_created: '2020-04-20T19:43:10.104442+00:00',
    date_published: '2020-04-20T19:53:48.149191+00:00',
  }
  put('launchpad/ubuntu/+archive/primary', { total_size: 1, start: 0, entries: [publication] })
  put('launchpad/publications/1', [
    {
      url: `${LAUNCHPAD_ORIGIN}/${file}`,
      size: bytes.byteLength,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    },
  ])
}
