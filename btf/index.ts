/** The BTF codec: reads, checks, writes and prints BTF, and as much of ELF as holds it. No files, no network. */
export { Btf, parseBtf } from './btf.ts'
export { ByteReader, type Endian } from './bytes.ts'
export { checkCycles } from './cycles.ts'
export { COMPAT_LEVELS, type CompatLevel, lowerBtf } from './compat.ts'
export { dedupBtf, type DedupOptions, withoutKabiNumber } from './dedup.ts'
export { diffTypes } from './diff.ts'
export type * from './diff-types.ts'
export {
  buildIdOf,
  type Elf,
  ElfMachine,
  type ElfNote,
  type ElfSection,
  type ElfSegment,
  findSection,
  isElf,
  parseElf,
  PT_LOAD,
  PT_NOTE,
  type ReadAt,
  readElf,
  readNotes,
  sectionBytes,
  SHT_NOBITS,
  SHT_NOTE,
  SHT_REL,
  SHT_SYMTAB,
} from './elf.ts'
export { BtfWriter, encodeBtf, encodeType } from './encode.ts'
export { BtfError, type BtfErrorCode } from './errors.ts'
export { formatDiff } from './format-diff.ts'
export { formatHeader, formatType } from './format-c.ts'
export { formatJson, formatJsonType } from './format-json.ts'
export { formatRaw, formatRawType } from './format-raw.ts'
export { type BtfExt, type CoreRelo, type FuncInfo, parseBtfExt } from './ext-info.ts'
export { layoutDigest } from './layout-digest.ts'
export {
  findMember,
  type FoundMember,
  isModifier,
  memberSpot,
  type MemberSpot,
  sizeOf,
  skipModifiersAndTypedefs,
} from './layout.ts'
export { loadBtf, rawBtf } from './load.ts'
export { mergeBtf } from './merge.ts'
export { nameEquals } from './name-equals.ts'
export { essentialName } from './name-index.ts'
export { relocateSplit } from './relocate.ts'
export { checkOnBase } from './split.ts'
export { StringTable } from './strings.ts'
export type * from './types.ts'
export { validateBtf } from './validate.ts'
export { type BtfHeader, btfEndian, Kind, kindName, makeInfo, readBtfHeader } from './wire.ts'
