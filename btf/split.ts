import type { Btf } from './btf.ts'
import { MutableRecords } from './dedup-records.ts'
import { malformedType } from './errors.ts'
import { kindName } from './wire.ts'

/**
 * Checks that split BTF was made on its base and on no other: each name of its types is a whole string, not the rest of
 * one. Offsets of names count through the base's strings and on, so on a base with a string more or less, or with
 * strings of other lengths, names begin in the middle of others. `validateBtf` sees to it that references hold.
 * Throws BtfError `MALFORMED`, `UNSUPPORTED` for kinds that only a layout section describes.
 */
export function checkOnBase(split: Btf): void {
  const records = new MutableRecords(split)
  for (let own = 1; own < records.idCount; own++) {
    records.mapNames(own, (offset) => {
      const table = split.strings.tableOf(offset)
      const at = offset - (table?.start ?? 0)
      if (offset === 0 || (table !== null && (at === 0 || table.bytes[at - 1] === 0))) return offset
      const id = split.firstId + own - 1
      const name = table === null ? '' : ` ${JSON.stringify(table.at(offset))}`
      throw malformedType(
        id,
        split.byteOffset(id),
        `${kindName(split.kind(id))} has a name${name} at ${offset} that starts in no string: made on another base`,
      )
    })
  }
}
