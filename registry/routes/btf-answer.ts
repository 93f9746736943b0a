import type { Format } from '../api.ts'
import type { Content } from '../content.ts'
import { RegistryError } from '../errors.ts'
import type { Found } from '../find.ts'
import { inForm, mediaTypes } from '../forms.ts'
import type { Hub } from '../hub.ts'
import type { Answer } from '../sender.ts'

/** What was found, in the form that was asked for, ready to be sent. */
export async function btfAnswer(hub: Hub, found: Found, format: Format): Promise<Answer> {
  if (found.match === 'predicted' && format !== 'raw' && format !== 'sha256') {
    // Other forms have the kernel's name in them, and would pass for its BTF.
    throw new RegistryError('BAD_REQUEST', `format ${format}: a predicted min BTF is given as raw only`)
  }
  const name = found.variant.module ?? found.build.kernel.release
  return answerWith(found, await inForm(hub, found.btf, found.build.kernel, format, name), format)
}

/** The same for bytes that are made already. */
export function answerWith(found: Found, content: Content, format: Format): Answer {
  const { build, match, tool, snapshot, btf } = found
  return {
    content,
    type: mediaTypes[format],
    btf: btf.digest,
    kernel: build.kernel,
    match,
    predictedFrom: found.predictedFrom,
    variant: { ...found.variant, base: found.base?.digest ?? null },
    origin: build.provenance.origin,
    lastModified: latest([build.provenance.createdAt, ...(tool === null ? [] : [tool.createdAt])]),
    immutable: false,
    encodable: format === 'raw',
    snapshotId: match === 'predicted' ? null : snapshot.id,
  }
}

function latest(times: readonly string[]): Date | null {
  const dates = times.map((time) => new Date(time)).filter((date) => !Number.isNaN(date.getTime()))
  return dates.sort((a, b) => b.getTime() - a.getTime())[0] ?? null
}
