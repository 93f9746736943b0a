import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import ts from 'typescript'
import { packageRoot } from '../core/version.ts'

/** A process of its own that runs one of the folder's files. */
export interface Child {
  readonly process: ChildProcessByStdio<null, Readable, null>
  /** The lines that it has printed whole so far. */
  readonly lines: readonly string[]
  /** How it ended: its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
}

/** Makes core and store into JavaScript in `dir`, so that plain Node can run them; gives what starts a file. */
export async function compileForChildren(
  dir: string,
): Promise<(file: string, ...args: readonly string[]) => Child> {
  for (const folder of ['core', 'store']) {
    for (const file of await readdir(join(packageRoot, folder), { recursive: true })) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue
      const target = join(dir, folder, file.replace(/\.ts$/, '.js'))
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, toJavaScript(await readFile(join(packageRoot, folder, file), 'utf8')))
    }
  }
  await copyFile(join(packageRoot, 'package.json'), join(dir, 'package.json'))
  await symlink(join(packageRoot, 'node_modules'), join(dir, 'node_modules'))
  return (file, ...args) => start(join(dir, file.replace(/\.ts$/, '.js')), args)
}

function toJavaScript(source: string): string {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      rewriteRelativeImportExtensions: true,
    },
  })
  return outputText
}

function start(path: string, args: readonly string[]): Child {
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  let rest = ''
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
  })
  const ended = once(child, 'close').then(
    ([code, signal]: (number | string | null)[]) => code ?? signal ?? '',
  )
  return { process: child, lines, ended }
}
