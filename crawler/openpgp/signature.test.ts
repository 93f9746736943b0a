import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeKey, missingAptTool, type TestKey } from '../../test/apt-repository.ts'
import { CrawlError } from '../types.ts'
import { type Keyring, readKeyring } from './keyring.ts'
import { checkRelease, parseRelease } from '../apt/release.ts'
import { verifyClearsigned, verifyDetached, type VerifyOptions } from './signature.ts'

const missing = missingAptTool()
const text = `Origin: Debian
Suite: oldstable
- a line that has to be escaped
trailing blanks \t
SHA256:
 ${'0'.repeat(64)} 12 main/binary-amd64/Packages
`

describe.skipIf(missing !== null)(`signatures by gpg (skipped: ${missing ?? 'nothing'} is missing)`, () => {
  let key: TestKey
  let keyring: Keyring
  let options: VerifyOptions

  beforeAll(async () => {
    key = makeKey()
    keyring = await readKeyring([{ name: 'test', bytes: Buffer.from(key.publicKey) }])
    // What is signed later in this test is of the past then.
    options = { keyring, now: new Date(Date.now() + 600_000), frozen: false, name: 'x' }
  })
  afterAll(() => key.remove())

  it('give the text that was signed', async () => {
    expect(await verifyDetached(Buffer.from(text), key.detach(text), options)).toBe(text)
    // A clear-signed text has neither blanks at the ends of its lines nor a newline at its own (RFC 9580 7.2).
    const expected = text.replace(/[ \t]+$/gm, '').replace(/\n$/, '')
    expect(await verifyClearsigned(key.clearsign(text), options)).toBe(expected)
  })

  it('hold for no other text, whatever is done to the file', async () => {
    const signed = key.clearsign(text)
    const expected = await verifyClearsigned(signed, options)
    const edit = fc.record({
      at: fc.nat(signed.length - 1),
      remove: fc.nat(40),
      insert: fc.oneof(
        fc.string({ unit: 'binary', maxLength: 8 }),
        fc.constantFrom('\n', '\n\n', '-----', 'Hash: SHA1\n'),
      ),
    })
    const property = fc.asyncProperty(edit, async ({ at, remove, insert }) => {
      const changed = Buffer.concat([
        signed.subarray(0, at),
        Buffer.from(insert),
        signed.subarray(at + remove),
      ])
      const got = await verifyClearsigned(changed, options).catch((err: unknown) => err)
      if (typeof got === 'string') expect(got.replace(/[ \t\r]+$/gm, '')).toBe(expected)
      else expect(got).toBeInstanceOf(CrawlError)
    })
    await fc.assert(property, { numRuns: 400 })
  })

  it('do not hold before they were made', async () => {
    const early = { ...options, now: new Date(Date.now() - 86_400_000) }
    await expect(verifyClearsigned(key.clearsign(text), early)).rejects.toMatchObject({
      code: 'BAD_SIGNATURE',
    })
  })

  it('are of nobody where there are no keys', async () => {
    const nobody = { ...options, keyring: await readKeyring([]) }
    await expect(verifyClearsigned(key.clearsign(text), nobody)).rejects.toThrow(/which is not known/)
  })
})

describe('keyrings', () => {
  it.each([
    '',
    'no keyring',
    '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nnonsense\n-----END PGP PUBLIC KEY BLOCK-----',
  ])('are not made of %j', async (bytes) => {
    const read = readKeyring([{ name: '/k/a.gpg', bytes: Buffer.from(bytes) }])
    await expect(read).rejects.toThrow(/^keyring \/k\/a\.gpg: expected OpenPGP keys/)
  })

  it.skipIf(missing !== null)('change their id with every key (skipped without gpg)', async () => {
    const keys = [makeKey(), makeKey()]
    const files = keys.map((key) => ({ name: 'k', bytes: Buffer.from(key.publicKey) }))
    const [both, first] = [await readKeyring(files), await readKeyring(files.slice(0, 1))]
    expect(both.keys).toHaveLength(2)
    expect(both.id).not.toBe(first.id)
    // Two armoured blocks in one file are two keys.
    const joined = { name: 'k', bytes: Buffer.from(keys.map((key) => key.publicKey).join('\n')) }
    expect((await readKeyring([joined])).keys).toHaveLength(2)
    for (const key of keys) key.remove()
  })
})

describe('Release files', () => {
  it('are read or refused, never anything else', () => {
    const line = fc.oneof(
      fc.constantFrom(
        'Suite: x',
        'Codename: y',
        'Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC',
        'SHA256:',
        'Acquire-By-Hash: yes',
      ),
      fc.constant(` ${'a'.repeat(64)} 1 main/binary-amd64/Packages`),
      fc.string({ unit: 'binary', maxLength: 30 }),
    )
    const expected = { suite: 'x', origins: ['Debian'], now: new Date(), checkValidUntil: true }
    const property = fc.property(fc.array(line), (lines) => {
      try {
        checkRelease(parseRelease(lines.join('\n')), expected)
      } catch (err) {
        expect(err).toBeInstanceOf(CrawlError)
      }
    })
    fc.assert(property, { numRuns: 500 })
  })
})
