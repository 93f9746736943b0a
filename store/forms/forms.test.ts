import { execFile, execFileSync } from 'node:child_process'
import { access, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sha256Of } from '../../core/digest.ts'
import { ARCHES, type Arch } from '../../core/kernel.ts'
import { sample } from '../blobs.case.ts'
import { scratch } from '../scratch.fixture.ts'
import { makeForm, type DerivedForm } from './index.ts'

const run = promisify(execFile)

/** Whether a program is there. */
function has(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`])
    return true
  } catch {
    return false
  }
}

const RUNNING_KERNEL = '/sys/kernel/btf/vmlinux'
const hasKernelBtf = await access(RUNNING_KERNEL).then(
  () => true,
  () => false,
)

/** Runs a program on a file of these bytes, whose path is its last argument. */
async function output(bytes: Uint8Array, program: string, ...args: readonly string[]): Promise<Buffer> {
  const path = join(await scratch(), 'file')
  await writeFile(path, bytes)
  const options = { encoding: 'buffer', maxBuffer: 1 << 28 } as const
  return (await run(program, [...args, path], options)).stdout
}

/** What the fields of a ustar header say (POSIX pax, "ustar Interchange Format"), but for the checksum of it all. */
function tarFields(header: Buffer): readonly (string | number)[] {
  const text = (start: number, end: number): string =>
    header.toString('latin1', start, end).replace(/[\0 ]+$/, '')
  const octal = [100, 108, 116, 124, 136, 329, 337].map((at) => parseInt(text(at, at + 8), 8) || 0)
  const texts = [text(0, 100), text(156, 157), text(157, 257), header.toString('latin1', 257, 265)]
  return [...octal, ...texts, text(265, 297), text(297, 329), text(345, 512)]
}

describe('every form', () => {
  const forms: readonly DerivedForm[] = ['gz', 'br', 'xz', 'tar.xz:5.4.0-80-generic.btf', 'elf:x86_64']
  it.each(forms)('%s is the same bytes each time, whatever the environment says', async (form) => {
    const bytes = sample(300_000)
    const first = await makeForm(form, bytes)
    process.env['XZ_OPT'] = '-9'
    process.env['XZ_DEFAULTS'] = '--threads=2'
    onTestFinished(() => {
      delete process.env['XZ_OPT']
      delete process.env['XZ_DEFAULTS']
    })
    expect(sha256Of(await makeForm(form, bytes))).toBe(sha256Of(first))
  })

  it.each(forms)('%s of nothing is made', async (form) => {
    expect((await makeForm(form, new Uint8Array())).byteLength).toBeGreaterThan(0)
  })
})

describe('compressed forms', () => {
  const bytes = sample(1_000_000)

  it('are read back by zlib', async () => {
    expect(sha256Of(gunzipSync(await makeForm('gz', bytes)))).toBe(sha256Of(bytes))
    expect(sha256Of(brotliDecompressSync(await makeForm('br', bytes)))).toBe(sha256Of(bytes))
  })

  it('are read back by gzip and xz', async () => {
    expect(sha256Of(await output(await makeForm('gz', bytes), 'gzip', '-dc'))).toBe(sha256Of(bytes))
    expect(sha256Of(await output(await makeForm('xz', bytes), 'xz', '-dc', '--format=xz'))).toBe(
      sha256Of(bytes),
    )
  })

  it('say nothing of name, time and machine in the gzip header', async () => {
    const header = (await makeForm('gz', bytes)).subarray(0, 10)
    expect([...header]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3])
  })

  it('fail clearly where there is no xz', async () => {
    const path = process.env['PATH']
    process.env['PATH'] = await scratch()
    onTestFinished(() => void (process.env['PATH'] = path ?? delimiter))
    await expect(makeForm('xz', bytes)).rejects.toMatchObject({
      code: 'TOOL',
      message: expect.stringContaining('xz ENOENT'),
    })
  })

  it('fail clearly where xz does', async () => {
    const dir = await scratch()
    await writeFile(join(dir, 'xz'), '#!/bin/sh\necho no memory >&2\nexit 3\n', { mode: 0o755 })
    const path = process.env['PATH'] ?? ''
    process.env['PATH'] = `${dir}${delimiter}${path}`
    onTestFinished(() => void (process.env['PATH'] = path))
    await expect(makeForm('xz', bytes)).rejects.toMatchObject({
      code: 'TOOL',
      message: expect.stringMatching(/ended with 3 no memory/),
    })
  })
})

describe('tar.xz', () => {
  const bytes = sample(123_457)
  const name = '5.4.0-80-generic.btf'

  it('is for GNU tar one read-only file of root from 1970', async () => {
    const listed = await output(await makeForm(`tar.xz:${name}`, bytes), 'tar', '--utc', '-tvJf')
    expect(listed.toString()).toBe(`-r--r--r-- root/root    123457 1970-01-01 00:00 ${name}\n`)
    const numeric = await output(await makeForm(`tar.xz:${name}`, bytes), 'tar', '--numeric-owner', '-tvJf')
    expect(numeric.toString()).toMatch(/^-r--r--r-- 0\/0 /)
  })

  it('is unpacked by GNU tar to the same bytes', async () => {
    const unpacked = await output(await makeForm(`tar.xz:${name}`, bytes), 'tar', '-xOJf')
    expect(sha256Of(unpacked)).toBe(sha256Of(bytes))
  })

  it('has the header and the content that GNU tar writes, but for how it fills up octal numbers', async () => {
    const dir = await scratch()
    await writeFile(join(dir, name), bytes)
    const flags = [
      '--sort=name',
      '--owner=root:0',
      '--group=root:0',
      '--mode=a=r',
      '--mtime=@0',
      '--format=ustar',
    ]
    const { stdout } = await run('tar', ['-cf', '-', ...flags, '-C', dir, name], {
      encoding: 'buffer',
      maxBuffer: 1 << 28,
    })
    const ours = await output(await makeForm(`tar.xz:${name}`, bytes), 'xz', '-dc')
    expect(tarFields(ours)).toEqual(tarFields(stdout))
    // GNU tar fills its last record up to 10 KiB with zeros.
    expect(Buffer.compare(ours.subarray(512), stdout.subarray(512, ours.byteLength))).toBe(0)
    expect(stdout.subarray(ours.byteLength).every((byte) => byte === 0)).toBe(true)
  })

  it.each([99, 100, 101, 200])('takes a name of %i bytes', async (length) => {
    const long = 'n'.repeat(length)
    const listed = await output(await makeForm(`tar.xz:${long}`, bytes), 'tar', '-tJf')
    expect(listed.toString()).toBe(`${long}\n`)
  })
})

describe('elf', () => {
  const MACHINES: Readonly<Record<Arch, RegExp>> = {
    x86_64: /Machine:\s+Advanced Micro Devices X86-64/,
    aarch64: /Machine:\s+AArch64/,
    s390x: /Machine:\s+IBM S\/390/,
    ppc64le: /Machine:\s+PowerPC64/,
    riscv64: /Machine:\s+RISC-V/,
  }

  it.skipIf(!has('readelf')).each(ARCHES)(
    'for %s is an object that readelf takes, with one section (skipped without readelf)',
    async (arch) => {
      const bytes = sample(12_345)
      const elf = await makeForm(`elf:${arch}`, bytes)
      const text = (await output(elf, 'readelf', '--wide', '--file-header', '--section-headers')).toString()
      expect(text).toMatch(MACHINES[arch])
      expect(text).toMatch(arch === 's390x' ? /big endian/ : /little endian/)
      expect(text).toMatch(/\[ 1\] \.BTF\s+PROGBITS\s+0{16} 000040 003039 00\s+0\s+0\s+8/)
      expect(text).not.toMatch(/Warning|Error/)
    },
  )

  it.skipIf(!has('objcopy'))('gives its section to objcopy (skipped without objcopy)', async () => {
    const bytes = sample(54_321)
    const dir = await scratch()
    await writeFile(join(dir, 'elf'), await makeForm('elf:x86_64', bytes))
    await run('objcopy', ['-O', 'binary', `--dump-section=.BTF=${dir}/out`, join(dir, 'elf'), '/dev/null'])
    expect(sha256Of(await readFile(join(dir, 'out')))).toBe(sha256Of(bytes))
  })

  it.skipIf(!hasKernelBtf || !has('bpftool'))(
    'of the running kernel is read by libbpf like the raw BTF (skipped without bpftool or kernel BTF)',
    async () => {
      const btf = await readFile(RUNNING_KERNEL)
      const dump = (bytes: Uint8Array): Promise<Buffer> => output(bytes, 'bpftool', 'btf', 'dump', 'file')
      const fromElf = await dump(await makeForm('elf:x86_64', btf))
      expect(fromElf.byteLength).toBeGreaterThan(1_000_000)
      expect(Buffer.compare(fromElf, await dump(btf))).toBe(0)
    },
  )
})
