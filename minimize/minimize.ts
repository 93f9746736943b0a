import { type Btf, BtfError } from '../btf/index.ts'
import type { BpfObject } from './bpf-object.ts'
import { MinimizeError } from './errors.ts'
import { KernelView } from './kernel-view.ts'
import { markNeeds } from './mark.ts'
import type { Outcome, Resolution } from './outcome.ts'
import { prepareTool, type PreparedTool } from './prepare.ts'
import { resolveObject } from './resolve.ts'
import { rewrite } from './rewrite.ts'
import { compareWith, parseOwn } from './self-check.ts'

/** A min BTF and what is in it. */
export interface Minimized {
  readonly bytes: Uint8Array
  /** Number of types, void aside. */
  readonly types: number
  /** How many relocations of all objects came to what on this kernel. */
  readonly counts: Readonly<Record<Outcome['status'], number>>
  /** For each object of the tool, what became of its relocations. */
  readonly resolutions: readonly (readonly Resolution[])[]
}

/**
 * What a set of BPF objects needs of one kernel's BTF, as a BTF of its own; see {@link minimizeFor}. For more than one
 * kernel, prepare the objects once.
 */
export function minimize(target: Btf, objects: readonly BpfObject[]): Minimized {
  return minimizeFor(prepareTool(objects), target)
}

/**
 * Cuts a min BTF out of a kernel's: on it every relocation of every object has the outcome that it has on the whole,
 * with libbpf, cilium/ebpf and aya. Split BTF gives one self-contained BTF of what is needed of it and its base. The
 * same input gives the same bytes. The result was checked: all relocations were applied to it and compared.
 *
 * Pass a {@link KernelView} to share lookups between tools of one kernel. Throws MinimizeError `MALFORMED` where the
 * kernel's types contradict themselves (validateBtf would have told), `UNSUPPORTED`, `LIMIT`, and `DIFFERS` for a defect of
 * ours.
 */
export function minimizeFor(tool: PreparedTool, target: Btf | KernelView): Minimized {
  const view = target instanceof KernelView ? target : new KernelView(target)
  try {
    const { bytes, types } = rewrite(view.btf, markNeeds(view, tool.needs))
    const resolutions = tool.objects.map((object) => resolveObject(object, view))
    compareWith(tool, resolutions, parseOwn(bytes))
    return { bytes, types, counts: countOutcomes(resolutions.flat()), resolutions }
  } catch (err) {
    if (!(err instanceof BtfError)) throw err
    throw new MinimizeError('MALFORMED', `types that contradict themselves: ${err.message}`, { cause: err })
  }
}

function countOutcomes(resolutions: readonly Resolution[]): Record<Outcome['status'], number> {
  const counts = { resolved: 0, absent: 0, poisoned: 0, failed: 0 }
  for (const { outcome } of resolutions) counts[outcome.status]++
  return counts
}
