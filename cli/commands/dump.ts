import {
  type Btf,
  formatHeader,
  formatJson,
  formatJsonType,
  formatRaw,
  formatRawType,
  formatType,
} from '../../btf/index.ts'
import { Exit, ExitCode } from '../exit.ts'
import { readBtf } from '../input.ts'
import type { Invocation } from '../main.ts'

export interface DumpOptions {
  readonly format: 'c' | 'raw' | 'json'
  readonly type?: string
  readonly base?: string
}

/** `btfhub dump FILE`: a vmlinux.h, all records, or one type. Exit code 3 where there is no type of that name. */
export async function dump(file: string, options: DumpOptions, invocation: Invocation): Promise<void> {
  const { terminal } = invocation
  const base = options.base === undefined ? undefined : await readBtf(options.base, invocation)
  const btf = await readBtf(file, invocation, base)
  if (options.type === undefined) return await terminal.outLines(ALL[options.format](btf))
  const text = oneType(btf, options.type, options.format)
  if (text === '') {
    terminal.err(`btfhub: no type ${options.type} in ${file}`)
    throw new Exit(ExitCode.notFound)
  }
  terminal.out(text)
}

const ALL: Readonly<Record<DumpOptions['format'], (btf: Btf) => Iterable<string>>> = {
  c: formatHeader,
  raw: formatRaw,
  json: formatJson,
}

function oneType(btf: Btf, name: string, format: DumpOptions['format']): string {
  if (format === 'c') return formatType(btf, name) ?? ''
  const ids = btf.idsByName(name)
  return ids
    .flatMap((id) => (format === 'raw' ? [...formatRawType(btf, id)] : [formatJsonType(btf.type(id))]))
    .join('\n')
}
