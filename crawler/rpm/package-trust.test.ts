import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PackageFile } from '../../core/kernel-package.ts'
import type { SignedHead } from '../../core/package-proof.ts'
import { ByteStream } from '../../extractor/byte-stream.ts'
import { writeRpm } from '../../extractor/rpm.fixture.ts'
import { readRpmHead } from '../../extractor/rpm.ts'
import { makeKey, missingAptTool, type TestKey, type TestKeyOptions } from '../../test/apt-repository.ts'
import { buildRpms, missingRpmTool } from '../../test/mirrors/rpm-repository.ts'
import { canSignVersion3, type SignOptions, signRpms } from '../../test/mirrors/sign-rpms.ts'
import { readKeyring } from '../openpgp/keyring.ts'
import { parseSignatures } from '../openpgp/signature-packet.ts'
import { CrawlError } from '../types.ts'
import { createPackageTrust } from './package-trust.ts'

const missing = missingRpmTool() ?? missingAptTool()

describe.skipIf(missing !== null)(
  `packages signed by rpmsign (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const work = mkdtempSync(join(tmpdir(), 'btfhub-signed-'))
    const keys: TestKey[] = []
    let plain: string
    let other: string
    let withoutDigest: string
    let key: TestKey

    const newKey = (options?: TestKeyOptions): TestKey => {
      const made = makeKey(options)
      keys.push(made)
      return made
    }

    beforeAll(() => {
      const id = { version: '5.10.134', release: '16.1.an8', arch: 'x86_64', ballast: 4000 }
      const [first = '', second = ''] = buildRpms(work, [
        { ...id, name: 'kernel-core' },
        { ...id, name: 'kernel-debuginfo' },
      ])
      plain = first
      other = second
      // As RPM made them before 4.14: no digest of the payload in the header.
      withoutDigest = join(work, 'sample.rpm')
      writeFileSync(withoutDigest, writeRpm({ 'boot/a': Buffer.from('content') }, { style: '4.11' }))
      key = newKey()
    })
    afterAll(() => {
      for (const made of keys) made.remove()
      rmSync(work, { recursive: true, force: true })
    })

    const KERNEL = { name: 'kernel-core', version: '5.10.134-16.1.an8' }
    const SAMPLE = { name: 'kernel-sample', version: '1-1' }

    function signed(from: string, by: TestKey, options?: SignOptions): Buffer {
      const path = join(work, 'signed.rpm')
      copyFileSync(from, path)
      signRpms([path], by, options)
      return readFileSync(path)
    }

    /** `signed by FINGERPRINT`, or why not; throws as a crawl does. */
    async function judge(
      rpm: Uint8Array,
      id: Pick<PackageFile, 'name' | 'version'> = KERNEL,
      trusted: readonly TestKey[] = [key],
      edit: (head: SignedHead) => SignedHead = (head) => head,
    ): Promise<string> {
      const files = trusted.map(({ publicKey }) => ({ name: 'k', bytes: Buffer.from(publicKey) }))
      const trust = createPackageTrust(await readKeyring(files), () => new Date())
      const stream = new ByteStream(once(rpm), 'x.rpm')
      const head = edit((await readRpmHead(stream)).signed)
      const file = { ...id, urls: [], sizeBytes: null, sha256: null, signed: false }
      const judgement = await trust.judge(file, 'x.rpm', head)
      if (judgement.by === null) return judgement.why
      for await (const chunk of stream.rest()) judgement.proof?.update(chunk)
      judgement.proof?.verify()
      return `signed by ${judgement.by}`
    }

    it.each([
      ['RSA', {}],
      ['EdDSA', { algorithm: 'ed25519' }],
    ] as const)('hold by %s, in the header and over all of the package', async (_what, options) => {
      const own = newKey(options)
      const by = `signed by ${own.fingerprint}`
      expect(await judge(signed(plain, own), KERNEL, [key, own])).toBe(by)
      expect(await judge(signed(plain, own, { digest: 'sha512' }), KERNEL, [own])).toBe(by)
      expect(await judge(signed(withoutDigest, own), SAMPLE, [own])).toBe(by)
    })

    it.skipIf(!canSignVersion3)('hold in OpenPGP’s version 3 (skipped without gpg1)', async () => {
      const by = `signed by ${key.fingerprint}`
      for (const [from, id] of [[plain, KERNEL] as const, [withoutDigest, SAMPLE] as const]) {
        const rpm = signed(from, key, { version3: true })
        const versions: number[] = []
        const result = await judge(rpm, id, [key], (head) => {
          const found = [...head.ofHeader, ...head.ofPackage].flatMap(parseSignatures)
          versions.push(...found.map((one) => ('version' in one ? one.version : 0)))
          return head
        })
        expect([result, new Set(versions)]).toEqual([by, new Set([3])])
      }
    })

    it('hold where RPM 6 has them, beside those of keys and versions that nobody knows', async () => {
      const stranger = newKey()
      const rpm = signed(plain, key)
      const { ofHeader } = (await readRpmHead(new ByteStream(once(rpm), 'x'))).signed
      const [theirs] = (await readRpmHead(new ByteStream(once(signed(plain, stranger)), 'x'))).signed.ofHeader
      const version6 = Buffer.from([0xc2, 0x04, 6, 0, 1, 8])
      const texts = [version6, theirs ?? version6, ...ofHeader].map((one) =>
        Buffer.from(one).toString('base64'),
      )
      const modern = withSignatures(rpm, { 278: [8, texts] })
      expect(await judge(modern)).toBe(`signed by ${key.fingerprint}`)
      // No package has a hundred: a mirror shall not keep us checking.
      const many = Array.from({ length: 100 }, () => texts[1] ?? '')
      expect(await judge(withSignatures(rpm, { 278: [8, [...many, ...texts]] }))).toMatch(
        /which is not known$/,
      )
      // rpmsign of RPM 4.18 has no ECDSA.
      const curve = newKey({ algorithm: 'nistp256' })
      const { header } = (await readRpmHead(new ByteStream(once(rpm), 'x'))).signed
      const byCurve = withSignatures(rpm, { 278: [8, [curve.detach(header, false).toString('base64')]] })
      expect(await judge(byCurve, KERNEL, [key, curve])).toBe(`signed by ${curve.fingerprint}`)
    })

    it('are told from none, and from those of nobody known', async () => {
      const stranger = newKey()
      expect(await judge(readFileSync(plain))).toBe('no signature')
      const unknown = `key ${stranger.fingerprint.slice(-16)}, which is not known`
      expect(await judge(signed(plain, stranger))).toBe(unknown)
      expect(await judge(signed(withoutDigest, stranger), SAMPLE)).toBe(`${unknown}; ${unknown}`)
      expect(await judge(signed(plain, key, { digest: 'sha1' }))).toMatch(/^hash algorithm 2, which is weak/)
    })

    it('say nothing where they are of a header that says nothing of its payload', async () => {
      const alone = (head: SignedHead): SignedHead => ({ ...head, ofPackage: [] })
      expect(await judge(signed(withoutDigest, key), SAMPLE, [key], alone)).toMatch(/of the header alone/)
    })

    it('are refused where the header or the payload is another than was signed', async () => {
      const rpm = signed(plain, key)
      const { ofHeader } = (await readRpmHead(new ByteStream(once(rpm), 'x'))).signed
      // The other package's header, under a signature header that has nothing but the first one's signature.
      const moved = withSignatures(readFileSync(other), { 268: [7, ofHeader[0] ?? Buffer.alloc(0)] })
      await expect(judge(moved)).rejects.toThrow(/header is something else than was signed/)
      const whole = signed(withoutDigest, key)
      whole[whole.byteLength - 3] = (whole[whole.byteLength - 3] ?? 0) ^ 1
      await expect(judge(whole, SAMPLE)).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
      // A digest of the payload that is in the header is what the payload is held against by whoever reads it.
      expect(await judge(rpm, KERNEL)).toMatch(/^signed/)
    })

    it('are refused on another package than was asked for, however well it is signed', async () => {
      const wrong = judge(signed(plain, key), { ...KERNEL, version: '5.10.134-17.an8' })
      await expect(wrong).rejects.toThrow(
        /expected the package kernel-core 5\.10\.134-17\.an8, is kernel-core 5\.10\.134-16\.1\.an8, well signed/,
      )
    })

    it('count by a key that has expired since, and not by one that had before or is revoked', async () => {
      const lapsed = newKey({ at: '20200101T000000', expires: '2y' })
      const then = await judge(signed(plain, lapsed, { at: '20210101T000000' }), KERNEL, [lapsed])
      expect(then).toBe(`signed by ${lapsed.fingerprint}`)

      const late = newKey({ at: '20200101T000000' })
      const rpm = signed(plain, late, { at: '20210101T000000' })
      const expire = ['--faked-system-time', '20200102T000000', '--quick-set-expire', late.fingerprint, '1w']
      expect(await judge(rpm, KERNEL, [edited(late, expire)])).toMatch(/which had expired on 2020-01-0/)

      const revoked = newKey()
      const good = signed(plain, revoked)
      const dir = join(revoked.home, 'openpgp-revocs.d')
      const certificate = readFileSync(join(dir, readdirSync(dir)[0] ?? ''), 'utf8')
      const file = join(work, 'revocation')
      writeFileSync(file, certificate.replace(':-----BEGIN', '-----BEGIN'))
      expect(await judge(good, KERNEL, [edited(revoked, ['--import', file])])).toMatch(/which is revoked$/)
      expect(await judge(good, KERNEL, [revoked])).toMatch(/^signed/)
    })

    it('give a judgement or our error, whatever is done to them', async () => {
      const rpm = signed(plain, key)
      const { signed: head } = await readRpmHead(new ByteStream(once(rpm), 'x'))
      const [packet] = head.ofHeader
      const change = fc.tuple(fc.nat((packet?.byteLength ?? 1) - 1), fc.integer({ min: 1, max: 255 }))
      const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const bytes = Buffer.from(packet ?? [])
        for (const [at, by] of changes) bytes[at] = (bytes[at] ?? 0) ^ by
        // What is not hashed can be changed and mean the same.
        const isSame = isSignature(bytes, packet)
        const result = await judge(rpm, KERNEL, [key], (one) => ({ ...one, ofHeader: [bytes] })).catch(
          (err: unknown) => err,
        )
        if (result instanceof Error) expect(result).toBeInstanceOf(CrawlError)
        else if (!isSame) expect(result).not.toMatch(/^signed/)
      })
      await fc.assert(property, { numRuns: 300 })
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void parseSignatures(bytes)),
        { numRuns: 500 },
      )
    })
  },
)

/** Whether two packets are one signature: hashed parts and numbers are equal. */
function isSignature(a: Uint8Array, b: Uint8Array | undefined): boolean {
  const [one, other] = [a, b ?? new Uint8Array(0)].map((bytes) => {
    const found = parseSignatures(bytes)[0]
    return found !== undefined && 'trailer' in found
      ? [found.trailer, ...found.numbers].map((part) => Buffer.from(part).toString('hex')).join()
      : String(found)
  })
  return one === other
}

/** A key after something was done to it, in gpg's home. */
function edited(key: TestKey, args: readonly string[]): TestKey {
  const gpg = ['--homedir', key.home, '--batch', '--quiet', '--no-tty']
  execFileSync('gpg', [...gpg, ...args], { stdio: 'pipe' })
  const publicKey = execFileSync('gpg', [...gpg, '--armor', '--export', key.fingerprint]).toString()
  return { ...key, publicKey }
}

type SignatureTags = Readonly<Record<number, readonly [7, Uint8Array] | readonly [8, readonly string[]]>>

/** A package with another signature header, which has these tags and nothing else. */
function withSignatures(rpm: Buffer, tags: SignatureTags): Buffer {
  const lead = rpm.subarray(0, 96)
  const end = 96 + 16 + rpm.readUInt32BE(104) * 16 + rpm.readUInt32BE(108)
  const rest = rpm.subarray(Math.ceil(end / 8) * 8)
  const index: Buffer[] = []
  const store: Buffer[] = []
  for (const [tag, [type, value]] of Object.entries(tags)) {
    const data = type === 7 ? Buffer.from(value) : Buffer.from(value.map((text) => `${text}\0`).join(''))
    const entry = Buffer.alloc(16)
    const offset = store.reduce((sum, one) => sum + one.byteLength, 0)
    ;[Number(tag), type, offset, type === 7 ? data.byteLength : value.length].forEach((n, i) =>
      entry.writeUInt32BE(n, i * 4),
    )
    index.push(entry)
    store.push(data)
  }
  const intro = Buffer.from('8eade801000000000000000000000000', 'hex')
  intro.writeUInt32BE(index.length, 8)
  intro.writeUInt32BE(Buffer.concat(store).byteLength, 12)
  const header = Buffer.concat([intro, ...index, ...store])
  return Buffer.concat([lead, header, Buffer.alloc((8 - (header.byteLength % 8)) % 8), rest])
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
