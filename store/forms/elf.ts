import type { Arch } from '../../core/kernel.ts'

/** `e_machine` and the byte order of each architecture's kernels (elf.h; the processor ABIs). */
const MACHINES: Readonly<Record<Arch, { readonly machine: number; readonly littleEndian: boolean }>> = {
  x86_64: { machine: 62, littleEndian: true },
  aarch64: { machine: 183, littleEndian: true },
  s390x: { machine: 22, littleEndian: false },
  ppc64le: { machine: 21, littleEndian: true },
  riscv64: { machine: 243, littleEndian: true },
}

const EHDR_BYTES = 64
const SHDR_BYTES = 64
const ET_REL = 1
const EV_CURRENT = 1
const SHT_PROGBITS = 1
const SHT_STRTAB = 3

/** The section names, and where each begins: `.BTF` at 1, `.shstrtab` at 6. */
const NAMES = new TextEncoder().encode('\0.BTF\0.shstrtab\0')

/**
 * BTF as the only content of an ELF64 object, for readers that take no raw BTF: libbpf's default paths before 1.1,
 * cilium/ebpf's before 0.12.3. Layout: ELF header, `.BTF`, `.shstrtab`, section headers (gABI chapters 4.1 and 4.8).
 */
export function elfWithBtf(btf: Uint8Array, arch: Arch): Uint8Array {
  const { machine, littleEndian } = MACHINES[arch]
  const namesAt = EHDR_BYTES + btf.byteLength
  const sectionsAt = Math.ceil((namesAt + NAMES.byteLength) / 8) * 8
  const elf = new Uint8Array(sectionsAt + 3 * SHDR_BYTES)
  const view = new DataView(elf.buffer)
  const u16 = (at: number, value: number): void => view.setUint16(at, value, littleEndian)
  const u32 = (at: number, value: number): void => view.setUint32(at, value, littleEndian)
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), littleEndian)

  // ELFCLASS64, byte order, version; the rest of e_ident is 0.
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, littleEndian ? 1 : 2, EV_CURRENT])
  u16(16, ET_REL)
  u16(18, machine)
  u32(20, EV_CURRENT)
  u64(40, sectionsAt)
  u16(52, EHDR_BYTES)
  u16(58, SHDR_BYTES)
  u16(60, 3)
  u16(62, 2)
  elf.set(btf, EHDR_BYTES)
  elf.set(NAMES, namesAt)

  const section = (
    index: number,
    name: number,
    type: number,
    at: number,
    size: number,
    align: number,
  ): void => {
    const header = sectionsAt + index * SHDR_BYTES
    u32(header, name)
    u32(header + 4, type)
    u64(header + 24, at)
    u64(header + 32, size)
    u64(header + 48, align)
  }
  section(1, 1, SHT_PROGBITS, EHDR_BYTES, btf.byteLength, 8)
  section(2, 6, SHT_STRTAB, namesAt, NAMES.byteLength, 1)
  return elf
}
