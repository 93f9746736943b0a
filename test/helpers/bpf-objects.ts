/** BPF objects of real tools, cut out of what Debian's packages install. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { ElfMachine, parseElf } from '../../btf/index.ts'
import { sha256Of } from '../../core/digest.ts'

export interface FoundObject {
  /** `execsnoop`, or `systemd#3` for the third of several in one file. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** Packages whose files have BPF objects in them, or are BPF objects. */
const PACKAGES = ['libbpf-tools', 'xdp-tools', 'bpftune', 'systemd', 'pwru', 'mimic', 'bpftop'] as const

const ELF_MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2])
const E_MACHINE = 18
const MAX_FILE_BYTES = 64 * 1024 * 1024

/**
 * All BPF objects among the files of installed packages that are known to have some, and of the directories in
 * `BTFHUB_BPF_OBJECTS` (colon-separated); each content once, by name. Empty where nothing is installed.
 */
export function installedObjects(): FoundObject[] {
  const files = [
    ...PACKAGES.flatMap(filesOfPackage),
    ...filesOfDirectories(process.env.BTFHUB_BPF_OBJECTS ?? ''),
  ]
  return uniqueObjects(files.flatMap(objectsInFile))
}

/** Each content once, sorted by name. */
export function uniqueObjects(objects: readonly FoundObject[]): FoundObject[] {
  const seen = new Set<string>()
  return objects
    .filter(({ bytes }) => {
      const digest = sha256Of(bytes)
      return !seen.has(digest) && seen.add(digest)
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The BPF objects in a file: itself, or those that a skeleton embedded in it. */
export function objectsInFile(path: string): FoundObject[] {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined || !stat.isFile() || stat.size > MAX_FILE_BYTES) return []
  const bytes = readFileSync(path)
  const cuts = cutObjects(bytes)
  const name = basename(path).replace(/\.o$/, '')
  return cuts.map((cut, i) => ({ name: cuts.length === 1 ? name : `${name}#${i + 1}`, bytes: cut }))
}

/** Finds ELF files for BPF in bytes, and their ends by their section headers. */
export function cutObjects(bytes: Buffer): Uint8Array[] {
  const found: Uint8Array[] = []
  let from = 0
  for (let at = bytes.indexOf(ELF_MAGIC, from); at >= 0; at = bytes.indexOf(ELF_MAGIC, from)) {
    from = at + ELF_MAGIC.length
    const isBig = bytes[at + 5] === 2
    if (at + 64 > bytes.byteLength) break
    const machine = isBig ? bytes.readUInt16BE(at + E_MACHINE) : bytes.readUInt16LE(at + E_MACHINE)
    if (machine !== ElfMachine.BPF) continue
    const sizeBytes = elfSize(bytes.subarray(at))
    if (sizeBytes === null) continue
    found.push(new Uint8Array(bytes.subarray(at, at + sizeBytes)))
    from = at + sizeBytes
  }
  return found
}

/** To the end of the section headers or the last section, whichever comes later; null where the headers are broken. */
function elfSize(bytes: Buffer): number | null {
  const isBig = bytes[5] === 2
  const u16 = (at: number): number => (isBig ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at))
  const shoff = Number(isBig ? bytes.readBigUInt64BE(40) : bytes.readBigUInt64LE(40))
  try {
    const { sections } = parseElf(bytes)
    const ends = sections.filter(({ type }) => type !== 8).map(({ offset, sizeBytes }) => offset + sizeBytes)
    return Math.max(shoff + u16(58) * u16(60), ...ends)
  } catch {
    return null
  }
}

function filesOfPackage(name: string): string[] {
  const listed = spawnSync('dpkg', ['-L', name], { encoding: 'utf8' })
  if (listed.error !== undefined || listed.status !== 0) return []
  return listed.stdout.split('\n').filter((path) => /\/(bin|sbin|bpf|systemd|lib|lib64)\/[^/]+$/.test(path))
}

function filesOfDirectories(list: string): string[] {
  return list
    .split(':')
    .filter((dir) => dir !== '' && existsSync(dir))
    .flatMap((dir) => readdirSync(dir).map((file) => join(dir, file)))
}
