/** What the real libbpf makes of many objects on one kernel, with its full BTF and with min BTF. */
import type { OracleCase } from './oracle-objects.ts'
import { askOracle } from './oracle-process.ts'
import { outcomesInLog, outcomesOf, stableLines } from './relolog.ts'

/** One object on one kernel, told by libbpf twice and by us once. */
export interface Told {
  readonly name: string
  /** libbpf's log, line by line; ids of the kernel's types left out. */
  readonly onFull: readonly string[]
  readonly onMin: readonly string[]
  /** What was done to each instruction, in libbpf's log of the full BTF and by our resolver. */
  readonly theirs: readonly string[]
  readonly ours: readonly string[]
}

/** Asks libbpf about all cases in one process. Throws where it does not answer all. */
export async function tellOnKernel(program: string, cases: readonly OracleCase[]): Promise<Told[]> {
  const logs = await askOracle(
    program,
    cases.flatMap(({ path, fullPath, minPath }) => [
      { object: path, btf: fullPath },
      { object: path, btf: minPath },
    ]),
  )
  return cases.map(({ object, resolutions }, i) => {
    const [full = [], min = []] = logs.slice(i * 2, i * 2 + 2)
    return {
      name: object.name,
      onFull: stableLines(object, full),
      onMin: stableLines(object, min),
      theirs: outcomesInLog(object, full),
      ours: outcomesOf(resolutions),
    }
  })
}
