/** What the records mean. Ids refer to the same BTF (or its base); 0 is void. */

/** A number of bits, where everything else counts bytes. */
export type Bits = number

export interface BtfMember {
  readonly name: string
  readonly typeId: number
  /** From the start of the struct. */
  readonly offsetBits: Bits
  /** 0 where it is no bitfield, or where a legacy INT carries the width. */
  readonly bitfieldBits: Bits
}

export interface BtfEnumerator {
  readonly name: string
  readonly value: bigint
}

export interface BtfParam {
  readonly name: string
  readonly typeId: number
}

export interface BtfSecVar {
  readonly typeId: number
  readonly offset: number
  readonly sizeBytes: number
}

interface Common {
  readonly id: number
  /** Empty where it is anonymous. */
  readonly name: string
}

export type IntEncoding = 'unsigned' | 'signed' | 'char' | 'bool'

export type BtfType =
  | (Common & { readonly kind: 'void' })
  | (Common & {
      readonly kind: 'int'
      readonly sizeBytes: number
      readonly bits: Bits
      readonly offsetBits: Bits
      /** Raw encoding bits: 1 signed, 2 char, 4 bool. */
      readonly encoding: number
    })
  | (Common & {
      readonly kind: 'ptr' | 'volatile' | 'const' | 'restrict' | 'typedef'
      readonly typeId: number
    })
  | (Common & { readonly kind: 'type_tag'; readonly typeId: number; readonly isAttribute: boolean })
  | (Common & {
      readonly kind: 'array'
      readonly typeId: number
      readonly indexTypeId: number
      readonly length: number
    })
  | (Common & {
      readonly kind: 'struct' | 'union'
      readonly sizeBytes: number
      readonly members: readonly BtfMember[]
      /** kind_flag: whether members carry bitfield sizes; kept so that a copy is equal. */
      readonly hasBitfieldSizes: boolean
    })
  | (Common & {
      readonly kind: 'enum' | 'enum64'
      readonly sizeBytes: number
      readonly isSigned: boolean
      readonly values: readonly BtfEnumerator[]
    })
  | (Common & { readonly kind: 'fwd'; readonly isUnion: boolean })
  | (Common & { readonly kind: 'func'; readonly typeId: number; readonly linkage: number })
  | (Common & {
      readonly kind: 'func_proto'
      readonly typeId: number
      /** The last one is void and nameless where the function takes a variable number. */
      readonly params: readonly BtfParam[]
    })
  | (Common & { readonly kind: 'var'; readonly typeId: number; readonly linkage: number })
  | (Common & { readonly kind: 'datasec'; readonly sizeBytes: number; readonly vars: readonly BtfSecVar[] })
  | (Common & { readonly kind: 'float'; readonly sizeBytes: number })
  | (Common & {
      readonly kind: 'decl_tag'
      readonly typeId: number
      /** Member or parameter that it is about; -1 for the whole. */
      readonly componentIndex: number
      readonly isAttribute: boolean
    })
  /** A kind that only the layout section describes. `words` is the record behind its first three words. */
  | (Common & {
      readonly kind: 'unknown'
      readonly kindNumber: number
      readonly kindFlag: boolean
      readonly vlen: number
      readonly sizeOrType: number
      readonly words: readonly number[]
    })
