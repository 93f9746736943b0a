import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadBtf } from '../btf/index.ts'
import { packageRoot } from '../core/version.ts'
import { KernelView, minimizeFor, parseBpfObject, prepareTool } from '../minimize/index.ts'
import { compare, type ComparisonResult } from './measure.ts'
import { shell } from './shell.ts'

const HOST_BTF = '/sys/kernel/btf/vmlinux'
const REPEATS = 10

/** Min BTF of one tool on one kernel, in process, against one run of bpftool. */
export async function* benchMinimize(dir: string): AsyncGenerator<ComparisonResult> {
  await shell(`make --silent -C ${join(packageRoot, 'examples/c')} OUT=${dir}/build`, dir)
  const object = join(dir, 'build/execwatch.bpf.o')
  const kernel = new Uint8Array(readFileSync(HOST_BTF))
  const bpf = new Uint8Array(readFileSync(object))
  const input = `examples/c/execwatch.bpf.o on this kernel's BTF of ${kernel.byteLength} bytes, ${REPEATS} times`
  const theirs = {
    name: 'bpftool gen min_core_btf',
    run: async () => {
      await shell(
        `for i in $(seq ${REPEATS}); do bpftool gen min_core_btf ${HOST_BTF} theirs.btf ${object}; done`,
        dir,
      )
    },
  }
  const ours = (work: () => Uint8Array) => ({
    name: 'minimizeFor',
    run: () => {
      let bytes = 0
      for (let i = 0; i < REPEATS; i++) bytes = work().byteLength
      return Promise.resolve(`${bytes} bytes`)
    },
  })
  yield await compare({
    work: 'min BTF of one tool on one kernel, cold: object and kernel parsed each time; against bpftool',
    input,
    ours: ours(() => minimizeFor(prepareTool([parseBpfObject('execwatch', bpf)]), loadBtf(kernel)).bytes),
    theirs,
    atLeast: 3,
    rounds: 5,
  })
  const tool = prepareTool([parseBpfObject('execwatch', bpf)])
  const view = new KernelView(loadBtf(kernel))
  yield await compare({
    work: 'the same, warm: tool and kernel prepared before; against bpftool',
    input,
    ours: ours(() => minimizeFor(tool, view).bytes),
    theirs,
    atLeast: 3,
    rounds: 5,
  })
}
