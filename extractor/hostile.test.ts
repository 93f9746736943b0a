import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../core/limits.ts'
import { canMount, mount } from '../store/mount.fixture.ts'
import { makeDeb, makeTar } from './deb.fixture.ts'
import { extractBytes } from './extract.fixture.ts'
import { bzImage, compress, payload, zboot } from './image.fixture.ts'
import { makeKernel, type SampleKernel } from './kernel.fixture.ts'
import { chunks } from './run.fixture.ts'
import { fileScratch } from './scratch.fixture.ts'
import { TempSpace } from './temp-space.ts'
import { ExtractError } from './types.ts'
import { VmlinuxFile } from './vmlinux-file.ts'

const dir = await fileScratch()
let kernel: SampleKernel
let image: Buffer
let withoutBtf: Buffer
let imageDeb: Buffer
let debugDeb: Buffer

beforeAll(async () => {
  kernel = await makeKernel(join(dir, 'kernel'))
  image = bzImage(payload('lz4', kernel.stripped))
  withoutBtf = await readFile(kernel.withoutBtf)
  imageDeb = await makeDeb({ [`boot/vmlinuz-${kernel.release}`]: image })
  debugDeb = await makeDeb({ [`usr/lib/debug/boot/vmlinux-${kernel.release}`]: withoutBtf }, 'gzip')
})

const path = process.env['PATH'] ?? ''
afterEach(() => {
  process.env['PATH'] = path
})
const temp = (): string => join(dir, 'temp')

async function outcome(bytes: Uint8Array, options: Parameters<typeof extractBytes>[2] = {}): Promise<string> {
  try {
    const found = await extractBytes(bytes, temp(), options)
    // Whatever was changed, what comes out is a kernel's BTF, or the check would not have let it through.
    expect(found.btf.byteLength).toBeGreaterThan(100_000)
    return 'found'
  } catch (err) {
    if (!(err instanceof ExtractError)) throw err
    expect(err.message).toContain('sample')
    return err.code
  }
}

/** A pahole that writes its process id where the test finds it and hangs when it is to encode. */
async function hangingPahole(): Promise<() => Promise<number>> {
  const bin = join(dir, 'hanging')
  await mkdir(bin, { recursive: true })
  const script = `#!/bin/sh\ncase "$*" in *detached=*) echo $$ > ${bin}/pid; exec sleep 1000;; esac\nPATH=${path}\nexec pahole "$@"\n`
  await writeFile(join(bin, 'pahole'), script)
  await chmod(join(bin, 'pahole'), 0o755)
  process.env['PATH'] = `${bin}${delimiter}${path}`
  return async () => {
    for (;;) {
      const pid = Number(await readFile(join(bin, 'pid'), 'utf8').catch(() => '0'))
      if (pid > 0) return pid
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('what breaks off', () => {
  it('is told wherever a package is cut', async () => {
    const end = imageDeb.byteLength
    const cuts = [1, 7, 8, 9, 60, 67, 68, 72, 73, 100, 132, 133, end >> 2, end >> 1]
    for (const cut of cuts) {
      const code = await outcome(imageDeb.subarray(0, cut), { release: kernel.release })
      expect(code, `cut at ${cut} of ${end}`).toMatch(cut < 8 ? /UNSUPPORTED/ : /MALFORMED/)
    }
  })

  it('is told wherever a debug package is cut, also behind vmlinux where the digest is wanted', async () => {
    for (const cut of [debugDeb.byteLength >> 1, debugDeb.byteLength - 20_000]) {
      expect(await outcome(debugDeb.subarray(0, cut), { release: kernel.release })).toBe('MALFORMED')
    }
  })

  it('is told wherever an image is cut', async () => {
    for (const cut of [0, 1, 64, 0x201, 0x206, 0x24f, 0x250, 2048, 2300, 2400, image.byteLength >> 1]) {
      expect(await outcome(image.subarray(0, cut)), `cut at ${cut}`).toMatch(/UNSUPPORTED|MALFORMED/)
    }
  })

  it.each([
    ['while it is searched', 30_000],
    ['while only the rest is hashed', 2_000_000],
  ])('is the input’s own error, %s', async (_, after) => {
    const deb = Buffer.concat([imageDeb, Buffer.alloc(3_000_000)])
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* chunks(deb.subarray(0, after), 4096)
      throw new Error('connection reset')
    }
    await expect(extractBytes(broken(), temp(), { release: kernel.release })).rejects.toThrow(
      'connection reset',
    )
  })

  it('is the input’s own error while pahole runs, which does not outlive it', async () => {
    const pid = await hangingPahole()
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* chunks(Buffer.concat([debugDeb, Buffer.alloc(1_000_000)]), 65536)
      await pid()
      throw new Error('connection reset')
    }
    await expect(extractBytes(broken(), temp(), { release: kernel.release })).rejects.toThrow(
      'connection reset',
    )
    expect(isAlive(await pid())).toBe(false)
  })
})

describe('an abort', () => {
  it('while the input hangs ends the job with its reason', async () => {
    const abort = new AbortController()
    async function* hanging(): AsyncGenerator<Uint8Array> {
      yield* chunks(imageDeb.subarray(0, 20_000))
      setTimeout(() => abort.abort(new Error('enough')), 10)
      await new Promise(() => undefined)
    }
    await expect(extractBytes(hanging(), temp(), { signal: abort.signal })).rejects.toThrow('enough')
  })

  it('while pahole runs kills it, and leaves no file', async () => {
    const pid = await hangingPahole()
    const abort = new AbortController()
    void pid().then(() => abort.abort(new Error('enough')))
    await expect(extractBytes(debugDeb, temp(), { signal: abort.signal })).rejects.toThrow('enough')
    expect(isAlive(await pid())).toBe(false)
    expect(await readdir(temp())).toEqual([])
  })

  it('that came before is told at once', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(extractBytes(imageDeb, temp(), { signal })).rejects.toThrow('enough')
  })
})

