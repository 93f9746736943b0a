import { describe, expect, it } from 'vitest'
import { paholeFlags } from './pahole-flags.ts'

const OLD = ['btf_encode_detached', 'btf_gen_floats', 'jobs']
const can = (
  version: string,
  options: string[],
  features: string[] = [],
): Parameters<typeof paholeFlags>[0] => ({
  version,
  options: new Set(options),
  features: new Set(features),
})
const FEATURES_127 =
  'encode_force,var,float,decl_tag,type_tag,enum64,optimized_func,consistent_func,decl_tag_kfuncs,reproducible_build,distilled_base'

describe('paholeFlags', () => {
  it.each([
    ['1.21, which writes BTF into the ELF only', can('1.21', ['btf_gen_floats']), null],
    ['1.22', can('1.22', OLD), ['--btf_gen_floats', '-j1']],
    [
      '1.24, as Debian 12 has it',
      can('1.24', [...OLD, 'lang_exclude', 'kabi_prefix']),
      ['--btf_gen_floats', '--lang_exclude=rust', '--kabi_prefix=__UNIQUE_ID_rh_kabi_hide', '-j1'],
    ],
    [
      '1.25',
      can('1.25', [...OLD, 'lang_exclude', 'skip_encoding_btf_inconsistent_proto', 'btf_gen_optimized']),
      [
        '--btf_gen_floats',
        '--skip_encoding_btf_inconsistent_proto',
        '--btf_gen_optimized',
        '--lang_exclude=rust',
        '-j1',
      ],
    ],
    [
      '1.26, whose jobs still race',
      can('1.26', [...OLD, 'lang_exclude', 'btf_features'], ['encode_force', 'var', 'float']),
      ['--btf_features=encode_force,var,float', '--lang_exclude=rust', '-j1'],
    ],
    [
      '1.27, which has all cores and the same bytes',
      can('1.27', [...OLD, 'lang_exclude', 'btf_features'], FEATURES_127.split(',')),
      [
        '--btf_features=encode_force,var,float,enum64,decl_tag,type_tag,optimized_func,consistent_func,decl_tag_kfuncs,reproducible_build',
        '--lang_exclude=rust',
        '-j4',
      ],
    ],
  ])('of pahole %s', (_, pahole, flags) => {
    expect(paholeFlags(pahole, 4)).toEqual(flags)
  })
})
