import { expect, it, onTestFinished } from 'vitest'
import { type Finding, formatFinding } from '../minimize/index.ts'
import { addKernel, addModule, tinyKernel } from '../test/helpers/registry.ts'
import { openTestStore } from '../test/helpers/store.ts'
import { nameModules } from './name-modules.ts'

it('a missing type that a module of the kernel has is told as that module’s', async () => {
  const store = await openTestStore()
  onTestFinished(() => store.cleanUp())
  const kernel = { distro: 'debian', version: '12', arch: 'x86_64', release: '6.1.0-50-amd64' } as const
  const build = await addKernel(store, { kernel, btf: tinyKernel() })
  await addModule(store, build, { name: 'nf_conntrack', struct: 'nf_conn' })
  const missing = (subject: string, reason: Finding['reason'] = 'missing-type'): Finding => ({
    object: 'a.bpf.o',
    programs: ['p'],
    subject,
    reason,
    effect: 'fails',
    where: 'everywhere',
    kernels: [{ ...kernel, hasOwnBtf: true }],
  })
  const { signal } = new AbortController()
  const asked = [missing('nf_conn'), missing('nobody'), missing('nf_conn', 'incompatible')]
  const named = await nameModules(store, [build], asked, signal)
  expect(named.map(({ modules }) => modules)).toEqual([['nf_conntrack'], undefined, undefined])
  expect(named.map(formatFinding)[0]).toBe(
    'nf_conn missing everywhere: program p will not load (a type of module nf_conntrack: needs merged BTF)',
  )
  const elsewhere = {
    ...missing('nf_conn'),
    kernels: [{ ...kernel, release: '6.1.0-51-amd64', hasOwnBtf: true }],
  }
  expect((await nameModules(store, [build], [elsewhere], signal))[0]?.modules).toBeUndefined()
})
