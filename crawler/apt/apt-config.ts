import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checksValidUntil, isNo } from './apt-conf.ts'
import { parseFields, splitStanzas } from './control.ts'

/** One source of packages that a machine's apt is told about: some suites of some archives. */
export interface AptEntry {
  /** As written, without a slash at the end: `http://…`, `mirror+file:/…`. */
  readonly uris: readonly string[]
  readonly suites: readonly string[]
  readonly components: readonly string[]
  /** Files of keys that sign it; empty where apt is not told. */
  readonly keyFiles: readonly string[]
  /** Armoured keys that sit in the configuration itself. */
  readonly inlineKeys: readonly string[]
  readonly checkValidUntil: boolean
}

/** The package sources of a machine. */
export interface AptConfig {
  readonly entries: readonly AptEntry[]
  /** What could not be understood, one line each. */
  readonly problems: readonly string[]
}

/**
 * A machine's apt configuration, sources.list(5): `sources.list`, `sources.list.d/*.{list,sources}`, lists of mirrors
 * that they name, and `Acquire::Check-Valid-Until` of apt.conf(5). `root` is where the machine's `/` is. A machine
 * without apt has no entries.
 */
export async function readAptConfig(root: string): Promise<AptConfig> {
  const etc = join(root, 'etc/apt')
  const main = await readText(join(etc, 'sources.list'))
  const parts = await readFolder(join(etc, 'sources.list.d'), /^[A-Za-z0-9._-]+\.(?:list|sources)$/)
  const settings = await readFolder(join(etc, 'apt.conf.d'), /^[A-Za-z0-9_-]+(?:\.conf)?$/)
  const parsed = [
    ...(main === null ? [] : [parseOneLine(main)]),
    ...parts.map(({ name, text }) => (name.endsWith('.list') ? parseOneLine(text) : parseDeb822(text))),
  ]
  const checkAll = checksValidUntil(settings.map(({ text }) => text).join('\n'))
  const entries = await Promise.all(
    parsed.flatMap((part) => part.entries).map((e) => expandMirrorLists(e, root)),
  )
  return {
    entries: entries.map((e) => (checkAll ? e : { ...e, checkValidUntil: false })),
    problems: parsed.flatMap((part) => part.problems),
  }
}

/** One-line format: `deb [option=value …] URI SUITE COMPONENT…`. */
export function parseOneLine(text: string): AptConfig {
  const entries: AptEntry[] = []
  const problems: string[] = []
  for (const raw of text.split('\n')) {
    const line = raw.replace(/#.*/, '').trim()
    if (line === '' || /^deb-src\s/.test(line)) continue
    const match = /^deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)(?:\s+(.*))?$/.exec(line)
    const [, optionText = '', uri, suite, components = ''] = match ?? []
    if (uri === undefined || suite === undefined) {
      // `deb cdrom:[Debian 12 …]/ bookworm main` has blanks in its URI; a disc is no mirror.
      if (!/^deb\s+(?:\[[^\]]*\]\s*)?cdrom:/.test(line)) problems.push(`not understood: ${line}`)
      continue
    }
    if (uri.startsWith('cdrom:')) continue
    const options = parseOptions(optionText)
    entries.push({
      uris: [trimSlash(uri)],
      suites: [suite],
      components: words(components),
      keyFiles: keyFilesOf(options.get('signed-by') ?? ''),
      inlineKeys: [],
      checkValidUntil: !isNo(options.get('check-valid-until')),
    })
  }
  return { entries, problems }
}

/** deb822 format: stanzas with Types, URIs, Suites, Components, Signed-By, Enabled. */
export function parseDeb822(text: string): AptConfig {
  const entries: AptEntry[] = []
  const problems: string[] = []
  const uncommented = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
  for (const stanza of splitStanzas(uncommented)) {
    const fields = parseFields(stanza)
    const uris = words(fields?.get('uris'))
    const suites = words(fields?.get('suites'))
    const types = words(fields?.get('types'))
    if (fields === null || types.length === 0 || uris.length === 0 || suites.length === 0) {
      problems.push(`not understood: ${stanza.split('\n', 1)[0] ?? ''} …`)
      continue
    }
    if (isNo(fields.get('enabled')) || !types.includes('deb')) continue
    const signedBy = fields.get('signed-by') ?? ''
    const inline = signedBy.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----')
    entries.push({
      uris: uris.map(trimSlash),
      suites,
      components: words(fields.get('components')),
      keyFiles: inline ? [] : keyFilesOf(signedBy),
      // A blank line inside a field is written as a lone dot (deb822(5)).
      inlineKeys: inline ? [signedBy.replace(/^\s*\.?\s*$/gm, '').trim()] : [],
      checkValidUntil: !isNo(fields.get('check-valid-until')),
    })
  }
  return { entries, problems }
}

/** `mirror+file:/etc/apt/mirrors/debian.list`, as cloud images have it: a file with one base URL per line. */
async function expandMirrorLists(entry: AptEntry, root: string): Promise<AptEntry> {
  const uris = await Promise.all(
    entry.uris.map(async (uri) => {
      const path = /^mirror\+file:(?:\/\/)?(\/.*)$/.exec(uri)?.[1]
      if (path === undefined) return [uri]
      const list = (await readText(join(root, path))) ?? ''
      const lines = list.split('\n').map((line) => words(line.replace(/#.*/, ''))[0])
      return lines.filter((line) => line !== undefined).map(trimSlash)
    }),
  )
  return { ...entry, uris: uris.flat() }
}

function parseOptions(text: string): ReadonlyMap<string, string> {
  return new Map(
    words(text).map((word) => {
      const [name = '', ...value] = word.split('=')
      return [name.toLowerCase().replace(/[+-]$/, ''), value.join('=')]
    }),
  )
}

/** Paths only: fingerprints name keys that apt trusts anyway. */
function keyFilesOf(signedBy: string): string[] {
  return signedBy.split(/[\s,]+/).filter((word) => word.startsWith('/'))
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '')
}

function trimSlash(uri: string): string {
  return uri.replace(/\/+$/, '')
}

async function readFolder(dir: string, wanted: RegExp): Promise<{ name: string; text: string }[]> {
  const names = await readdir(dir).catch((err: unknown) => {
    if (isMissing(err)) return []
    throw err
  })
  const files: { name: string; text: string }[] = []
  for (const name of names.filter((candidate) => wanted.test(candidate)).sort()) {
    const text = await readText(join(dir, name))
    if (text !== null) files.push({ name, text })
  }
  return files
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (err) {
    if (isMissing(err)) return null
    throw err
  }
}

/** Not there, not ours to read, or not a file: for apt's configuration that all means "says nothing". */
function isMissing(err: unknown): boolean {
  const code = (err as { code?: unknown }).code
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES' || code === 'EISDIR'
}
