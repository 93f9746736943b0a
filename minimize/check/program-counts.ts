import type { CheckedKernel, CheckResult, Finding } from './summary.ts'

/** On how many kernels a program loads, and on how many it does so for a check alone. */
export interface ProgramCount {
  readonly object: string
  readonly program: string
  readonly section: string
  readonly loads: number
  readonly guarded: number
  readonly fails: number
}

/** A line for each program of each object, in the objects' order. */
export function countPrograms(results: readonly CheckResult[], findings: readonly Finding[]): ProgramCount[] {
  const total = results.reduce((sum, { kernels }) => sum + kernels.length, 0)
  const affected = (object: string, program: string, effects: readonly Finding['effect'][]): number => {
    const found = new Set<CheckedKernel>()
    for (const finding of findings) {
      if (finding.object !== object || !effects.includes(finding.effect)) continue
      if (finding.effect !== 'refused' && !finding.programs.includes(program)) continue
      for (const kernel of finding.kernels) found.add(kernel)
    }
    return found.size
  }
  return (results[0]?.objects ?? []).flatMap(({ name: object, programs }) =>
    programs.map(({ name: program, section }) => {
      const fails = affected(object, program, ['fails', 'refused'])
      const guarded = affected(object, program, ['guarded'])
      return { object, program, section, loads: total - fails, guarded, fails }
    }),
  )
}
