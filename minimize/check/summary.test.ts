import { describe, expect, it } from 'vitest'
import { compareReleases } from '../release-order.ts'
import { describeKernels } from './kernel-range.ts'
import { type CheckedKernel, formatFinding, summarize } from './summary.ts'
import type { RelocationCheck } from './types.ts'

function kernel(
  distro: string,
  version: string,
  release: string,
  hasOwnBtf: boolean | null = null,
): CheckedKernel {
  return { distro, version, arch: 'x86_64', release, hasOwnBtf }
}

const CENTOS7 = [
  kernel('centos', '7', '3.10.0-1160.2.2.el7.x86_64'),
  kernel('centos', '7', '3.10.0-1160.11.1.el7.x86_64'),
]
const ALINUX = ['4.19.24-9.al7', '4.19.81-17.1.al7', '4.19.91-18.al7'].map((r) => kernel('alinux', '2', r))
const DEBIAN = [kernel('debian', '11', '5.10.0-30-amd64'), kernel('debian', '13', '6.12.107+deb13-amd64')]
const ALL = [...DEBIAN, ...ALINUX, ...CENTOS7]

it('releases are ordered by their numbers', () => {
  const releases = ['6.12.9', '6.2.10', '3.10.0-1160.11.1.el7', '3.10.0-1160.2.2.el7', '6.12']
  expect([...releases].sort(compareReleases)).toEqual([
    '3.10.0-1160.2.2.el7',
    '3.10.0-1160.11.1.el7',
    '6.2.10',
    '6.12',
    '6.12.9',
  ])
})

describe('kernels in few words', () => {
  it.each([
    ['everywhere', ALL],
    ['before 5.10', [...CENTOS7, ...ALINUX]],
    ['since 6.12', DEBIAN.slice(1)],
    ['before 4.19', CENTOS7],
    ['on alinux 2 before 4.19.91-18.al7, centos 7', [...CENTOS7, ...ALINUX.slice(0, 2)]],
    ['on alinux 2 since 4.19.81-17.1.al7', ALINUX.slice(1)],
    ['on alinux 2 4.19.81-17.1.al7', ALINUX.slice(1, 2)],
    ['on alinux 2 (2 of 3), debian 13', [ALINUX[0], ALINUX[2], DEBIAN[1]]],
    ['on centos 7 3.10.0-1160.11.1.el7.x86_64', [CENTOS7[1]]],
  ] as const)('%s', (text, some) => {
    expect(describeKernels(new Set(some as readonly CheckedKernel[]), ALL)).toBe(text)
  })

  it('names architectures where there are several', () => {
    const arm = { ...kernel('centos', '7', '3.10.0-1160.2.2.el7.aarch64'), arch: 'aarch64' }
    expect(describeKernels(new Set([arm]), [...CENTOS7, arm])).toBe('on centos 7 aarch64')
  })

  it('names an architecture that has all of them', () => {
    const arms = ['5.10.1', '6.1.1'].map((r) => ({ ...kernel('ubuntu', '20.04', r), arch: 'aarch64' }))
    expect(describeKernels(new Set(arms), [...ALL, ...arms])).toBe('on aarch64')
  })

  it('puts kernels whose version nobody knows beside a range', () => {
    const odd = [kernel('mainline', '2019', 'vmlinux'), kernel('mainline', '2026', 'vmlinux')]
    expect(describeKernels(new Set([...CENTOS7, ...odd.slice(0, 1)]), [...ALL, ...odd])).toBe(
      'before 4.19, on mainline 2019',
    )
  })

  it('names a kernel that only a file is known of', () => {
    const some = kernel('', '', 'vmlinux')
    expect(describeKernels(new Set([some]), [some, ...CENTOS7])).toBe('on vmlinux')
  })
})

function relocation(part: Partial<RelocationCheck>): RelocationCheck {
  return {
    section: 'kprobe/x',
    number: 0,
    functionName: 'probe',
    functionOffset: 0,
    kind: 'byte_off',
    asks: 'task_struct.start_boottime',
    subject: 'task_struct.start_boottime',
    verdict: 'guarded',
    value: null,
    reason: 'missing-member',
    refusesObject: false,
    ...part,
  }
}

describe('findings', () => {
  const check = (programs: Readonly<Record<string, RelocationCheck[]>>) => ({
    name: 'tool.bpf.o',
    unused: [],
    programs: Object.entries(programs).map(([name, relocations]) => ({
      name,
      section: 'kprobe/x',
      isOptional: false,
      relocations,
    })),
  })
  const fine = {
    kernels: DEBIAN,
    objects: [check({ probe: [relocation({ verdict: 'resolves', reason: null })] })],
  }

  it('are one for all kernels and programs that lack the same', () => {
    const results = [
      fine,
      ...ALINUX.map((each) => ({
        kernels: [each],
        objects: [check({ probe: [relocation({})], other: [relocation({})] })],
      })),
    ]
    expect(summarize(results, new Map()).map(formatFinding)).toEqual([
      'task_struct.start_boottime missing before 5.10: guarded in probe, other',
    ])
  })

  it('say that a program will not load where anything of it is unguarded, and tell of that first', () => {
    const lost = relocation({ subject: 'bpf_iter__task', reason: 'missing-type', verdict: 'fails' })
    const mixed = [relocation({}), relocation({ verdict: 'fails', number: 1 })]
    const results = [
      fine,
      { kernels: ALINUX, objects: [check({ probe: [relocation({})], dump_task: [lost], both: mixed })] },
    ]
    const findings = summarize(results, new Map())
    expect(findings.map(formatFinding)).toEqual([
      'bpf_iter__task missing before 5.10: program dump_task will not load',
      'task_struct.start_boottime missing before 5.10: program both will not load',
      'task_struct.start_boottime missing before 5.10: guarded in probe',
    ])
    expect(findings[0]?.kernels).toEqual(ALINUX)
  })

  it('say that an object is refused as a whole, once', () => {
    const unclear = relocation({ verdict: 'fails', reason: 'ambiguous', refusesObject: true })
    const results = [{ kernels: CENTOS7, objects: [check({ a: [unclear], b: [unclear] })] }]
    expect(summarize(results, new Map()).map(formatFinding)).toEqual([
      'task_struct.start_boottime ambiguous everywhere: the whole object is refused',
    ])
  })

  it('tell what no file can serve, on kernels that are known to have no BTF', () => {
    const without = kernel('centos', '7', '3.10.0-957.el7.x86_64', false)
    const results = [{ kernels: [without, ...DEBIAN], objects: [check({})] }]
    const only = new Map([['tool.bpf.o', [{ name: 'on_open', what: 'fentry' as const }]]])
    expect(summarize(results, only).map(formatFinding)).toEqual([
      'fentry impossible on kernels without BTF of their own, before 5.10: program on_open will not load',
    ])
  })
})
