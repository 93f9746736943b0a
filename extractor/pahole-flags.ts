/** What an installed pahole can do. */
export interface PaholeAbilities {
  /** `1.24`. */
  readonly version: string
  /** Long options of its `--help`, without dashes. */
  readonly options: ReadonlySet<string>
  /** What `--supported_btf_features` lists (1.26 and later); empty before. */
  readonly features: ReadonlySet<string>
}

/**
 * What kernels are encoded with since 6.9 (scripts/Makefile.btf), in its order. `attributes`, `global_var`, `layout`
 * and `distilled_base` stay out: readers of today choke on some of them.
 */
const FEATURES = [
  'encode_force',
  'var',
  'float',
  'enum64',
  'decl_tag',
  'type_tag',
  'optimized_func',
  'consistent_func',
  'decl_tag_kfuncs',
]
const REPRODUCIBLE = 'reproducible_build'

/** Options of the time before features, as scripts/pahole-flags.sh of Linux 6.5 has them for pahole 1.21 to 1.25. */
const OPTIONS = ['btf_gen_floats', 'skip_encoding_btf_inconsistent_proto', 'btf_gen_optimized']

/**
 * Macros of RHEL-family kernels (include/linux/rh_kabi.h) hide what a member replaced in a struct whose name has the
 * preprocessor's `__COUNTER__` at its end. It differs from unit to unit, and with it every struct that such a struct
 * is part of: CentOS 8's arm64 kernel of 2019 has 476 of `task_struct`. With this pahole takes the number off. That
 * EL 7 has two is not these macros' doing: two files define a `struct ring_buffer`, to which `perf_event` points.
 */
const KABI_PREFIX = '__UNIQUE_ID_rh_kabi_hide'

/**
 * Flags that make the BTF that a kernel of today would have, and always the same bytes. Several jobs do that only
 * with the feature `reproducible_build` (1.27): before it, threads race for which file's prototype of a static
 * function is kept, and order and number of types differ from run to run. Null where this pahole cannot write BTF to
 * a file of its own (before 1.22).
 */
export function paholeFlags(pahole: PaholeAbilities, jobs: number): string[] | null {
  if (!pahole.options.has('btf_encode_detached')) return null
  const flags: string[] = []
  const features = FEATURES.filter((feature) => pahole.features.has(feature))
  const isReproducible = pahole.features.has(REPRODUCIBLE)
  if (features.length > 0) {
    flags.push(`--btf_features=${[...features, ...(isReproducible ? [REPRODUCIBLE] : [])].join(',')}`)
  } else {
    flags.push(...OPTIONS.filter((option) => pahole.options.has(option)).map((option) => `--${option}`))
  }
  // Rust's types are not what C programs relocate against, and old readers refuse their names.
  if (pahole.options.has('lang_exclude')) flags.push('--lang_exclude=rust')
  if (pahole.options.has('kabi_prefix')) flags.push(`--kabi_prefix=${KABI_PREFIX}`)
  flags.push(`-j${isReproducible ? Math.max(1, jobs) : 1}`)
  return flags
}
