import { createLog } from '../../core/log.ts'
import { sha256Of } from '../../core/digest.ts'
import { writeFileAtomic } from '../../core/temp-file.ts'
import { availableParallelism } from 'node:os'
import { cliHttp } from '../http.ts'
import { extractFrom } from '../input.ts'
import type { Invocation } from '../main.ts'
import { createProgress, formatBytes } from '../terminal.ts'

export interface ExtractCommandOptions {
  readonly output?: string
  readonly release?: string
  readonly forceDwarf: boolean
  readonly unverified: boolean
  readonly json: boolean
}

/** `btfhub extract FILE`: one file to BTF; provenance on stderr, or as JSON on stdout. */
export async function extractFile(
  file: string,
  options: ExtractCommandOptions,
  invocation: Invocation,
): Promise<void> {
  const { terminal, signal } = invocation
  const log = createLog(invocation.logLevel)
  const http = cliHttp(invocation.env, log)
  const progress = createProgress(terminal)
  if (terminal.isInteractive) progress.start(file, file, null)
  try {
    const extracted = await extractFrom(
      file,
      {
        release: options.release ?? null,
        forceDwarf: options.forceDwarf,
        readToEnd: !options.unverified,
        jobs: availableParallelism(),
        onProgress: (phase, bytesRead) => progress.update(file, bytesRead, phase),
      },
      { http, log, signal },
    )
    const { btf, ...facts } = extracted
    if (options.output !== undefined) await writeFileAtomic(options.output, btf)
    progress.close()
    const provenance = { file, ...facts, btfSha256: sha256Of(btf), btfBytes: btf.byteLength }
    if (options.json) terminal.out(JSON.stringify(provenance, null, 2))
    else terminal.err(describe(provenance, options.output))
  } finally {
    progress.close()
    await http.close()
  }
}

type ProvenanceFacts = Omit<Awaited<ReturnType<typeof extractFrom>>, 'btf'> & {
  readonly file: string
  readonly btfSha256: string
  readonly btfBytes: number
}

function describe(facts: ProvenanceFacts, output: string | undefined): string {
  const rows: [string, string | null][] = [
    ['file', facts.file],
    ['sha256', facts.sha256 ?? '(not read to its end)'],
    ['read', formatBytes(facts.bytesRead)],
    ['origin', facts.origin],
    ['build-id', facts.buildId],
    ['banner', facts.banner],
    [
      'pahole',
      facts.paholeVersion === null ? null : `${facts.paholeVersion} ${facts.paholeFlags?.join(' ') ?? ''}`,
    ],
    ['BTF', `${facts.btfBytes} bytes, sha256 ${facts.btfSha256}`],
    ['written to', output ?? '(nowhere: -o FILE writes it)'],
    ...facts.warnings.map((warning): [string, string] => ['warning', warning]),
  ]
  return rows
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name.padEnd(10)}  ${value}`)
    .join('\n')
}
