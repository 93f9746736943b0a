import { createHash } from 'node:crypto'
import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { compress } from './image.fixture.ts'
import { run } from './run.fixture.ts'

/** Files by path: content, a link, another name of a file that is there (`sameAs`), or one that only the header lists. */
export type RpmFiles = Readonly<
  Record<
    string,
    Uint8Array | { readonly linkTo: string } | { readonly sameAs: string } | { readonly ghost: true }
  >
>

/** What rpmbuild's `_binary_payload` takes, by the name that the package's header gives it. */
export const RPM_COMPRESSIONS = {
  none: 'w.ufdio',
  gzip: 'w6.gzdio',
  bzip2: 'w6.bzdio',
  lzma: 'w1.lzdio',
  xz: 'w1.xzdio',
  'xz in many blocks': 'w1T2.xzdio',
  zstd: 'w3.zstdio',
} as const
export type RpmCompression = keyof typeof RPM_COMPRESSIONS

/** A package of `files` made by rpmbuild, which puts them in the order of their paths. */
export async function makeRpm(
  files: RpmFiles,
  compression: RpmCompression = 'zstd',
  name = 'kernel-sample',
): Promise<Buffer> {
  const dir = await mkdtemp(join(tmpdir(), 'btfhub-rpm-'))
  try {
    const root = join(dir, 'root')
    const listed: string[] = []
    for (const [path, content] of Object.entries(files)) {
      const at = join(root, path)
      await mkdir(dirname(at), { recursive: true })
      if (content instanceof Uint8Array) await writeFile(at, content)
      else if ('linkTo' in content) await symlink(content.linkTo, at)
      else if ('sameAs' in content) await link(join(root, content.sameAs), at)
      else await writeFile(at, 'a ghost')
      listed.push(`${!(content instanceof Uint8Array) && 'ghost' in content ? '%ghost ' : ''}/${path}`)
    }
    const spec = [
      '%global __os_install_post %{nil}',
      '%global debug_package %{nil}',
      '%global _build_id_links none',
      `%global _binary_payload ${RPM_COMPRESSIONS[compression]}`,
      `Name: ${name}\nVersion: 1\nRelease: 1\nSummary: sample\nLicense: none\nAutoReqProv: no`,
      '%description\nsample',
      `%install\ncp -a ${root}/. %{buildroot}`,
      `%files\n${listed.join('\n')}`,
    ]
    await writeFile(join(dir, 'sample.spec'), `${spec.join('\n')}\n`)
    run('rpmbuild', ['-bb', '--quiet', '--define', `_topdir ${dir}`, join(dir, 'sample.spec')])
    const made = (await readdir(join(dir, 'RPMS'), { recursive: true })).find((file) => file.endsWith('.rpm'))
    return await readFile(join(dir, 'RPMS', made as string))
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Ways to write a package by hand, for what the rpmbuild of today does not write. */
export interface HandMade {
  /**
   * `4.11`: as in EL 7, SHA-1 of the header and MD5 of all, no digest of the payload. `4.14`: SHA-256 of header and
   * payload. `6`: neither SHA-1 nor MD5, sizes of 64 bits, a stripped payload always, digests of the payload as
   * stored and unpacked.
   */
  readonly style?: '4.11' | '4.14' | '6'
  readonly compression?: 'none' | 'gzip' | 'xz' | 'zstd'
  /** Sizes that the header states instead of the true ones, by path. */
  readonly sizes?: Readonly<Record<string, number>>
  readonly payloadFormat?: string
}

type Value = readonly [type: number, count: number, data: Buffer]
const int16 = (values: readonly number[]): Value => [3, values.length, numbers(values, 2)]
const int32 = (values: readonly number[]): Value => [4, values.length, numbers(values, 4)]
const int64 = (values: readonly number[]): Value => [5, values.length, numbers(values, 8)]
const text = (value: string): Value => [6, 1, Buffer.from(`${value}\0`)]
const binary = (value: Buffer): Value => [7, value.byteLength, value]
const texts = (values: readonly string[]): Value => [
  8,
  values.length,
  Buffer.from(values.map((value) => `${value}\0`).join('')),
]

/** A package of plain files written by hand, in their order. Files of equal content object are one file of several names. */
export function writeRpm(files: Readonly<Record<string, Uint8Array>>, how: HandMade = {}): Buffer {
  const { style = '4.14', compression = 'zstd', payloadFormat = 'cpio' } = how
  const paths = Object.keys(files)
  const contents = Object.values(files)
  const dirs = [...new Set(paths.map((path) => `/${dirname(path)}/`))]
  const inodes = contents.map((content) => contents.indexOf(content) + 1)
  const isStripped = style === '6'
  const archive = cpio(paths, contents, inodes, isStripped)
  const payload = compressPayload(compression, archive)
  const sizes = paths.map((path, i) => how.sizes?.[path] ?? (contents[i] as Uint8Array).byteLength)
  const header = headerOf(63, {
    1000: text('kernel-sample'),
    1001: text('1'),
    1002: text('1'),
    1004: text('sample'),
    1005: text('sample'),
    1021: text('linux'),
    1022: text('noarch'),
    ...(isStripped ? { 5008: int64(sizes) } : { 1028: int32(sizes) }),
    1030: int16(paths.map(() => 0o100644)),
    1035: texts(contents.map((content) => createHash('sha256').update(content).digest('hex'))),
    1036: texts(paths.map(() => '')),
    1037: int32(paths.map(() => 0)),
    1039: texts(paths.map(() => 'root')),
    1040: texts(paths.map(() => 'root')),
    1044: text('kernel-sample-1-1.src.rpm'),
    1095: int32(paths.map(() => 1)),
    1096: int32(inodes),
    1116: int32(paths.map((path) => dirs.indexOf(`/${dirname(path)}/`))),
    1117: texts(paths.map((path) => path.split('/').at(-1) as string)),
    1118: texts(dirs),
    1124: text(payloadFormat),
    ...(compression === 'none' ? {} : { 1125: text(compression) }),
    5011: int32([8]),
    ...(style === '4.11'
      ? {}
      : {
          5092: texts([createHash('sha256').update(payload).digest('hex')]),
          5093: int32([8]),
          5097: texts([createHash('sha256').update(archive).digest('hex')]),
        }),
  })
  const sha1 = createHash('sha1').update(header).digest('hex')
  const sha256 = createHash('sha256').update(header).digest('hex')
  const md5 = createHash('md5').update(header).update(payload).digest()
  const signature = headerOf(62, {
    ...(style === '6' ? {} : { 269: text(sha1), 1000: int32([header.byteLength + payload.byteLength]) }),
    ...(style === '4.11' ? {} : { 273: text(sha256) }),
    ...(style === '6' ? {} : { 1004: binary(md5), 1007: int32([archive.byteLength]) }),
  })
  const lead = Buffer.alloc(96)
  lead.set([0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0, 0, 1])
  lead.write('kernel-sample-1-1', 10, 'latin1')
  lead.writeUInt16BE(1, 76)
  lead.writeUInt16BE(5, 78)
  return Buffer.concat([lead, signature, Buffer.alloc((8 - (signature.byteLength % 8)) % 8), header, payload])
}

/** As RPM does it: xz as EL 7 and 8 call it, with level 2 and rpmio's check. */
function compressPayload(compression: NonNullable<HandMade['compression']>, archive: Buffer): Buffer {
  if (compression === 'none') return archive
  return compression === 'xz'
    ? run('xz', ['-2', '--check=crc32', '-c'], archive)
    : compress(compression, archive)
}

/** A header structure: the entry of its region first, then tags in their order, the region's trailer at the end. */
function headerOf(region: number, values: Readonly<Record<number, Value>>): Buffer {
  const entries = Object.entries(values).sort(([a], [b]) => Number(a) - Number(b))
  const index: Buffer[] = []
  const store: Buffer[] = []
  let used = 0
  const put = (data: Buffer, align: number): number => {
    const padding = (align - (used % align)) % align
    store.push(Buffer.alloc(padding), data)
    used += padding + data.byteLength
    return used - data.byteLength
  }
  for (const [tag, [type, count, data]] of entries) {
    const align = { 3: 2, 4: 4, 5: 8 }[type] ?? 1
    index.push(numbers([Number(tag), type, put(data, align), count], 4))
  }
  const trailer = put(numbers([region, 7, -16 * (entries.length + 1), 16], 4), 1)
  const intro = Buffer.concat([
    Buffer.from('8eade80100000000', 'hex'),
    numbers([entries.length + 1, used], 4),
  ])
  return Buffer.concat([intro, numbers([region, 7, trailer, 16], 4), ...index, ...store])
}

function cpio(
  paths: readonly string[],
  contents: readonly Uint8Array[],
  inodes: readonly number[],
  isStripped: boolean,
): Buffer {
  const pieces: Uint8Array[] = []
  const pad = (bytes: number): Buffer => Buffer.alloc((4 - (bytes % 4)) % 4)
  const newc = (name: string, inode: number, links: number, sizeBytes: number): void => {
    const fields = [inode, 0o100644, 0, 0, links, 0, sizeBytes, 0, 0, 0, 0, name.length + 1, 0]
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`
    pieces.push(Buffer.from(header), pad(header.length))
  }
  paths.forEach((path, i) => {
    const names = inodes.flatMap((inode, at) => (inode === inodes[i] ? [at] : []))
    const content = names.at(-1) === i ? (contents[i] as Uint8Array) : new Uint8Array(0)
    if (isStripped) pieces.push(Buffer.from(`07070X${i.toString(16).padStart(8, '0')}\0\0`))
    else newc(`./${path}`, inodes[i] as number, names.length, content.byteLength)
    pieces.push(content, pad(content.byteLength))
  })
  newc('TRAILER!!!', 0, 1, 0)
  return Buffer.concat(pieces)
}

function numbers(values: readonly number[], width: 2 | 4 | 8): Buffer {
  const bytes = Buffer.alloc(values.length * width)
  values.forEach((value, i) => {
    if (width === 8) bytes.writeBigInt64BE(BigInt(value), i * 8)
    else if (value < 0) bytes.writeIntBE(value, i * width, width)
    else bytes.writeUIntBE(value, i * width, width)
  })
  return bytes
}
