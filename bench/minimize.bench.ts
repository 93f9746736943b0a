import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadBtf } from '../btf/index.ts'
import { packageRoot } from '../core/version.ts'
import {
  KernelView,
  MinimizeError,
  minimizeFor,
  parseBpfObject,
  type PreparedTool,
  prepareTool,
} from '../minimize/index.ts'
import { installedObjects } from '../test/helpers/bpf-objects.ts'
import { corpusBtf, fullBtfPaths } from '../test/helpers/btf-corpus.ts'
import { compare, type ComparisonResult } from './measure.ts'
import { shell } from './shell.ts'

const HOST_BTF = '/sys/kernel/btf/vmlinux'
const REPEATS = 10

/** Min BTF in process against runs of bpftool: one tool on one kernel, and all tools on all kernels. */
export async function* benchMinimize(dir: string): AsyncGenerator<ComparisonResult> {
  yield* benchPair(dir)
  yield* benchMatrix(dir)
}

async function* benchPair(dir: string): AsyncGenerator<ComparisonResult> {
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
    atLeast: 5,
    rounds: 11,
  })
  const tool = prepareTool([parseBpfObject('execwatch', bpf)])
  const view = new KernelView(loadBtf(kernel))
  yield await compare({
    work: 'the same, warm: tool and kernel prepared before; against bpftool',
    input,
    ours: ours(() => minimizeFor(tool, view).bytes),
    theirs,
    atLeast: 20,
    rounds: 5,
  })
}

/** Every BPF object of installed packages, as a tool of its own, on every kernel of the corpus. */
async function* benchMatrix(dir: string): AsyncGenerator<ComparisonResult> {
  const objects = installedObjects()
  const kernels = fullBtfPaths()
  // Without libbpf-tools or the corpus there is no matrix.
  if (objects.length === 0 || kernels.length === 0) return
  const [objectDir, kernelDir] = [join(dir, 'objects'), join(dir, 'kernels')]
  await mkdir(objectDir)
  await mkdir(kernelDir)
  for (const [i, { bytes }] of objects.entries()) await writeFile(join(objectDir, `${i}.bpf.o`), bytes)
  for (const [i, path] of kernels.entries()) await writeFile(join(kernelDir, `${i}.btf`), corpusBtf(path))
  yield await compare({
    work: 'min BTF of all tools on all kernels, files read and min BTF written; against a shell loop of bpftool',
    input: `${objects.length} objects of installed packages, ${kernels.length} kernels of the corpus`,
    ours: { name: 'minimizeFor', run: () => Promise.resolve(cutAll(objects.length, kernels.length, dir)) },
    theirs: {
      name: 'bpftool gen min_core_btf',
      // It fails on kernels and objects that it cannot do; that it fails fast is in its favour.
      run: async () => {
        const each = `bpftool gen min_core_btf "$k" theirs.btf "$o" >/dev/null 2>&1 || failed=$((failed + 1))`
        const script = `failed=0; for k in ${kernelDir}/*; do for o in ${objectDir}/*; do ${each}; done; done; echo $failed`
        return `${(await shell(script, dir)).trim()} failed`
      },
    },
    atLeast: 20,
    rounds: 1,
  })
}

/** One kernel in memory at a time; what the process grew by is told. */
function cutAll(objects: number, kernels: number, dir: string): string {
  const before = process.memoryUsage.rss()
  const tools: PreparedTool[] = []
  for (let i = 0; i < objects; i++) {
    const name = `${i}.bpf.o`
    tools.push(prepareTool([parseBpfObject(name, readFileSync(join(dir, 'objects', name)))]))
  }
  let [made, failed] = [0, 0]
  for (let i = 0; i < kernels; i++) {
    const view = new KernelView(loadBtf(readFileSync(join(dir, 'kernels', `${i}.btf`))))
    for (const tool of tools) {
      try {
        writeFileSync(join(dir, 'ours.btf'), minimizeFor(tool, view).bytes)
        made++
      } catch (err) {
        if (!(err instanceof MinimizeError)) throw err
        failed++
      }
    }
  }
  const grown = (process.memoryUsage.rss() - before) / 1e6
  return `${made} made, ${failed} failed, ${grown.toFixed(0)} MB more memory`
}
