import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { agentEnvironment } from './agents.ts'

it.each(['/a/b.btf', '/it\'s $(id) `id` "x".btf'])('%s reaches the agents as it is', (path) => {
  const script = [...agentEnvironment(path), 'printf %s "$BPFTRACE_BTF|$TRACEE_BTF_FILE"'].join('\n')
  expect(execFileSync('sh', ['-c', script], { encoding: 'utf8' })).toBe(`${path}|${path}`)
})
