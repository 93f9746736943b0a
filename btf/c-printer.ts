import { limits } from '../core/limits.ts'
import type { Btf } from './btf.ts'
import { CLayout, type Gap, holesOf, membersOf, paddingOf, type Placement } from './c-layout.ts'
import { cIdentifier, type CNames, isForward, isTagged, NameSpace, tagKeyword } from './c-names.ts'
import { builtinTypeText, scalarText } from './c-scalars.ts'
import { BtfError, malformedType } from './errors.ts'
import type { MemberSpot } from './layout.ts'
import { nameEquals } from './name-equals.ts'
import { Kind, kindName } from './wire.ts'

/** clang declares it itself, and not as most kernels' compilers do. */
export const BUILTIN_VA_LIST = '__builtin_va_list'

export interface CPrinterOptions {
  /**
   * True for text that is read: holes are named and members carry `offset size` in bytes, as in pahole's output.
   * False for text that is compiled: holes are filled so that the layout comes out as it is.
   */
  readonly comments: boolean
  /** True to name anonymous types `struct {...}` instead of writing them out. */
  readonly elideAnonymous?: boolean
}

/** Where in a definition something is printed. */
interface Place {
  /** Of the line that it begins on. */
  readonly indent: string
  /** From the start of the outermost struct. */
  readonly baseBits: number
  readonly depth: number
  /** Set for a member without a name: its own members are reached through the struct around it. */
  readonly around: NameSpace | null
}

const TOP: Place = { indent: '', baseBits: 0, depth: 0, around: null }

/** Prints types of one BTF as C. One of these counts what one dump prints against `limits.btf`. */
export class CPrinter {
  readonly layout: CLayout
  /** Anonymous enums that were printed inside of something. */
  readonly inlined = new Set<number>()
  readonly #btf: Btf
  readonly #names: CNames
  readonly #comments: boolean
  readonly #elideAnonymous: boolean
  #steps = 0
  #stepsOfOne = 0

  constructor(btf: Btf, names: CNames, options: CPrinterOptions) {
    this.#btf = btf
    this.#names = names
    this.#comments = options.comments
    this.#elideAnonymous = options.elideAnonymous ?? false
    this.layout = new CLayout(btf)
  }

  /**
   * The definition of a named struct, union or enum without its `;`. Throws BtfError `MALFORMED` for types that C
   * cannot have, `LIMIT` for dumps that do not end.
   */
  definition(id: number): string {
    this.#stepsOfOne = 0
    return this.#definition(id, this.#names.tag(id), TOP)
  }

  /** `typedef int (*name)(void)`, without a `;`. */
  typedef(id: number): string {
    return `typedef ${this.declaration(this.#btf.sizeOrType(id), this.#names.typedef(id))}`
  }

  /**
   * The declaration of `declarator` as something of a type; an empty one gives the type's own name, as in a cast.
   * Anonymous types are printed where they stand. Throws as {@link definition}.
   */
  declaration(id: number, declarator: string): string {
    this.#stepsOfOne = 0
    return this.#declaration(id, declarator, TOP)
  }

  /** `int a, struct b *c`, for a function's prototype. */
  parameters(proto: number): string {
    this.#stepsOfOne = 0
    return this.#parameters(proto, TOP, true)
  }

