import { z } from 'zod'
import { limits } from '../core/limits.ts'
import { VERIFIED } from '../core/provenance.ts'

/**
 * What goes over the wire between a hub and its clients, as schemas. Names are `snake_case`, digests are sha256 in
 * lower-case hex, sizes are bytes, times ISO 8601 in UTC. Answers may get more fields; requests with fields that a hub
 * does not know are refused, so that no question is answered in part.
 */

/** Headers that say what a BTF response is. */
export const header = {
  /** `debian/12/x86_64/6.1.0-47-amd64`. */
  kernel: 'Btfhub-Kernel',
  /** How it was found, see {@link Match}. */
  match: 'Btfhub-Match',
  /** `embedded`, `dwarf` or `imported`. */
  origin: 'Btfhub-Origin',
  /** sha256 of the raw BTF in hex, whatever form or encoding the body has. */
  digest: 'Btfhub-Digest',
  /** `split` or `merged`; missing where it is the kernel's own BTF, or a min BTF of that. */
  variant: 'Btfhub-Variant',
  /** With `Btfhub-Variant: split`: the module. */
  module: 'Btfhub-Module',
  /** With `Btfhub-Variant: split`: sha256 of the raw BTF that it is split from. */
  base: 'Btfhub-Base',
  /** The level that it was lowered to; missing where it is as it was made. */
  compat: 'Btfhub-Compat',
  /** With `Btfhub-Match: predicted`: the kernels before and after the one that was asked for, between blanks. */
  predictedFrom: 'Btfhub-Predicted-From',
} as const

const name = z.string().min(1).max(limits.request.maxNameLength)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const time = z.iso.datetime()
const count = z.int().nonnegative()

/** Which fact found the build; `digest` where the URL named the bytes. */
export const Match = z.enum(['build-id', 'banner', 'release', 'like', 'predicted', 'digest'])
export type Match = z.infer<typeof Match>

export const Variant = z.enum(['full', 'merged', 'split'])
export type Variant = z.infer<typeof Variant>

/** What readers know, see docs/compat.md. */
export const Compat = z.enum(['native', '1.0', '0.6', '0.4', '0.3'])
export type Compat = z.infer<typeof Compat>

export const Format = z.enum(['raw', 'elf', 'gz', 'xz', 'tar.xz', 'sha256'])
export type Format = z.infer<typeof Format>

export const Kernel = z
  .object({ distro: name, version: name, arch: name, release: name })
  .meta({ id: 'Kernel', description: 'A kernel as one distribution ships it.' })
export type Kernel = z.infer<typeof Kernel>

export const Blob = z
  .object({
    digest: sha256,
    size_bytes: count,
    url: z.string().meta({ description: 'Path of the bytes on this hub.' }),
  })
  .meta({ id: 'Blob' })
export type Blob = z.infer<typeof Blob>

export const Provenance = z
  .object({
    source: z.string(),
    origin: z.enum(['embedded', 'dwarf', 'imported']),
    package_name: z.string().nullable(),
    package_version: z.string().nullable(),
    url: z.string().nullable(),
    package_sha256: sha256.nullable(),
    verified: z.enum(VERIFIED),
    build_id: z.string().nullable().meta({ description: "The running kernel's." }),
    debug_build_id: z
      .string()
      .nullable()
      .default(null)
      .meta({ description: "That of the debug package's vmlinux, where it was read; it may be another." }),
    banner: z.string().nullable(),
    pahole_version: z.string().nullable(),
    pahole_flags: z.array(z.string()).nullable(),
    warnings: z.array(z.string()),
    created_at: time,
    hub_version: z.string(),
  })
  .meta({ id: 'Provenance', description: 'Where a BTF comes from.' })
export type Provenance = z.infer<typeof Provenance>

export const Build = z
  .object({
    kernel: Kernel,
    flavour: z.string(),
    series: z.string(),
    btf: Blob,
    layout_digest: sha256.meta({
      description: 'Builds that share it are interchangeable for CO-RE relocation.',
    }),
    provenance: Provenance,
  })
  .meta({ id: 'Build', description: 'One build of a kernel, with its full BTF.' })
