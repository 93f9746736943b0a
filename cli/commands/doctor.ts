import { execFile } from 'node:child_process'
import { access, constants, statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Exit, ExitCode } from '../exit.ts'
import type { Invocation } from '../main.ts'
import { formatBytes, formatTable } from '../terminal.ts'

/** One thing that this machine has, or lacks. */
interface Finding {
  readonly what: string
  readonly ok: boolean
  /** False where the hub does most of its work without it. */
  readonly required: boolean
  readonly found: string
  readonly remedy: string | null
}

interface Program {
  readonly name: string
  readonly args: readonly string[]
  readonly required: boolean
  readonly use: string
  readonly packageName: string
}

const PROGRAMS: readonly Program[] = [
  { name: 'pahole', args: ['--version'], required: true, use: 'BTF from DWARF', packageName: 'dwarves' },
  {
    name: 'xz',
    args: ['--version'],
    required: true,
    use: 'packages, images, .xz forms',
    packageName: 'xz-utils',
  },
  { name: 'zstd', args: ['--version'], required: true, use: 'packages and images', packageName: 'zstd' },
  { name: 'bzip2', args: ['--help'], required: false, use: 'old packages and images', packageName: 'bzip2' },
  { name: 'bpftool', args: ['version'], required: false, use: 'nothing but tests', packageName: 'bpftool' },
]

/** Room for one vmlinux per job, and some packages' BTF. */
const ENOUGH_BYTES = 4e9

/** `btfhub doctor`: what this machine has and lacks. Exit code 1 where something that is needed is missing. */
export async function doctor(
  options: { readonly data: string; readonly json: boolean },
  invocation: Invocation,
): Promise<void> {
  const { terminal } = invocation
  const findings = [
    checkNode(),
    ...(await Promise.all(PROGRAMS.map(checkProgram))),
    await checkDisk(options.data),
    await checkReadable('/sys/kernel/btf/vmlinux', "this host's own BTF", 'agents here need no hub'),
    await checkReadable('/sys/kernel/notes', "this host's build-id", '`get` asks by build-id'),
  ]
  if (options.json) terminal.out(JSON.stringify(findings, null, 2))
  else {
    terminal.out(
      formatTable(
        ['', 'WHAT', 'FOUND', 'TO DO'],
        findings.map((f) => [f.ok ? 'ok' : f.required ? 'MISSING' : 'no', f.what, f.found, f.remedy ?? '']),
      ),
    )
  }
  if (findings.some((finding) => finding.required && !finding.ok)) throw new Exit(ExitCode.failed)
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const ok = major > 20 || (major === 20 && minor >= 18)
  return {
    what: 'Node.js 20.18 or newer',
    ok,
    required: true,
    found: process.versions.node,
    remedy: ok ? null : 'https://nodejs.org/en/download',
  }
}

async function checkProgram(program: Program): Promise<Finding> {
  const what = `${program.name} (${program.use})`
  const { required } = program
  try {
    const { stdout, stderr } = await promisify(execFile)(program.name, [...program.args])
    const line = `${stdout}${stderr}`.split('\n')[0] ?? ''
    return { what, ok: true, required, found: line.trim().slice(0, 40), remedy: null }
  } catch {
    return { what, ok: false, required, found: '-', remedy: `apt-get install ${program.packageName}` }
  }
}

async function checkDisk(data: string): Promise<Finding> {
  const dir = await existingParent(resolve(data))
  const { bavail, bsize } = await statfs(dir)
  const free = bavail * bsize
  const ok = free >= ENOUGH_BYTES
  return {
    what: `${formatBytes(ENOUGH_BYTES)} free at ${dir}`,
    ok,
    required: true,
    found: formatBytes(free),
    remedy: ok ? null : 'another --data, or more room',
  }
}

async function existingParent(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    try {
      await access(at)
      return at
    } catch (err) {
      if (at === dirname(at)) throw err
    }
  }
}

async function checkReadable(path: string, what: string, use: string): Promise<Finding> {
  const ok = await access(path, constants.R_OK).then(
    () => true,
    () => false,
  )
  return { what: `${path} (${what})`, ok, required: false, found: ok ? use : '-', remedy: null }
}
