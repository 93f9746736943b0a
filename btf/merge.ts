import type { Btf } from './btf.ts'
import { MutableRecords } from './dedup-records.ts'
import { BtfWriter } from './encode.ts'
import { BtfError, malformedType } from './errors.ts'

/**
 * A kernel and its modules in one id space, as readers want it that know no split BTF: the kernel's types under their
 * own ids, then each module's, in the order given. Types that several modules bring along stay several (`dedupBtf`
 * makes one of them). Each of `modules` was parsed with `base` as its base.
 * Throws BtfError `NEEDS_BASE` for a module of another base, `UNSUPPORTED` for kinds that only a layout section
 * describes, `MALFORMED` for references to what is not there.
 */
export function mergeBtf(base: Btf, modules: readonly Btf[]): Uint8Array {
  const writer = new BtfWriter()
  append(writer, base)
  for (const module of modules) {
    if (module.base !== base)
      throw new BtfError('NEEDS_BASE', 'module of another base than the one it is merged with')
    append(writer, module)
  }
  return writer.finish(base.endian)
}

function append(writer: BtfWriter, btf: Btf): void {
  const records = new MutableRecords(btf)
  const shift = writer.nextId - btf.firstId
  for (let own = 1; own < records.idCount; own++) {
    const id = btf.firstId + own - 1
    records.mapNames(own, (offset) => writer.string(btf.nameAt(id, offset)))
    records.mapTypes(own, (type) => {
      if (!btf.has(type))
        throw malformedType(id, btf.byteOffset(id), `refers to type ${type}, the last is ${btf.idCount - 1}`)
      return type < btf.firstId ? type : type + shift
    })
    const trailing = records.words.subarray(records.trailing(own), records.end(own))
    writer.add(records.name(own), records.info(own), records.third(own), trailing)
  }
}