export type Build = z.infer<typeof Build>

export const Module = z
  .object({ name: z.string(), origin: z.enum(['embedded', 'dwarf']), btf: Blob })
  .meta({ id: 'Module', description: "Split BTF of a module, on its build's." })
export type Module = z.infer<typeof Module>

/** A build with its modules. */
export const BuildDetail = Build.extend({
  merged: Blob.nullable().meta({
    description: 'Its BTF and that of all its modules in one id space; null where they were not taken in.',
  }),
  modules: z.array(Module).meta({ description: 'By name.' }),
}).meta({ id: 'BuildDetail' })
export type BuildDetail = z.infer<typeof BuildDetail>

export const KernelDetail = Kernel.extend({
  builds: z.array(BuildDetail).meta({ description: 'Newest first.' }),
}).meta({ id: 'KernelDetail' })
export type KernelDetail = z.infer<typeof KernelDetail>

export const KernelSummary = Kernel.extend({
  builds: count,
  layouts: count.meta({
    description: 'Different layouts among the builds; above 1, a release alone is ambiguous.',
  }),
  origin: Provenance.shape.origin,
  btf: Blob,
  created_at: time,
}).meta({ id: 'KernelSummary', description: 'A kernel, and what its newest build has.' })
export type KernelSummary = z.infer<typeof KernelSummary>

export const KernelPage = z
  .object({
    kernels: z.array(KernelSummary),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'Give it as `cursor` for the next page; null at the end.' }),
  })
  .meta({ id: 'KernelPage' })
export type KernelPage = z.infer<typeof KernelPage>

const indexCounts = z.object({ new: count, unchanged: count, absent: count, failed: count })

export const Coverage = z
  .object({
    coverage: z
      .array(
        z.object({
          distro: name,
          version: name,
          arch: name,
          flavour: z.string(),
          listed: count.meta({ description: 'Builds that the distribution offers.' }),
          embedded: count,
          dwarf: count,
          other: count.meta({ description: 'Imported, or made in another way.' }),
          without_ebpf: count.meta({ description: 'Offered, but known to have no eBPF.' }),
          missing: count.meta({ description: 'Offered, and not here yet.' }),
          failed: count.meta({ description: 'Of the missing: tried, without a BTF so far.' }),
          gone: count.meta({ description: 'Here, and offered no longer.' }),
        }),
      )
      .meta({ description: 'By distribution, version, architecture and flavour.' }),
    crawls: z
      .array(
        z.object({
          source: z.string(),
          started_at: time,
          ended_at: time,
          interrupted: z.boolean(),
          known: count,
          embedded: count,
          dwarf: count,
          failed: count,
          waiting: count,
          without_ebpf: count,
          gone: count,
          indexes: indexCounts,
          requests: count,
          bytes: count,
        }),
      )
      .meta({ description: 'How the last crawl of each source went.' }),
  })
  .meta({ id: 'Coverage' })
export type Coverage = z.infer<typeof Coverage>

export const Tool = z
  .object({
    name,
    version: name,
    objects: z.array(z.object({ name: z.string(), digest: sha256, size_bytes: count })),
    created_at: time,
  })
  .meta({ id: 'Tool' })
export type Tool = z.infer<typeof Tool>

export const ToolList = z.object({ tools: z.array(Tool) }).meta({ id: 'ToolList' })
export type ToolList = z.infer<typeof ToolList>

export const ToolDetail = z
  .object({ name, versions: z.array(Tool).meta({ description: 'Newest first.' }) })
  .meta({ id: 'ToolDetail' })
export type ToolDetail = z.infer<typeof ToolDetail>

