import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
  linkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, sep } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { type Kernel, formatKernel, makeKernel } from '../../core/kernel.ts'
import { corpusDir } from '../../test/helpers/machine.ts'
import { MinimizeError } from '../errors.ts'
import { decodeCompact, encodeCompact } from './compact.ts'
import { bundleFiles } from './files.ts'
import { namesOf } from './names.ts'
import type { BundleItem } from './types.ts'
import { ustar } from './ustar.ts'

const kernel = (path: string): Kernel => makeKernel(...(path.split('/') as [string, string, string, string]))
const item = (path: string, text: string): BundleItem => ({ kernel: kernel(path), bytes: Buffer.from(text) })

const ITEMS = [
  item('centos/7/x86_64/3.10.0-1160.el7.x86_64', 'one'),
  item('centos/7/x86_64/3.10.0-957.el7.x86_64', 'one'),
  item('ubuntu/18.04/arm64/5.4.0-80-generic', 'two'),
  item('ubuntu/20.04/arm64/5.4.0-80-generic', 'three'),
  item('debian/12/x86_64/6.1.0-56-amd64', 'four'),
]

describe('names', () => {
  it.each([
    ['tree', 'ubuntu/18.04/arm64/5.4.0-80-generic', ['ubuntu/18.04/arm64/5.4.0-80-generic.btf']],
    ['flat', 'debian/12/x86_64/6.1.0-56-amd64', ['6.1.0-56-amd64.btf']],
    ['datadog', 'ubuntu/18.04/arm64/5.4.0-80-generic', ['ubuntu/18.04/5.4.0-80-generic.btf.tar.xz']],
    ['datadog', 'centos/7/x86_64/3.10.0-957.el7.x86_64', ['centos/3.10.0-957.el7.x86_64.btf.tar.xz']],
    ['bcc', 'debian/10/x86_64/4.19.0-21-amd64', ['./debian/10/x86_64/4.19.0-21-amd64.btf']],
    ['gadget', 'debian/10/x86_64/4.19.0-21-amd64', ['debian/10/x86_64/4.19.0-21-amd64.btf']],
  ] as const)('%s of %s', (layout, path, names) => {
    expect(namesOf(layout, kernel(path))).toEqual(names)
  })
})

/**
 * What libbpf-tools do with os-release and uname: `sscanf("ID=%64s")` and `sscanf("VERSION_ID=\"%64s")` line by line,
 * quotes cut off where they end the version (facts of iovisor/bcc, btf_helpers.c).
 */