describe('a missing program', () => {
  it.each([
    ['xz', () => imageDeb, 'xz could not be started: install xz-utils'],
    ['pahole', () => withoutBtf, 'pahole could not be started: install pahole (on older systems: dwarves)'],
  ])('%s is named with what to install', async (_, bytes, message) => {
    process.env['PATH'] = '/nonexistent'
    await expect(extractBytes(bytes(), temp())).rejects.toMatchObject({ code: 'TOOL', message })
  })
})

describe('what is too much', () => {
  it('a vmlinux beyond belief is not begun', async () => {
    const { signal } = new AbortController()
    const huge = limits.vmlinux.maxBytes + 1
    await expect(
      VmlinuxFile.create(join(dir, 'huge'), huge, new TempSpace(dir), signal),
    ).rejects.toMatchObject({ code: 'LIMIT' })
  })

  it.skipIf(!canMount)(
    'a vmlinux that the disk has no room for is not begun (skipped where nothing can be mounted)',
    async () => {
      const small = join(dir, 'small-disk')
      await mkdir(small)
      const unmount = await mount(['-t', 'tmpfs', '-o', 'size=64k', 'btfhub-test', small], small)
      try {
        await expect(extractBytes(debugDeb, small)).rejects.toMatchObject({
          code: 'NO_SPACE',
          message: expect.stringMatching(/has \d+ bytes free, \d+ are needed/) as string,
        })
        // An ELF by itself does not say how long it will be: the disk does, when it is full.
        await expect(extractBytes(withoutBtf, small)).rejects.toMatchObject({ code: 'NO_SPACE' })
      } finally {
        await unmount()
      }
    },
  )

  it('zeros that unpack to gigabytes are left at their ratio, in a package and in an image', async () => {
    const zeros = compress('zstd', Buffer.alloc(200 << 20))
    expect(await outcome(zboot('zstd', Buffer.alloc(200 << 20)))).toBe('UNSUPPORTED')
    const noKernel = Buffer.concat([
      Buffer.from('MZ'),
      Buffer.alloc(54),
      Buffer.from('ARMd'),
      Buffer.alloc(200 << 20),
    ])
    expect(await outcome(zboot('zstd', noKernel))).toBe('LIMIT')
    expect(await outcome(compress('zstd', noKernel))).toBe('LIMIT')
    expect(await outcome(zeros)).toBe('UNSUPPORTED')
  })

  it('a member that claims to be larger than any kernel is refused by its header', async () => {
    const tar = await makeTar({ [`boot/vmlinuz-${kernel.release}`]: image })
    const claimed = Buffer.from(tar)
    claimed.write('57777777777\0', 124, 'latin1')
    claimed.fill(0x20, 148, 156)
    const sum = claimed.subarray(0, 512).reduce((a, b) => a + b, 0)
    claimed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    expect(await outcome(claimed)).toBe('LIMIT')
  })
})

describe('mutations', () => {
  const change = fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255))
  const changes = fc.array(change, { minLength: 1, maxLength: 8 })
  const mutate = (
    bytes: Uint8Array,
    list: readonly (readonly [number, number])[],
    span = bytes.byteLength,
  ): Buffer => {
    const copy = Buffer.from(bytes)
    for (const [at, value] of list) copy[Math.floor(at * Math.min(span, copy.byteLength))] = value
    return copy
  }

  it('of a package give BTF or the extractor’s own error', async () => {
    const plain = await makeDeb({ [`boot/vmlinuz-${kernel.release}`]: image }, 'none')
    await fc.assert(
      fc.asyncProperty(changes, fc.constantFrom(3000, 40_000, Infinity), async (list, span) => {
        await outcome(mutate(plain, list, span))
      }),
      { numRuns: 150 },
    )
  })

  it('of an image give BTF or the extractor’s own error', async () => {
    const plain = bzImage(payload('lz4', kernel.stripped))
    await fc.assert(
      fc.asyncProperty(changes, fc.constantFrom(4096, Infinity), async (list, span) => {
        await outcome(mutate(plain, list, span))
      }),
      { numRuns: 150 },
    )
  })

  it('of a vmlinux’s headers give BTF or the extractor’s own error, pahole’s crash included', async () => {
    await fc.assert(
      fc.asyncProperty(
        changes,
        fc.constantFrom(64, 400, Infinity),
        fc.boolean(),
        async (list, span, forceDwarf) => {
          await outcome(mutate(withoutBtf, list, span), { forceDwarf })
        },
      ),
      { numRuns: 40 },
    )
  })
})