/** What an asker may say of a kernel. */
const facts = {
  arch: name.meta({ description: '`uname -m`; amd64 and arm64 are understood.' }),
  distro: name.meta({ description: 'os-release `ID`.' }),
  version: name.meta({ description: 'os-release `VERSION_ID`.' }),
  build_id: z
    .string()
    .max(130)
    .meta({ description: 'GNU build-id in hex, from /sys/kernel/notes: names one build exactly.' }),
  banner: z.string().max(1024).meta({ description: 'The text of /proc/version.' }),
  os_release: z
    .string()
    .max(16_384)
    .meta({ description: 'The text of /etc/os-release, for distro and version.' }),
  tool: name.meta({ description: 'NAME or NAME@VERSION: the min BTF of that tool.' }),
  variant: Variant.meta({
    description:
      '`full`, the default: the kernel alone. `merged`: with its modules, in one id space; also to cut min BTF of. `split`: one module.',
  }),
  module: name.meta({ description: 'The module whose split BTF is wanted; its base is `full`.' }),
  compat: Compat.meta({ description: 'What the reader knows: `native`, the default, is all there is.' }),
}

export const ResolveRequest = z
  .strictObject({
    release: name.meta({ description: '`uname -r`.' }),
    ...facts,
    like: z.boolean().meta({ description: 'Also take the BTF of what this distribution is a clone of.' }),
    predict: z.boolean().meta({
      description:
        'With `tool`, where nothing matches: a guess from the kernels before and after, where they agree.',
    }),
  })
  .partial()
  .meta({ id: 'ResolveRequest' })
export type ResolveRequest = z.infer<typeof ResolveRequest>

export const ResolveAnswer = z
  .object({
    match: Match,
    build: Build,
    btf: Blob.meta({
      description: 'What to fetch: the full BTF, or the min BTF of the tool that was asked for.',
    }),
    base: Blob.nullable().default(null).meta({ description: 'What `btf` is split from, of a module.' }),
    tool: z.string().nullable().meta({ description: 'NAME@VERSION that `btf` was made for.' }),
    predicted_from: z.tuple([Kernel, Kernel]).optional().meta({
      description: 'With match `predicted`: the kernels before and after; `build` is of the former.',
    }),
  })
  .meta({ id: 'ResolveAnswer' })
export type ResolveAnswer = z.infer<typeof ResolveAnswer>

/** The same facts in a query string. */
export const BtfQuery = z
  .strictObject({
    ...facts,
    like: z
      .enum(['0', '1'])
      .meta({ description: '1: also take the BTF of what this distribution is a clone of.' }),
    predict: z.enum(['0', '1']).meta({
      description:
        '1: with a tool, where nothing matches, a guess; answers say so. Raw bytes or `sha256` only.',
    }),
    format: Format.meta({
      description: 'Form of the bytes; `sha256` is a line for `sha256sum -c` about the raw BTF.',
    }),
  })
  .partial()
export type BtfQuery = z.infer<typeof BtfQuery>

export const MinQuery = BtfQuery.omit({ tool: true })
export type MinQuery = z.infer<typeof MinQuery>

const kernelFilter = {
  distro: name.meta({ description: 'Only kernels of this distribution (os-release `ID`).' }),
  version: name.meta({ description: 'Only of this version (os-release `VERSION_ID`).' }),
  arch: name.meta({ description: 'Only for this architecture.' }),
}

export const BundleLayout = z
  .enum(['tree', 'bcc', 'gadget', 'datadog', 'flat', 'compact'])
  .meta({ description: 'As which programs look min BTF up; docs/bundles.md has them.' })

export const BundleQuery = z.strictObject({
  layout: BundleLayout,
  distro: kernelFilter.distro.optional(),
  version: kernelFilter.version.optional(),
  arch: kernelFilter.arch.optional(),
})
export type BundleQuery = z.infer<typeof BundleQuery>

export const MinimizeQuery = MinQuery.omit({ predict: true }).extend({
  release: ResolveRequest.shape.release,
  all: z.enum(['0', '1']).optional().meta({
    description:
      '1: for all kernels of `distro`, `version` and `arch`, as one bundle of the `layout` that is said.',
  }),
  layout: BundleLayout.optional(),
})
export type MinimizeQuery = z.infer<typeof MinimizeQuery>

export const CheckQuery = z.strictObject(kernelFilter).partial()
export type CheckQuery = z.infer<typeof CheckQuery>