function bccLookup(osRelease: string, machine: string, release: string): string {
  let [id, version] = ['', '']
  for (const line of osRelease.split('\n')) {
    const idMatch = /^ID=\s*(\S{1,64})/.exec(line)
    const versionMatch = /^VERSION_ID="\s*(\S{1,64})/.exec(line)
    if (idMatch !== null) id = idMatch[1] ?? ''
    if (versionMatch !== null) version = (versionMatch[1] ?? '').replace(/"$/, '')
  }
  return `./${id}/${version}/${machine}/${release}.btf`
}

/** A tar as those tools read it: 512-byte headers, the name field alone, until the first empty name. */
function bccFind(tar: Uint8Array, wanted: string): string | null {
  for (let at = 0; at + 512 <= tar.byteLength;) {
    const field = Buffer.from(tar.subarray(at, at + 100))
    const name = field.toString('latin1', 0, field.indexOf(0))
    if (name === '') return null
    const size = Number.parseInt(Buffer.from(tar.subarray(at + 124, at + 135)).toString('latin1'), 8)
    if (name === wanted) return Buffer.from(tar.subarray(at + 512, at + 512 + size)).toString()
    at += 512 + Math.ceil(size / 512) * 512
  }
  return null
}

describe('the bcc layout', () => {
  it.each([
    ['Ubuntu 18.04', 'ID=ubuntu\nVERSION_ID="18.04"', 'x86_64', 'ubuntu/18.04/x86_64/4.15.0-20-generic'],
    ['Debian 10', 'VERSION_ID="10"\nID=debian', 'x86_64', 'debian/10/x86_64/4.19.0-21-amd64'],
    ['CentOS 7', 'ID="centos"\nVERSION_ID="7"', 'x86_64', 'centos/7/x86_64/3.10.0-123.el7.x86_64'],
    ['Amazon 2', 'ID="amzn"\nVERSION_ID="2"', 'aarch64', 'amzn/2/arm64/4.14.320-242.534.amzn2.aarch64'],
    ['Amazon 1', 'ID="amzn"\nVERSION_ID="2018.03"', 'x86_64', 'amzn/2018/x86_64/4.14.1-1.amzn1.x86_64'],
    ['Oracle 7.9', 'ID="ol"\nVERSION_ID="7.9"', 'x86_64', 'ol/7/x86_64/4.14.35-2047.el7uek.x86_64'],
    ['RHEL 8.1', 'ID="rhel"\nVERSION_ID="8.1"', 'x86_64', 'rhel/8/x86_64/4.18.0-147.5.1.el8_1.x86_64'],
    ['SLES 15.2', 'ID="sles"\nVERSION_ID="15.2"', 'x86_64', 'sles/15.2/x86_64/5.3.18-22-default'],
    ['Fedora 31', 'ID=fedora\nVERSION_ID=31', 'x86_64', 'fedora/31/x86_64/5.3.7-301.fc31.x86_64'],
  ])('is found by a tool on %s', (_, osRelease, machine, path) => {
    const { files } = bundleFiles('bcc', [...ITEMS, item(path, 'mine')])
    const wanted = bccLookup(osRelease, machine, kernel(path).release)
    expect(bccFind(ustar(files, { hardLinks: false }), wanted)).toBe('mine')
  })

  it('leaves out names that a tar header has no NUL for', () => {
    const long = item(`debian/12/x86_64/${'6'.repeat(90)}`, 'x')
    const { files, leftOut } = bundleFiles('bcc', [long])
    expect({ files, why: leftOut[0]?.why }).toEqual({ files: [], why: 'name-too-long' })
  })
})

describe('files of a layout', () => {
  it('leaves out what kernels of one name do not agree on, and tells', () => {
    const { files, leftOut } = bundleFiles('flat', ITEMS)
    expect(files.map(({ name }) => name)).toEqual([
      '3.10.0-1160.el7.x86_64.btf',
      '3.10.0-957.el7.x86_64.btf',
      '6.1.0-56-amd64.btf',
    ])
    expect(leftOut).toEqual([
      { name: '5.4.0-80-generic.btf', why: 'ambiguous', kernels: [ITEMS[2]?.kernel, ITEMS[3]?.kernel] },
    ])
  })

  it('does not depend on the order of kernels', () => {
    expect(bundleFiles('bcc', [...ITEMS].reverse())).toEqual(bundleFiles('bcc', ITEMS))
    expect(encodeCompact([...ITEMS].reverse()).bytes).toEqual(encodeCompact(ITEMS).bytes)
  })
})

describe('a tar', () => {
  const dir = mkdtempSync(join(tmpdir(), 'bundle-'))
  afterAll(() => rmSync(dir, { recursive: true }))

  it.each([true, false])('is what GNU tar makes, hard links %s', (hardLinks) => {
    const { files } = bundleFiles('tree', [
      ...ITEMS,
      item(`debian/12/x86_64/${'6.1.0-'.repeat(14)}x`, 'long'),
    ])
    const root = mkdtempSync(join(dir, 'gnu-'))
    const firsts = new Map<string, string>()
    for (const { name, bytes } of files) {
      const path = join(root, name)
      const text = Buffer.from(bytes).toString()
      mkdirSync(dirname(path), { recursive: true })
      const first = firsts.get(text)
      if (first !== undefined && hardLinks) linkSync(first, path)
      else writeFileSync(path, bytes)
      utimesSync(path, 0, 0)
      firsts.set(text, first ?? path)
    }
    writeFileSync(join(root, '.names'), files.map(({ name }) => `${name}\n`).join(''))
    const flags = ['--format=ustar', '--owner=root:0', '--group=root:0', '--mode=a=r', '--mtime=@0', '-b1']
    const gnu = execFileSync('tar', [...flags, '-C', root, '-cf', '-', '-T', join(root, '.names')])
    expect(Buffer.compare(Buffer.from(ustar(files, { hardLinks })), gnu)).toBe(0)
  })

  it('refuses a name that it has no place for', () => {
    const name = `${'a'.repeat(200)}.btf`
    expect(() => ustar([{ name, bytes: new Uint8Array() }], { hardLinks: false })).toThrow(MinimizeError)
  })
})

describe('the compact layout', () => {
  it('gives back what went in', () => {
    const names = fc.constantFrom('debian/12', 'centos/7', 'ubuntu/20.04')
    const items = fc.uniqueArray(
      fc.record({
        path: names,
        release: fc.stringMatching(/^[0-9][a-z0-9.+-]{0,20}$/),
        bytes: fc.uint8Array(),
      }),
      { selector: ({ path, release }) => `${path}/${release}` },
    )
    fc.assert(
      fc.property(items, (given) => {
        const made = given
          .filter(({ release }) => !release.includes('..'))
          .map(({ path, release, bytes }) => ({ kernel: kernel(`${path}/x86_64/${release}`), bytes }))
        const back = decodeCompact(encodeCompact(made).bytes)
        const told = (list: readonly BundleItem[]): string[] =>
          list.map((each) => `${formatKernel(each.kernel)} ${Buffer.from(each.bytes).toString('hex')}`).sort()
        expect(told(back)).toEqual(told(made))
      }),
    )
  })

  it('refuses damaged bytes with its own error, wherever they are damaged', () => {
    const good = encodeCompact(ITEMS).bytes
    const harm = fc.record({ at: fc.nat(good.byteLength - 1), to: fc.nat(255), cut: fc.nat(good.byteLength) })
    fc.assert(
      fc.property(harm, ({ at, to, cut }) => {
        const bad = Uint8Array.from(good)
        bad[at] = to
        try {
          decodeCompact(bad.subarray(0, cut))
        } catch (err) {
          if (!(err instanceof MinimizeError)) throw err
        }
      }),
      { numRuns: 500 },
    )
  })

  it.each([
    ['', 'bytes wanted'],
    ['BTFHUBB2........', 'BTFHUBB1'],
  ])('refuses %j', (text, message) => {
    expect(() => decodeCompact(Buffer.from(text))).toThrow(message)
  })
})

const corpus = corpusDir()

describe.skipIf(corpus === null)(
  `real min BTF of an agent${corpus === null ? ' (skipped: no corpus)' : ''}`,
  () => {
    function realItems(): BundleItem[] {
      const root = join(corpus ?? '', 'min')
      return readdirSync(root, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.btf'))
        .map((name) => ({
          kernel: kernel(
            name
              .replace(/\.btf$/, '')
              .split(sep)
              .join('/'),
          ),
          bytes: readFileSync(join(root, name)),
        }))
    }

    it('341 files have so few contents that the compact bundle is a fraction of a tar', () => {
      const items = realItems()
      const { bytes, contents, leftOut } = encodeCompact(items)
      const tar = ustar(bundleFiles('tree', items).files, { hardLinks: false })
      expect({ items: items.length, leftOut }).toEqual({ items: 341, leftOut: [] })
      expect(contents).toBeLessThan(50)
      expect(bytes.byteLength * 6).toBeLessThan(tar.byteLength)
      expect(decodeCompact(bytes)).toHaveLength(341)
    })
  },
)
