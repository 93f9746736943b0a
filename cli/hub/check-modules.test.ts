import { expect, it, onTestFinished } from 'vitest'
import { Kind, layoutDigest, mergeBtf, parseBtf } from '../../btf/index.ts'
import { type Finding, formatFinding } from '../../minimize/index.ts'
import { assembleBtf, info } from '../../test/helpers/btf-bytes.ts'
import { addKernel, tinyKernel } from '../../test/helpers/registry.ts'
import { openTestStore } from '../../test/helpers/store.ts'
import { nameModules } from './check-modules.ts'

it('a missing type that a module of the kernel has is told as that module’s', async () => {
  const store = await openTestStore()
  onTestFinished(() => store.cleanUp())
  const bytes = tinyKernel()
  const kernel = { distro: 'debian', version: '12', arch: 'x86_64', release: '6.1.0-50-amd64' } as const
  const build = await addKernel(store, { kernel, btf: bytes })
  const base = parseBtf(bytes)
  const strings = Buffer.from('nf_conn\0')
  const split = assembleBtf({ records: [[base.strings.end, info(Kind.STRUCT), 8]], strings })
  const merged = mergeBtf(base, [parseBtf(split, { base })])
  await store.catalog.putModules(build.id, {
    modules: [{ name: 'nf_conntrack', origin: 'embedded', btf: await store.blobs.put(split) }],
    merged: await store.blobs.put(merged),
    mergedLayout: layoutDigest(parseBtf(merged)),
  })
  const missing = (subject: string, reason: Finding['reason'] = 'missing-type'): Finding => ({
    object: 'a.bpf.o',
    programs: ['p'],
    subject,
    reason,
    effect: 'fails',
    where: 'everywhere',
    kernels: [{ ...kernel, hasOwnBtf: true }],
  })
  const asked = [missing('nf_conn'), missing('nobody'), missing('nf_conn', 'incompatible')]
  const named = await nameModules(store, asked)
  expect(named.map(({ modules }) => modules)).toEqual([['nf_conntrack'], undefined, undefined])
  expect(named.map(formatFinding)[0]).toBe(
    'nf_conn missing everywhere: program p will not load (a type of module nf_conntrack: needs merged BTF)',
  )
  const elsewhere = {
    ...missing('nf_conn'),
    kernels: [{ ...kernel, release: '6.1.0-51-amd64', hasOwnBtf: true }],
  }
  expect((await nameModules(store, [elsewhere]))[0]?.modules).toBeUndefined()
})