/** What becomes of objects on the kernels of a hub. */
export const CheckAnswer = z
  .object({
    kernels: z.array(z.string()).meta({
      description:
        '`DISTRO/VERSION/ARCH/RELEASE` of all that were checked; one with several layouts is there for each.',
    }),
    programs: z.array(
      z.object({
        object: z.string(),
        program: z.string(),
        section: z.string(),
        loads: count.meta({ description: 'On how many of the kernels.' }),
        guarded: count.meta({ description: 'On how many it lacks something that a check guards.' }),
        fails: count,
      }),
    ),
    findings: z.array(
      z.object({
        object: z.string(),
        programs: z.array(z.string()).meta({ description: 'Empty where the whole object is refused.' }),
        subject: z.string().meta({ description: '`task_struct.start_boottime`.' }),
        reason: z.enum([
          'missing-type',
          'missing-member',
          'missing-enumerator',
          'incompatible',
          'ambiguous',
          'invalid',
          'no-kernel-btf',
        ]),
        effect: z.enum(['guarded', 'fails', 'refused']),
        text: z.string().meta({ description: 'All of it in one sentence.' }),
        modules: z
          .array(z.string())
          .optional()
          .meta({ description: 'Of a missing type: modules that have it, where the hub knows them.' }),
        kernels: z
          .array(z.tuple([count, count]))
          .meta({ description: 'First and last number among `kernels`, from 0, of each run.' }),
      }),
    ),
    kernel_only: z
      .array(z.object({ object: z.string(), name: z.string(), what: z.string() }))
      .meta({ description: 'What no file can serve on a kernel without BTF of its own.' }),
  })
  .meta({ id: 'CheckAnswer' })
export type CheckAnswer = z.infer<typeof CheckAnswer>

export const KernelsQuery = z
  .strictObject({
    distro: name,
    version: name,
    arch: name,
    release: name,
    origin: Provenance.shape.origin,
    q: name.meta({ description: 'A part of the release.' }),
    limit: z.coerce.number().int().min(1).max(limits.request.maxPageSize),
    cursor: z.string().max(1024),
  })
  .partial()
export type KernelsQuery = z.infer<typeof KernelsQuery>

export const TypesQuery = KernelsQuery.pick({ distro: true, version: true, arch: true, q: true })
export type TypesQuery = z.infer<typeof TypesQuery>

const typeText = {
  layout: sha256.meta({ description: 'Of `c`: kernels that share it have the type laid out alike.' }),
  c: z.string().meta({ description: 'As C, with the offset and size of each member.' }),
}

export const KernelType = z
  .object({ name: z.string(), kernel: Kernel, ...typeText })
  .meta({ id: 'KernelType', description: 'One type of a kernel.' })
export type KernelType = z.infer<typeof KernelType>

const kernelPaths = z.array(z.string()).meta({ description: 'DISTRO/VERSION/ARCH/RELEASE each.' })

export const TypeOverKernels = z
  .object({
    name: z.string(),
    layouts: z
      .array(z.object({ ...typeText, kernels: kernelPaths }))
      .meta({ description: 'By how many kernels have them, most first; of each kernel its newest build.' }),
    without: kernelPaths.meta({ description: 'Kernels that have no such type.' }),
    pending: count.meta({
      description: 'Kernels that were not looked at yet: ask again after `Retry-After`.',
    }),
  })
  .meta({ id: 'TypeOverKernels' })
export type TypeOverKernels = z.infer<typeof TypeOverKernels>

/**
 * Why a hub says no, stable from version to version. docs/http.md tells what each means and which status it has.
 */
export const ProblemCode = z.enum([
  'BAD_REQUEST',
  'CONTRADICTION',
  'NOT_FOUND',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'NO_ROUTE',
  'METHOD_NOT_ALLOWED',
  'AMBIGUOUS',
  'CONFLICT',
  'PRECONDITION_FAILED',
  'TOO_LARGE',
  'UNSUPPORTED_MEDIA',
  'RANGE_NOT_SATISFIABLE',
  'TOOL_UNFIT',
  'RATE_LIMITED',
  'READ_ONLY',
  'PENDING',
  'BUSY',
  'UNAVAILABLE',
  'INTERNAL',
])
export type ProblemCode = z.infer<typeof ProblemCode>

