/**
 * Environment variables in which known agents look for the path of an external BTF: bpftrace, Tracee, Elastic's quark,
 * Tetragon, eunomia-bpf, Datadog's system-probe.
 */
const VARIABLES = [
  'BPFTRACE_BTF',
  'TRACEE_BTF_FILE',
  'QUARK_BTF_PATH',
  'TETRAGON_BTF',
  'BTF_FILE_PATH',
  'DD_SYSTEM_PROBE_BTF_PATH',
] as const

/** Lines for a POSIX shell that tell all known agents where the BTF is. */
export function agentEnvironment(path: string): string[] {
  const quoted = `'${path.replaceAll("'", `'\\''`)}'`
  return VARIABLES.map((name) => `export ${name}=${quoted}`)
}
