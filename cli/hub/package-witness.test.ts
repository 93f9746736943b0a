import { expect, it } from 'vitest'
import type { PackageFile } from '../../core/kernel-package.ts'
import type { SignedHead } from '../../core/package-proof.ts'
import type { PackageTrust } from '../../crawler/index.ts'
import { packageWitness } from './package-witness.ts'

const FILE = { name: 'kernel', version: '1-1', urls: [], sizeBytes: null, sha256: null, signed: false }
const MUST: PackageFile = { ...FILE, mustBeSigned: true }
const HEAD = { header: new Uint8Array(0) } as SignedHead

const saying = (judgement: Awaited<ReturnType<PackageTrust['judge']>>): PackageTrust => ({
  judge: () => Promise.resolve(judgement),
})

it('names who signed a package only when all of its payload was held against that', async () => {
  const seen: number[] = []
  const proof = { update: (chunk: Uint8Array) => void seen.push(chunk.byteLength), verify: () => undefined }
  const witness = packageWitness(MUST, 'x', saying({ by: 'ABC', proof }))
  const held = await witness.judge(HEAD)
  expect(() => witness.signer()).toThrow(/expected a package signed with a known key/)
  held?.update(new Uint8Array(3))
  held?.verify()
  expect([witness.signer(), seen]).toEqual(['ABC', [3]])
})

it('refuses what is no RPM package at all where one has to be signed, and leaves it be where not', () => {
  const trust = saying({ by: 'ABC', proof: null })
  expect(() => packageWitness(MUST, 'x.rpm', trust).signer()).toThrow(/x\.rpm: .*no RPM package/)
  expect(() => packageWitness(MUST, 'x.rpm', null).signer()).toThrow(/no keys/)
  expect(packageWitness(FILE, 'x.rpm', trust).signer()).toBeNull()
})

it('lets an unsigned package be where it may be unsigned, and ends its reading at once where not', async () => {
  const trust = saying({ by: null, why: 'no signature' })
  await expect(packageWitness(MUST, 'x', trust).judge(HEAD)).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
  const witness = packageWitness(FILE, 'x', trust)
  expect([await witness.judge(HEAD), witness.signer()]).toEqual([null, null])
})
