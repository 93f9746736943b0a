import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { parseBtf } from '../btf/index.ts'
import { compare, type ComparisonResult } from './measure.ts'

const HOST_BTF = '/sys/kernel/btf/vmlinux'
/** One parse takes about a millisecond: so many make one measured round. */
const REPEATS = 50

/** Indexing a kernel's BTF, against the barest loop over the same words that finds where each record starts. */
export async function* benchIndex(): AsyncGenerator<ComparisonResult> {
  const bytes = new Uint8Array(existsSync(HOST_BTF) ? readFileSync(HOST_BTF) : fromCorpus())
  const repeat = (work: () => number) => (): Promise<string> => {
    let types = 0
    for (let i = 0; i < REPEATS; i++) types = work()
    return Promise.resolve(`${types} types, ${REPEATS} times`)
  }
  yield await compare({
    work: 'index of a kernel BTF; against a plain loop over its words',
    input: `${bytes.byteLength} bytes of BTF`,
    ours: { name: 'parseBtf', run: repeat(() => parseBtf(bytes).idCount - 1) },
    theirs: { name: 'plain loop', run: repeat(() => plainLoop(bytes)) },
    atLeast: 1 / 3,
    rounds: 9,
  })
}

function fromCorpus(): Uint8Array {
  const corpus = process.env['BTFHUB_CORPUS'] ?? '../shared/data'
  return execFileSync('xz', ['-dc', `${corpus}/btf/debian/13/x86_64/6.12.107+deb13-amd64.btf.xz`], {
    maxBuffer: 1 << 28,
  })
}

/** Words after the first three, by kind: fixed, and per element. */
const FIXED = [0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]
const PER_ELEMENT = [0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3]

/** No checks, no header but the default one: only the starts of all records, which any reader needs. */
function plainLoop(bytes: Uint8Array): number {
  const header = new Uint32Array(bytes.buffer, bytes.byteOffset, 6)
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + (header[1] ?? 0), (header[3] ?? 0) / 4)
  const starts = new Uint32Array(words.length / 3)
  let count = 0
  for (let at = 0; at < words.length;) {
    starts[count++] = at
    const info = words[at + 1]!
    const kind = (info >>> 24) & 0x7f
    at += 3 + FIXED[kind]! + (info & 0xffffff) * PER_ELEMENT[kind]!
  }
  return count
}
