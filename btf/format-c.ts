import type { Btf } from './btf.ts'
import { cIdentifier, isForward, isTagged, plainNames, tagKeyword, uniqueNames } from './c-names.ts'
import { DefinitionOrder, dependenciesOf } from './c-order.ts'
import { BUILTIN_VA_LIST, CPrinter } from './c-printer.ts'
import { kfuncs } from './kfuncs.ts'
import { Kind } from './wire.ts'

/**
 * A type as C for people: members with their offset and size in bytes (`offset:bit` for bitfields), holes named, as
 * pahole shows it. `which` is an id or a name, which may have its keyword before it (`struct sock`). Several types of
 * that name come one after the other. Null where there is none of that name; throws BtfError `MALFORMED` for an id that
 * is not there and for types that C cannot have.
 */
export function formatType(btf: Btf, which: number | string): string | null {
  if (typeof which === 'number') return typeText(btf, which)
  const [, keyword, name = ''] = /^(?:(struct|union|enum)\s+)?(.*)$/s.exec(which.trim()) ?? []
  const texts = btf
    .idsByName(name)
    .filter((id) => keyword === undefined || (isTaggedOrFwd(btf, id) && tagKeyword(btf, id) === keyword))
    .map((id) => typeText(btf, id))
  return texts.length === 0 ? null : texts.join('\n\n')
}

function typeText(btf: Btf, id: number): string {
  const printer = new CPrinter(btf, plainNames(btf), { comments: true })
  const kind = btf.kind(id)
  switch (kind) {
    case Kind.STRUCT:
    case Kind.UNION:
      return `${printer.definition(id)}; /* size: ${btf.sizeOrType(id)}, members: ${btf.vlen(id)} */`
    case Kind.ENUM:
    case Kind.ENUM64:
      if (isForward(btf, id)) return `enum ${btf.name(id)}; /* size: ${btf.sizeOrType(id)} */`
      return `${printer.definition(id)}; /* size: ${btf.sizeOrType(id)}, values: ${btf.vlen(id)} */`
    case Kind.TYPEDEF:
      return `${printer.typedef(id)};`
    case Kind.FUNC:
      return `${functionText(btf, printer, id)};`
    case Kind.VAR:
      return `${printer.declaration(btf.sizeOrType(id), btf.name(id))};`
    case Kind.DATASEC:
      return `/* section ${btf.name(id)}, size: ${btf.sizeOrType(id)}, variables: ${btf.vlen(id)} */`
    case Kind.DECL_TAG:
      return `/* tag ${JSON.stringify(btf.name(id))} of type ${btf.sizeOrType(id)} */`
    default:
      return `${printer.declaration(id, '')};`
  }
}

/**
 * A header with all types of a BTF, as `bpftool btf dump … format c` makes a vmlinux.h: each defined before it is
 * used, once, with the attributes and padding that give it its layout under clang for BPF, and kfuncs declared. Of
 * split BTF, its own types and those of the base that they need. A 32-bit kernel's pointers are larger for BPF: its
 * header needs CO-RE. Lines without their newline; one definition at a time
 * is in memory. Throws BtfError `MALFORMED` for types that C cannot have, `LIMIT` for dumps that do not end.
 */
export function* formatHeader(btf: Btf): Generator<string> {
  const names = uniqueNames(btf)
  const printer = new CPrinter(btf, names, { comments: false })
  const order = new DefinitionOrder(btf)
  const declared = new Set<string>()

  const declare = function* (ids: readonly number[]): Generator<string> {
    for (const id of ids) {
      const text = `${tagKeyword(btf, id)} ${names.tag(id)}`
      if (declared.has(text)) continue
      declared.add(text)
      yield* [`${text};`, '']
    }
  }
  const define = function* (root: number): Generator<string> {
    for (const { id, declarations } of order.upTo(root)) {
      yield* declare(declarations)
      if (btf.kind(id) === Kind.TYPEDEF) {
        if (btf.name(id) !== BUILTIN_VA_LIST) yield* typedefLines(btf, printer, id)
      } else if (!isForward(btf, id)) {
        declared.add(`${tagKeyword(btf, id)} ${names.tag(id)}`)
        yield* enumGuard(btf, id, `${printer.definition(id)};`)
      }
    }
  }

  yield* PROLOGUE
  for (let id = btf.firstId; id < btf.idCount; id++) {
    const kind = btf.kind(id)
    if ((isTagged(kind) && btf.nameOffset(id) !== 0) || kind === Kind.TYPEDEF) yield* define(id)
  }
  for (let id = btf.firstId; id < btf.idCount; id++) {
    const kind = btf.kind(id)
    const isLeft = (kind === Kind.ENUM || kind === Kind.ENUM64) && !printer.inlined.has(id)
    if (isLeft && btf.nameOffset(id) === 0 && !isForward(btf, id)) {
      yield* enumGuard(btf, id, `${printer.definition(id)};`)
    }
  }
  yield* KFUNC_PROLOGUE
  for (const { func, isFastcall } of kfuncs(btf)) {
    const name = btf.name(func)
    if (names.isTaken(name) || cIdentifier(name) !== name) continue
    const needs = dependenciesOf(btf, btf.sizeOrType(func))
    for (const id of needs.definitions) yield* define(id)
    yield* declare(needs.declarations)
    yield `extern ${functionText(btf, printer, func)} __weak __ksym${isFastcall ? ' __bpf_fastcall' : ''};`
  }
  yield* EPILOGUE
}

function functionText(btf: Btf, printer: CPrinter, func: number): string {
  const proto = btf.sizeOrType(func)
  return printer.declaration(btf.sizeOrType(proto), `${btf.name(func)}(${printer.parameters(proto)})`)
}

function isTaggedOrFwd(btf: Btf, id: number): boolean {
  const kind = btf.kind(id)
  return isTagged(kind) || kind === Kind.FWD
}

/** C23 has `bool`, `true` and `false` as keywords, which the kernel defines for itself. */
const BEFORE_C23 = '#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202000L'

function* typedefLines(btf: Btf, printer: CPrinter, id: number): Generator<string> {
  const lines = `${printer.typedef(id)};`.split('\n')
  yield* btf.name(id) === 'bool' ? [BEFORE_C23, ...lines, '#endif', ''] : [...lines, '']
}

function* enumGuard(btf: Btf, id: number, text: string): Generator<string> {
  const lines = text.split('\n')
  const type = btf.type(id)
  const guarded =
    (type.kind === 'enum' || type.kind === 'enum64') &&
    type.values.some((value) => value.name === 'true' || value.name === 'false')
  yield* guarded ? [BEFORE_C23, ...lines, '#endif', ''] : [...lines, '']
}

const PROLOGUE = `#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef __has_attribute
#define __has_attribute(x) 0
#endif

#if __has_attribute(btf_type_tag)
#define __btf_type_tag(x) __attribute__((btf_type_tag(x)))
#else
#define __btf_type_tag(x)
#endif

#ifdef __BPF_FEATURE_ADDR_SPACE_CAST
#define __btf_attribute(x) __attribute__((x))
#else
#define __btf_attribute(x)
#endif

#if !defined(BPF_NO_PRESERVE_ACCESS_INDEX) && __has_attribute(preserve_access_index)
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif
`.split('\n')

const KFUNC_PROLOGUE = `#ifndef BPF_NO_KFUNC_PROTOTYPES
#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif
`.split('\n')

const EPILOGUE = `#endif /* BPF_NO_KFUNC_PROTOTYPES */

#if !defined(BPF_NO_PRESERVE_ACCESS_INDEX) && __has_attribute(preserve_access_index)
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */`.split('\n')
