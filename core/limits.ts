const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

/**
 * Every bound on what comes from outside, with its unit and its reason. Sizes are bytes unless the name says
 * otherwise. A bound is generous against the largest real thing known, and small against what would hurt.
 */
export const limits = {
  btf: {
    /** The largest real one, CentOS 8 arm64 without deduplication, has 27 MB. */
    maxBytes: 256 * MiB,
    /** libbpf and the kernel's BTF_MAX_TYPE stop at 0xfffff; undeduplicated files have 562k types. */
    maxTypes: 8_000_000,
    /** Nesting that a C dump, a size computation or a relocation follows; libbpf stops at 32 resolved steps. */
    maxDepth: 64,
    /** Bytes of one name; the kernel's KSYM_NAME_LEN is 512, Rust's and C++'s types have longer ones. */
    maxNameBytes: 2 * KiB,
    /** Members, parameters and the like that one definition prints; the largest real struct has 2,400. */
    maxDefinitionSteps: 500_000,
    /** The same of all definitions; undeduplicated kernels reach 3 million. */
    maxDumpSteps: 20_000_000,
    /** Pairs of types that one deduplication compares; real kernels take some 5 million. */
    maxDedupSteps: 200_000_000,
  },
  elf: {
    /** Sections or segments; kernels linked with -ffunction-sections have some 100,000. */
    maxHeaders: 100_000,
    /** Notes of one section, or the name and id of the file that debug information goes on in; a path has 4 KiB. */
    maxLinkBytes: 64 * KiB,
    /** Bytes of a section's name. */
    maxNameBytes: 1 * KiB,
  },
  object: {
    /** The largest BPF object in the field, with DWARF, has some 20 MB. */
    maxBytes: 64 * MiB,
    /** Objects that one tool or one request has. */
    maxCount: 512,
    /** libbpf's BPF_CORE_SPEC_MAX_LEN. */
    maxAccessParts: 64,
    /** CO-RE relocations of one object; the largest known, with hundreds of programs, has some 20,000. */
    maxRelocations: 200_000,
    /** Pairs of types and members compared for one object on one kernel; real ones take some thousands. */
    maxCompareSteps: 5_000_000,
    /** Lookups in one kernel's types that are remembered between tools; real tools make some hundred each. */
    maxRemembered: 200_000,
    /** Instructions walked to see what of one program can be reached; the verifier itself stops at a million. */
    maxCheckSteps: 1_000_000,
  },
  image: {
    /** A compressed kernel image; the largest distribution arm64 Image has some 70 MB. */
    maxBytes: 256 * MiB,
    /** What an image unwraps to; allyesconfig-like kernels reach 200 MB. */
    maxUnwrappedBytes: 1 * GiB,
  },
  vmlinux: {
    /** With DWARF: 600 MB to 1.2 GB today. */
    maxBytes: 4 * GiB,
  },
  dwarf: {
    /** Abbreviations of one file; a kernel has 15 MB. */
    maxAbbrevBytes: 256 * MiB,
    /** One unit, which is read into memory; those of a kernel linked as one (LTO) are the largest. */
    maxUnitBytes: 1 * GiB,
    /** Files that a package's DWARF is shared in; find-debuginfo and dh_dwz make one. */
    maxAltFiles: 64,
    /** All of them together, which are kept before it is known whether one is needed; a kernel's has some 60 MB. */
    maxAltBytes: 2 * GiB,
  },
  module: {
    /** One module, unpacked; amdgpu with its DWARF has some 200 MB. */
    maxBytes: 512 * MiB,
    /** Compressed modules that one program unpacks one after the other; starting it costs more than most of them. */
    batchBytes: 8 * MiB,
    /** Modules of one kernel; Ubuntu's have 7,000. */
    maxCount: 50_000,
    /** BTF of all modules of a kernel together; Debian's 4,000 have 40 MB. */
    maxTotalBytes: 512 * MiB,
    /** A module's `.modinfo`; those with thousands of aliases have some 100 KB. */
    maxInfoBytes: 4 * MiB,
  },
  package: {
    /** Debug packages reach 1.8 GB. */
    maxBytes: 8 * GiB,
    /** Members of one archive before it is called a bomb; debug packages have some 10,000. */
    maxMembers: 500_000,
    /** What one package may unpack to; linux-image-dbg reaches 6 GB. */
    maxUnpackedBytes: 64 * GiB,
    /** Output per byte of input of one decompressor, past its first 64 MiB; debug packages have 6, sparse ones 20. */
    maxRatio: 250,
    /** A long name or pax record of one tar member; Linux allows paths of 4 KiB. */
    maxHeaderBytes: 1 * MiB,
    /** Lists of files in front of an RPM's payload; kernel-debuginfo-common, with its sources, has 15 MB. */
    maxRpmHeaderBytes: 64 * MiB,
    /** Signatures of one package that are looked at; real ones have two of each kind, for some years now three. */
    maxSignatures: 16,
    /** Wrappings inside each other: deb, tar.xz, zboot, gzip, Image is the deepest real one. */
    maxDepth: 8,
  },
  index: {
    /** One index document as it comes over the wire; primary.xml.gz reaches 60 MB. */
    maxBytes: 512 * MiB,
    /** The same decompressed. */
    maxUnpackedBytes: 4 * GiB,
    /** One stanza of a Packages file; the largest real one has some 200 KB. */
    maxStanzaBytes: 4 * MiB,
    /** A signed list of indexes; Debian's has 200 KB. */
    maxReleaseBytes: 32 * MiB,
    /** A detached signature, or a keyring; Debian's keyring has 56 KB. */
    maxKeyringBytes: 4 * MiB,
    /** A list of mirrors; real ones have a line or some hundred. */
    maxMirrorListBytes: 256 * KiB,
    /** One folder as a web page; 20,000 rows have 5 MB. */
    maxPageBytes: 64 * MiB,
    /** Pages of one listing; Ubuntu's kernels of a series fill some 100. */
    maxPages: 2_000,
    /** A hub's signed index; 20,000 kernels and 50 tools have 40 KB. */
    maxSignedBytes: 8 * MiB,
    /** One document of it; such a hub's have some 150 KB. */
    maxShardBytes: 64 * MiB,
    /**
     * Versions of packages that have left their archive, asked for in one run: a polite second each. Debian's kernels have
     * some 400, with a megabyte each.
     */
    maxPastVersions: 100,
    /** Repositories of dated releases that are read for the first time in one run, of some 5 MB each. */
    maxPastReleases: 20,
    /** Dated releases of one distribution; Amazon's come every other week. */
    maxReleases: 1_000,
    /** XML between two tags; a changelog entry can have some 100 KB. */
    maxXmlTextBytes: 4 * MiB,
    /** Kernel packages that one index names; Debian's longest has 400. */
    maxPackages: 200_000,
    /** Places to try for one package; a dozen mirrors and some suites that list it make 40. */
    maxUrls: 64,
  },
  http: {
    connectTimeoutMs: 15_000,
    /** Silence between two chunks; slow mirrors pause for tens of seconds. */
    idleTimeoutMs: 60_000,
    /** Tries of one request, the first included. */
    tries: 4,
    /** A Retry-After above this is not waited for: the host counts as ill for this run. */
    maxRetryAfterMs: 120_000,
    maxRedirects: 5,
    /** The first pause before a try is repeated; doubles each time, with jitter. */
    backoffBaseMs: 500,
    backoffMaxMs: 30_000,
    /** A body that comes slower than this, over `idleTimeoutMs` of waiting, is as good as silent. */
    minBytesPerSecond: 1024,
    /** Progress of a body that makes its next break count as the first one again. */
    progressBytes: 1 * MiB,
    /** Requests in a row that a host leaves without an answer before it is left alone for the run. */
    maxFailedInRow: 3,
    /** What is read of an answer that nobody wants, so that its connection can be used again. */
    maxDrainBytes: 64 * KiB,
    maxDrainMs: 2_000,
  },
  process: {
    /** pahole on the largest kernels takes some 3 minutes on two slow cores. */
    paholeTimeoutMs: 30 * 60_000,
    /** Address space of pahole with all its threads, each of which reserves more than it uses. */
    paholeMaxBytes: 24 * GiB,
    /** Memory of one decompressor; `xz -9` needs 65 MiB, `zstd --ultra -22` 128 MiB. */
    maxDecoderBytes: 1 * GiB,
    /** A job that has no room for its vmlinux waits so long for others to be done with theirs. */
    tempWaitMs: 10 * 60_000,
    /** What is kept of a child's stderr, its end. */
    maxStderrBytes: 64 * KiB,
  },
  upstream: {
    /** Connecting to another hub, or its answer's first byte; askers wait for it. */
    connectTimeoutMs: 5_000,
    idleTimeoutMs: 15_000,
    /** All that one kernel takes, an upstream that has to extract it included. */
    totalTimeoutMs: 300_000,
    /** After a failure it is left alone for this while. */
    restMs: 15_000,
    /** Kernels that are fetched from one upstream at a time, and those that wait for that. */
    maxConcurrent: 8,
    maxWaiting: 64,
    /** A tarball of a BTF; the largest real one has 5 MB. */
    maxFileBytes: 64 * MiB,
    /** A page of facts about kernels. */
    maxJsonBytes: 4 * MiB,
  },
  request: {
    /** A JSON body: banner, build-id, os-release text. */
    maxJsonBytes: 64 * KiB,
    /** A body with BPF objects; the largest object in the field has some 20 MB. */
    maxUploadBytes: 32 * MiB,
    /** Objects in one such body. */
    maxUploadObjects: 32,
    /** Requests with such bodies at a time; slow ones hold little. */
    maxUploads: 64,
    /** What has come of all such bodies: in memory each may take some three times its size. */
    maxHeldUploadBytes: 128 * MiB,
    /** One kernel for objects that somebody sent; real ones take some 0.02 s. */
    maxCutMs: 10_000,
    /** A bundle that is made for a request. */
    maxBundleBytes: 64 * MiB,
    /** All that is in it, each name by itself: a tar in memory, before it is compressed. */
    maxUnpackedBundleBytes: 256 * MiB,
    /** Builds of one name that are brought for one question; Ubuntu ships a release in up to three versions. */
    maxSupplied: 8,
    /** Clients whose requests are counted at a time; each takes some 150 bytes. */
    maxClients: 100_000,
    /** Kernels that nobody could bring, remembered for a while; each takes some 500 bytes. */
    maxRefusals: 20_000,
    /** One page of a listing. */
    maxPageSize: 1000,
    /** A release, distro, version or tool name. */
    maxNameLength: 200,
  },
} as const