export const Choice = z
  .object({
    kernel: Kernel,
    build_id: z.string().nullable(),
    package_version: z.string().nullable(),
    digest: sha256,
    layout_digest: sha256,
    url: z.string().meta({ description: 'Path that gives this one.' }),
  })
  .meta({ id: 'Choice', description: 'One of several builds that match.' })
export type Choice = z.infer<typeof Choice>

/** RFC 9457 problem details, with a stable code. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: ProblemCode,
    choices: z.array(Choice).optional().meta({ description: 'With AMBIGUOUS: what there is.' }),
    tells_apart: z
      .array(z.string())
      .optional()
      .meta({ description: 'With AMBIGUOUS: facts that would tell the choices apart.' }),
    nearest: z
      .array(Kernel)
      .optional()
      .meta({ description: 'With NOT_FOUND: similar names, as information only.' }),
    retry_after: count
      .optional()
      .meta({ description: 'With PENDING: after how many seconds to ask again, as `Retry-After` says.' }),
  })
  .meta({ id: 'Problem' })
export type Problem = z.infer<typeof Problem>

/**
 * The signed index of a hub: what is in the payload of `/v1/index.json` (core/signed-index). It names the documents below
 * by digest; they and all that they name are had at `/v1/blobs/sha256/{digest}`, from a hub or a tree of plain files.
 */
export const SignedIndex = z.object({
  format: z.literal(1),
  /** Grows with every index. */
  version: count,
  created_at: time,
  /** Nobody vouches for it any more from then on. */
  expires_at: time,
  hub_version: z.string(),
  /** How many builds there are. */
  builds: count,
  /** NAME@VERSION, by name, the newest version of each first. */
  tools: z.array(z.string()),
  /** {@link ToolList}, in the same order. */
  tool_list: sha256,
  /** {@link BuildShard} each; a build is in that of its release (core/signed-index/shards.ts). */
  release_shards: z.array(sha256).min(1),
  /** {@link BuildIdShard} each. */
  build_id_shards: z.array(sha256).min(1),
  /** Of a tree of plain files: every file with its sha256, as `sha256sum -c` reads it; null elsewhere. */
  manifest: sha256.nullable(),
  /** The same: the symbolic links of the tree and their targets. */
  links: z.record(z.string(), z.string()),
})
export type SignedIndex = z.infer<typeof SignedIndex>

export const IndexedBuild = Build.extend({
  id: count,
  /** What no two builds of a hub share. */
  key: z.string(),
  /** For each tool of the index, which of the shard's `contents` is its min BTF; -1 where there is none. */
  min: z.array(z.int().min(-1)),
  /** Its {@link ModuleList}; null where its modules are not here. */
  modules: sha256.nullable().default(null),
})
export type IndexedBuild = z.infer<typeof IndexedBuild>

export const BuildShard = z.object({
  builds: z.array(IndexedBuild),
  contents: z.array(z.object({ digest: sha256, size_bytes: count })),
})
export type BuildShard = z.infer<typeof BuildShard>

/** The modules of a build, by name, and both in one id space. */
export const ModuleList = z.object({
  merged: z.object({ digest: sha256, size_bytes: count }),
  merged_layout: sha256,
  modules: z.array(
    z.object({ name: z.string(), origin: Module.shape.origin, digest: sha256, size_bytes: count }),
  ),
})
export type ModuleList = z.infer<typeof ModuleList>

/** Releases of the builds with a build-id. */
export const BuildIdShard = z.record(z.string(), z.array(name))
export type BuildIdShard = z.infer<typeof BuildIdShard>

/** How far the min BTF of a tool have come. */
export const ToolProgress = z
  .object({
    tool: Tool,
    state: z
      .enum(['ready', 'working', 'waiting'])
      .meta({ description: '`waiting`: nobody is making what is missing just now.' }),
    done: count.meta({ description: 'Different BTFs of kernels that are dealt with.' }),
    total: count.meta({ description: 'Different BTFs of kernels.' }),
    unfit: count.meta({ description: 'Those of `done` that the tool does not fit.' }),
  })
  .meta({ id: 'ToolProgress' })
export type ToolProgress = z.infer<typeof ToolProgress>