  #declaration(id: number, declarator: string, place: Place): string {
    const btf = this.#btf
    let [at, inner] = [id, declarator]
    let qualifiers = ''
    let behindPointer = false
    let isValue = true
    for (let depth = place.depth; ; depth++) {
      this.#step(id, depth)
      const kind = btf.kind(at)
      switch (kind) {
        case Kind.CONST:
          qualifiers = addQualifier(qualifiers, 'const ')
          at = btf.sizeOrType(at)
          break
        case Kind.VOLATILE:
          qualifiers = addQualifier(qualifiers, 'volatile ')
          at = btf.sizeOrType(at)
          break
        case Kind.RESTRICT:
          at = btf.sizeOrType(at)
          // C17 6.7.3: only pointers are restrict-qualified.
          if (btf.kind(at) === Kind.PTR) qualifiers = addQualifier(qualifiers, 'restrict ')
          break
        case Kind.TYPE_TAG:
          qualifiers += typeTag(btf.name(at), btf.kindFlag(at))
          at = btf.sizeOrType(at)
          break
        case Kind.PTR:
          inner = `*${qualifiers}${inner}`
          qualifiers = ''
          behindPointer = true
          isValue = false
          at = btf.sizeOrType(at)
          break
        case Kind.ARRAY:
          inner = `${behindPointer ? `(${inner})` : inner}[${btf.word(at, 5)}]`
          behindPointer = false
          at = btf.word(at, 3)
          break
        case Kind.FUNC_PROTO:
          inner = `${behindPointer ? `(${inner})` : inner}(${this.#parameters(at, { ...place, depth })})`
          // gcc marks noreturn functions by qualifying their type, which C has no words for.
          qualifiers = ''
          behindPointer = false
          isValue = false
          at = btf.sizeOrType(at)
          break
        case Kind.TYPEDEF:
          // A member without a name is a struct whose members count as those of the struct around it.
          if (isValue && (place.around !== null || this.#isBuiltinVaList(at))) {
            at = btf.sizeOrType(at)
            break
          }
          return join(qualifiers, this.#names.typedef(at), inner)
        default: {
          const inside = isValue ? { ...place, depth } : { ...place, depth, baseBits: 0 }
          return join(qualifiers, this.#specifier(at, inside), inner)
        }
      }
    }
  }

  #parameters(proto: number, place: Place, named = false): string {
    const btf = this.#btf
    const count = btf.vlen(proto)
    const texts: string[] = []
    for (let i = 0; i < count; i++) {
      const [nameOffset, type] = [btf.word(proto, 3 + i * 2), btf.word(proto, 4 + i * 2)]
      if (type === 0 && i === count - 1) {
        // clang for BPF writes `(void)` as a single void, and everybody else writes that as none at all.
        if (count > 1) texts.push('...')
        break
      }
      const name = named ? cIdentifier(btf.nameAt(proto, nameOffset)) : ''
      const inside = { ...place, baseBits: 0, depth: place.depth + 1, around: null }
      texts.push(this.#declaration(type, this.#names.isTaken(name) ? '' : name, inside))
    }
    return texts.length === 0 ? 'void' : texts.join(', ')
  }

  /** What stands in front of a declarator: the words that name or define a type. */
  #specifier(id: number, place: Place): string {
    const btf = this.#btf
    const kind = btf.kind(id)
    if (kind === 0) return 'void'
    if (kind === Kind.INT || kind === Kind.FLOAT) return scalarText(btf, id, this.layout.pointerBytes)
    if (kind === Kind.FWD) return `${tagKeyword(btf, id)} ${this.#names.tag(id)}`
    if (isTagged(kind)) {
      // C has no forward declaration of enums; the only thing that is known of such a one is its size.
      if (isForward(btf, id) && kind !== Kind.STRUCT && kind !== Kind.UNION) {
        return builtinTypeText(btf.sizeOrType(id)) ?? 'unsigned int'
      }
      const name = this.#names.tag(id)
      if (name === '' && this.#elideAnonymous) return `${tagKeyword(btf, id)} {...}`
      // A named struct as a member without a name (-fms-extensions) is as good as one without a tag.
      if (name !== '' && place.around === null) return `${tagKeyword(btf, id)} ${name}`
      return this.#definition(id, '', { ...place, depth: place.depth + 1 })
    }
    throw malformedType(id, btf.byteOffset(id), `${kindName(kind)} has no place in a declaration`)
  }

  #definition(id: number, tag: string, place: Place): string {
    const kind = this.#btf.kind(id)
    return kind === Kind.STRUCT || kind === Kind.UNION
      ? this.#composite(id, tag, place)
      : this.#enumeration(id, tag, place.indent)
  }

  #composite(id: number, tag: string, place: Place): string {
    const btf = this.#btf
    const placement = this.layout.placement(id)
    const space = place.around ?? new NameSpace()
    const gaps = this.#comments ? holesOf(btf, id, (type) => this.layout.sizeOf(type)) : placement.gaps
    const members = membersOf(btf, id)
    const lines: string[] = []
    let nextGap = 0
    for (let i = 0; i <= members.length; i++) {
      const gap = gaps[nextGap]
      if (gap?.beforeMember === i) {
        nextGap++
        if (this.#comments) lines.push(gapComment(gap, i === members.length))
        else lines.push(...paddingLines(gap, placement, space))
      }
      const member = members[i]
      if (member !== undefined) lines.push(this.#memberText(id, member, place, space))
    }
    const body = lines.map((line) => `${place.indent}\t${line}\n`).join('')
    return `${head(tagKeyword(btf, id), tag)} {\n${body}${place.indent}}${attributes(placement)}`
  }

  /** A member's lines, of which the first is not indented yet and the others are. */
  #memberText(id: number, member: MemberSpot, place: Place, space: NameSpace): string {
    const name = this.#names.member(this.#btf.nameAt(id, member.nameOffset), space)
    const isUnnamed = name === '' && member.bitfieldBits === 0
    const indent = `${place.indent}\t`
    const at = place.baseBits + member.offsetBits
    const text = this.#declaration(member.typeId, name, {
      indent,
      baseBits: at,
      depth: place.depth + 1,
      around: isUnnamed ? space : null,
    })
    const width = member.bitfieldBits === 0 ? '' : `: ${member.bitfieldBits}`
    const line = `${text}${width};`
    if (!this.#comments) return line
    const offset = Math.floor(at / 8)
    const where = member.bitfieldBits === 0 ? `${offset}`.padStart(5) : `${offset}:${at % 8}`.padStart(7)
    const size = `${this.layout.sizeOf(member.typeId)}`.padStart(member.bitfieldBits === 0 ? 7 : 5)
    return `${padLastLine(line, indent, COMMENT_COLUMN)} /* ${where} ${size} */`
  }

