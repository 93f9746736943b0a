import { diffTypes, formatDiff } from '../../btf/index.ts'
import { Exit, ExitCode } from '../exit.ts'
import { readBtf } from '../input.ts'
import type { Invocation } from '../main.ts'

/** `btfhub diff A B`: what changed between two kernels' layouts. Exit code 1 where they differ, as diff(1) has it. */
export async function diff(
  a: string,
  b: string,
  options: { readonly type?: string; readonly json: boolean },
  invocation: Invocation,
): Promise<void> {
  const { terminal } = invocation
  const changes = [...diffTypes(await readBtf(a, invocation), await readBtf(b, invocation), options.type)]
  if (options.json) terminal.out(JSON.stringify(changes, null, 2))
  else await terminal.outLines(formatDiff(changes))
  if (changes.length > 0) throw new Exit(ExitCode.failed)
}
