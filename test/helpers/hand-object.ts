/** Objects and kernels made of types by hand, without compiler and ELF. */
import { type Btf, type BtfType, encodeBtf, type Endian, parseBtf } from '../../btf/index.ts'
import type { BpfObject, Relocation } from '../../minimize/index.ts'

/** A BTF of these types, whose ids are their places, from 1. */
export function btfOf(types: readonly BtfType[], endian: Endian = 'little'): Btf {
  return parseBtf(encodeBtf(types, endian))
}

/** Kind, root type and access string of a relocation. */
export type HandRelo = readonly [kind: number, typeId: number, access?: string]

/** An object of these types and relocations; instructions take every value. */
export function objectOf(
  types: readonly BtfType[],
  relos: readonly HandRelo[],
  endian: Endian = 'little',
): BpfObject {
  return {
    name: 'by-hand.bpf.o',
    endian,
    btf: btfOf(types, endian),
    relocations: relos.map(([kind, typeId, access = '0'], number): Relocation => ({
      section: 'raw_tp/x',
      insnOffset: number * 8,
      typeId,
      access,
      kind,
      number,
      functionName: 'handler',
      functionOffset: number * 8,
      opcode: null,
    })),
    lacks: null,
  }
}
