import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { sha256Of } from '../../core/digest.ts'
import { BUILDS, builds, FROZEN, MAIN, useAptLab } from '../../test/apt-lab.ts'
import { compress, missingAptTool, type TestKey, type TestSuite } from '../../test/apt-repository.ts'

const missing = missingAptTool()

describe.skipIf(missing !== null)(
  `an apt mirror is not believed (skipped: ${missing ?? 'nothing'} is missing)`,
  () => {
    const lab = useAptLab()
    let stranger: TestKey

    beforeAll(() => {
      stranger = lab.makeKey()
    })

    async function refused(files: ReadonlyMap<string, Buffer>, reason: RegExp): Promise<void> {
      const listing = await lab.list([await lab.mirror(files)])
      expect(listing.packages).toEqual([])
      expect(listing.indexes).toMatchObject([{ outcome: 'failed', signed: false }])
      expect(listing.indexes[0]?.reason).toMatch(reason)
    }

    function altered(
      path: string,
      edit: (bytes: Buffer) => Buffer,
      suite: TestSuite = MAIN,
    ): Map<string, Buffer> {
      const files = lab.archive('/debian', suite)
      const at = `/debian/dists/bookworm/${path}`
      files.set(at, edit(files.get(at)!))
      return files
    }

    it('whose InRelease is not signed', () =>
      refused(
        altered('InRelease', () => lab.archive('/debian', MAIN).get('/debian/dists/bookworm/Release')!),
        /InRelease: expected one clear-signed message/,
      ))

    it('whose InRelease was changed after it was signed', () =>
      refused(
        altered('InRelease', (bytes) => Buffer.from(bytes.toString().replace('oldstable', 'newstable'))),
        /expected a good signature of a known key, got key [0-9A-F]{16}: .*digest did not match/,
      ))

    it.each([
      ['before', (text: string) => `Suite: bookworm\n${text}`],
      ['after', (text: string) => `${text}\nSuite: bookworm\n`],
      ['as a second message', (text: string) => `${text}${text}`],
    ])('who puts text %s the signed one', (_where, edit) =>
      refused(
        altered('InRelease', (bytes) => Buffer.from(edit(bytes.toString()))),
        /expected one clear-signed message and nothing around it/,
      ),
    )

    it('whose key is not known', () =>
      refused(lab.archive('/debian', MAIN, stranger), /got key [0-9A-F]{16}, which is not known/))

    it('whose Release has no signature, a bad one, or one of an unknown key', async () => {
      const bare = (): Map<string, Buffer> => {
        const files = lab.archive('/debian', MAIN)
        files.delete('/debian/dists/bookworm/InRelease')
        return files
      }
      const unsigned = bare()
      unsigned.delete('/debian/dists/bookworm/Release.gpg')
      await refused(unsigned, /Release: expected a signature beside it, .*Release\.gpg is not there/)
      const bad = bare()
      bad.set('/debian/dists/bookworm/Release.gpg', lab.key.detach('something else'))
      await refused(bad, /digest did not match/)
      const unknown = bare()
      const text = unknown.get('/debian/dists/bookworm/Release')!.toString()
      unknown.set('/debian/dists/bookworm/Release.gpg', stranger.detach(text))
      await refused(unknown, /which is not known/)
      const garbage = bare()
      garbage.set('/debian/dists/bookworm/Release.gpg', Buffer.from('<html>captive portal</html>'))
      await refused(garbage, /Release: /)
    })

    it('but one of several signers is enough, where no signature is bad', async () => {
      const second = lab.makeKey()
      lab.trust(lab.key, second)
      const signedBy = (...signatures: readonly ((text: string) => Buffer)[]): Map<string, Buffer> => {
        const files = lab.archive('/debian', MAIN)
        files.delete('/debian/dists/bookworm/InRelease')
        const text = files.get('/debian/dists/bookworm/Release')!.toString()
        const all = Buffer.concat(signatures.map((sign) => sign(text)))
        return files.set('/debian/dists/bookworm/Release.gpg', all)
      }
      const by = (key: TestKey, other?: string) => (text: string) => key.detach(other ?? text, false)
      try {
        const files = signedBy(by(stranger), by(lab.key))
        expect(builds(await lab.list([await lab.mirror(files)]))).toEqual(BUILDS)
        await refused(signedBy(by(lab.key), by(second, 'other text')), /digest did not match/)
      } finally {
        lab.trust(lab.key)
      }
    })

    it('whose key has expired, but for a frozen suite', async () => {
      const expired = lab.makeKey({ expires: '1d', at: '20200101T000000' })
      lab.trust(lab.key, expired)
      try {
        await refused(lab.archive('/debian', MAIN, expired), /which expired on 2020-01-02/)
        const server = await lab.mirror(lab.archive('/debian', MAIN, expired))
        expect(builds(await lab.list([server], { suites: FROZEN }))).toEqual(BUILDS)
      } finally {
        lab.trust(lab.key)
      }
    })

    it('who signs with a hash that proves nothing', async () => {
      const weak = lab.makeKey({ digest: 'SHA1' })
      lab.trust(weak)
      try {
        await refused(lab.archive('/debian', MAIN, weak), /SHA1/i)
      } finally {
        lab.trust(lab.key)
      }
    })

    it('who replays another suite, another archive or an old time', async () => {
      await refused(
        lab.archive('/debian', { ...MAIN, codename: 'bullseye' }),
        /expected suite bookworm, got Suite oldstable, Codename bullseye/,
      )
      await refused(
        lab.archive('/debian', { ...MAIN, origin: 'Ubuntu' }),
        /expected origin Debian, got Ubuntu/,
      )
      const editRelease = (text: string): string => `Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC\n${text}`
      await refused(
        lab.archive('/debian', { ...MAIN, editRelease }),
        /valid until 2022-01-01T00:00:00.000Z, now is/,
      )
      const server = await lab.mirror(lab.archive('/debian', { ...MAIN, editRelease }))
      expect(builds(await lab.list([server], { suites: FROZEN }))).toEqual(BUILDS)
    })

    it('whose index is not the one that was signed for', async () => {
      const at = 'main/binary-amd64/Packages.xz'
      const flip = (bytes: Buffer): Buffer => {
        const copy = Buffer.from(bytes)
        copy[copy.length >> 1]! ^= 1
        return copy
      }
      await refused(altered(at, flip), /Packages\.xz: Release says \d+ bytes with sha256/)
      await refused(
        altered(at, (bytes) => bytes.subarray(0, -1)),
        /got \d+ with/,
      )
      await refused(
        altered(at, (bytes) => Buffer.concat([bytes, bytes])),
        /more than \d+ bytes/,
      )
      const lost = lab.archive('/debian', MAIN)
      lost.delete(`/debian/dists/bookworm/${at}`)
      await refused(lost, /Release lists it, the mirror has it not/)
    })

    it('whose index unpacks to something else than was signed for, or to a bomb', async () => {
      const signedFor = (packed: Buffer, coding: '.gz' | '.xz', keepPlain: boolean): Map<string, Buffer> => {
        const editRelease = (text: string): string => {
          const path = `main/binary-amd64/Packages${coding}`
          const kept = text
            .split('\n')
            .filter((line) => !line.endsWith(path) && (keepPlain || !line.endsWith('binary-amd64/Packages')))
            .join('\n')
          return kept.replace('SHA256:\n', `SHA256:\n ${sha256Of(packed)} ${packed.byteLength} ${path}\n`)
        }
        const files = lab.archive('/debian', { ...MAIN, codings: ['', coding], editRelease })
        return files.set(`/debian/dists/bookworm/main/binary-amd64/Packages${coding}`, packed)
      }
      const bomb = Buffer.alloc(64e6, 'x\n')
      await refused(signedFor(gzipSync(bomb), '.gz', true), /expected at most \d+ bytes, got more/)
      await refused(signedFor(compress(bomb, '.xz'), '.xz', true), /expected at most \d+ bytes, got more/)
      await refused(signedFor(gzipSync('short'), '.gz', true), /unpacks to something else/)
      await refused(signedFor(Buffer.from('no xz'), '.xz', false), /xz ended with 1: .*not recognized/)
      await refused(signedFor(gzipSync('x').subarray(0, 15), '.gz', false), /unpack \.gz: unexpected end/)
    })

    it('whose Release makes no sense', async () => {
      await refused(
        lab.archive('/debian', {
          ...MAIN,
          editRelease: (text) => text.replace(/^ [0-9a-f]{64} .*$/m, ' one two'),
        }),
        /SHA256 line "one two": expected sum, size, path/,
      )
      await refused(
        lab.archive('/debian', { ...MAIN, editRelease: (text) => text.replace(/^SHA256:$/m, 'SHA257:') }),
        /expected SHA256 sums, got none/,
      )
      await refused(
        lab.archive('/debian', { ...MAIN, editRelease: (text) => `Valid-Until: soon\n${text}` }),
        /Valid-Until "soon": expected a date/,
      )
    })
  },
)
