import { type Btf, BtfError, parseBtf } from '../btf/index.ts'
import { MinimizeError } from './errors.ts'
import { KernelView } from './kernel-view.ts'
import type { CandidateMatch, Resolution } from './outcome.ts'
import type { PreparedTool } from './prepare.ts'
import { ReloKind, reloKindName } from './relocation-kind.ts'
import { resolveObject } from './resolve.ts'

/**
 * Applies every relocation of a tool to the whole BTF and to the min BTF and compares what comes of it, candidate by
 * candidate. Returns when all is equal; throws MinimizeError `DIFFERS`, naming object and relocation, where it is not.
 */
export function selfCheck(tool: PreparedTool, full: Btf, min: Btf): void {
  const view = new KernelView(full)
  compareWith(
    tool,
    tool.objects.map((object) => resolveObject(object, view)),
    min,
  )
}

/** The same with what came of the whole BTF already known: a list for each object. */
export function compareWith(tool: PreparedTool, onFull: readonly (readonly Resolution[])[], min: Btf): void {
  const view = new KernelView(min)
  for (const [i, object] of tool.objects.entries()) {
    const onMin = resolveObject(object, view)
    for (const [j, wanted] of (onFull[i] ?? []).entries()) {
      const got = onMin[j]
      if (got !== undefined && isSame(wanted, got)) continue
      throw new MinimizeError(
        'DIFFERS',
        `${describe(object.object.name, wanted)}: ${difference(wanted, got)}`,
      )
    }
  }
}

/** Parses bytes that this folder wrote. Throws MinimizeError `DIFFERS` where they are no BTF. */
export function parseOwn(bytes: Uint8Array): Btf {
  try {
    return parseBtf(bytes)
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new MinimizeError('DIFFERS', `the min BTF cannot be read: ${err.message}`, { cause: err })
  }
}

/** Type ids differ, as they must; that a type is found, and how often, must not. */
function isSame(a: Resolution, b: Resolution): boolean {
  const isId = a.relocation.kind === ReloKind.TYPE_ID_TARGET
  return (
    outcomeText(a, isId) === outcomeText(b, isId) &&
    a.matches.length === b.matches.length &&
    a.matches.every((match, i) => isSameMatch(match, b.matches[i], isId))
  )
}

function isSameMatch(a: CandidateMatch, b: CandidateMatch | undefined, isId: boolean): boolean {
  return b !== undefined && a.offsetBits === b.offsetBits && (isId || a.value === b.value)
}

function outcomeText({ outcome }: Resolution, isId: boolean): string {
  switch (outcome.status) {
    case 'resolved':
      return `value ${isId ? 'of a type id' : outcome.value} (${outcome.accessBytes} bytes, ${outcome.widthKind})`
    case 'failed':
      return `failed: ${outcome.reason}`
    default:
      return outcome.status
  }
}

function difference(wanted: Resolution, got: Resolution | undefined): string {
  const isId = wanted.relocation.kind === ReloKind.TYPE_ID_TARGET
  const text = (r: Resolution): string => `${outcomeText(r, isId)}, ${r.matches.length} candidates match`
  return `${text(wanted)} on the full BTF, ${got === undefined ? 'nothing' : text(got)} on the min BTF`
}

function describe(object: string, { relocation }: Resolution): string {
  const { section, number, kind, functionName, functionOffset } = relocation
  const where = functionName === null ? section : `${functionName}+${functionOffset}`
  return `object ${object}, ${where}: relocation #${number} of ${section} (${reloKindName(kind)})`
}