  #enumeration(id: number, tag: string, indent: string): string {
    const btf = this.#btf
    const type = btf.type(id)
    if (type.kind !== 'enum' && type.kind !== 'enum64') {
      throw malformedType(id, btf.byteOffset(id), `${type.kind} is no enum`)
    }
    if (tag === '') this.inlined.add(id)
    const lines = type.values.map((value) => {
      this.#step(id, 0)
      return `${indent}\t${this.#names.enumerator(value.name)} = ${integerText(value.value)},\n`
    })
    const mode = ENUM_MODES[type.sizeBytes]
    const attribute = mode === undefined ? '' : ` __attribute__((mode(${mode})))`
    return `${head('enum', tag)} {\n${lines.join('')}${indent}}${attribute}`
  }

  #isBuiltinVaList(id: number): boolean {
    const btf = this.#btf
    let at = id
    for (let steps = 0; btf.kind(at) === Kind.TYPEDEF && steps < limits.btf.maxDepth; steps++) {
      if (nameEquals(btf.strings, btf.nameOffset(at), BUILTIN_VA_LIST)) return true
      at = btf.sizeOrType(at)
    }
    return false
  }

  #step(id: number, depth: number): void {
    if (depth > limits.btf.maxDepth) {
      throw malformedType(id, this.#btf.byteOffset(id), `nested deeper than ${limits.btf.maxDepth}`)
    }
    const { maxDefinitionSteps, maxDumpSteps } = limits.btf
    if (++this.#stepsOfOne > maxDefinitionSteps) {
      throw new BtfError('LIMIT', `type id ${id}: more than ${maxDefinitionSteps} parts of one definition`)
    }
    if (++this.#steps > maxDumpSteps) {
      throw new BtfError('LIMIT', `type id ${id}: more than ${maxDumpSteps} parts in all`)
    }
  }
}

/** gcc's machine modes make an enum as wide as it is said to be; 4 bytes are what C gives it anyway. */
const ENUM_MODES: Readonly<Record<number, string>> = { 1: 'QI', 2: 'HI', 8: 'DI' }

function gapComment(gap: Gap, isLast: boolean): string {
  const bits = gap.toBits - gap.fromBits
  const parts = [
    ...(bits >= 8 ? [`${Math.floor(bits / 8)} bytes`] : []),
    ...(bits % 8 > 0 ? [`${bits % 8} bits`] : []),
  ]
  return `/* ${isLast ? 'padding' : 'hole'}: ${parts.join(', ')} */`
}

function paddingLines(gap: Gap, placement: Placement, space: NameSpace): string[] {
  return [...paddingOf(gap, placement)].map((padding) =>
    'arrayBytes' in padding
      ? `unsigned char ${space.claim('__btf_padding')}[${padding.arrayBytes}];`
      : `${builtinTypeText(padding.unitBits / 8)}: ${padding.bits};`,
  )
}

/** An integer constant: C has no negative ones, so the least of all has to be computed. */
function integerText(value: bigint): string {
  if (value === -(2n ** 63n)) return '-9223372036854775807LL - 1'
  return value >= 2n ** 63n ? `${value}ULL` : `${value}`
}

function head(keyword: string, tag: string): string {
  return tag === '' ? keyword : `${keyword} ${tag}`
}

function attributes(placement: Placement): string {
  const all: string[] = []
  if (placement.packed) all.push('packed')
  if (placement.alignedBytes > 0) all.push(`aligned(${placement.alignedBytes})`)
  return all.length === 0 ? '' : ` __attribute__((${all.join(', ')}))`
}

function addQualifier(qualifiers: string, one: string): string {
  return qualifiers.includes(one) ? qualifiers : qualifiers + one
}

/** Macros of the header: clang knows tags from 14 on, gcc does not. Text that could end the attribute is left out. */
function typeTag(name: string, isAttribute: boolean): string {
  if (isAttribute) return /^\w+(\(\w*\))?$/.test(name) ? `__btf_attribute(${name}) ` : ''
  return /^[\w .:,-]+$/.test(name) ? `__btf_type_tag("${name}") ` : ''
}

function join(qualifiers: string, specifier: string, declarator: string): string {
  return `${qualifiers}${specifier}${declarator === '' ? '' : ' '}${declarator}`
}

const COMMENT_COLUMN = 64

/** Fills the last line with spaces up to a column. The first is not indented yet, unlike those that follow. */
function padLastLine(text: string, indent: string, column: number): string {
  const last = text.includes('\n') ? text.slice(text.lastIndexOf('\n') + 1) : indent + text
  const width = last.replace(/\t/g, '        ').length
  return text + ' '.repeat(Math.max(0, column - width))
}
