import type { MachineState } from './machine-state.ts'
import { SCALAR } from './value.ts'

const ARGUMENTS = [1, 2, 3, 4, 5] as const

/**
 * Helpers that write nothing to memory of the program, or only to what one argument points to, for as many bytes as
 * another one says. Source: include/uapi/linux/bpf.h, `bpf_*_proto` of the kernel. Of all others everything is assumed
 * that they could do with what they are given.
 */
const HARMLESS: ReadonlySet<number> = new Set([
  1, // map_lookup_elem
  2, // map_update_elem
  3, // map_delete_elem
  5, // ktime_get_ns
  6, // trace_printk
  7, // get_prandom_u32
  8, // get_smp_processor_id
  12, // tail_call
  14, // get_current_pid_tgid
  15, // get_current_uid_gid
  25, // perf_event_output
  27, // get_stackid
  35, // get_current_task
  80, // get_current_cgroup_id
  118, // jiffies64
  125, // ktime_get_boot_ns
  130, // ringbuf_output
  131, // ringbuf_reserve
  132, // ringbuf_submit
  133, // ringbuf_discard
  158, // get_current_task_btf
])

const WRITES_FIRST_ARGUMENT: ReadonlySet<number> = new Set([
  4, // probe_read
  16, // get_current_comm
  45, // probe_read_str
  112, // probe_read_user
  113, // probe_read_kernel
  114, // probe_read_user_str
  115, // probe_read_kernel_str
])

/**
 * What a call leaves of the caller's state: r1 to r5 are gone, r0 is unknown, and what the callee may have written is
 * forgotten. `helper` is its number, null for kernel functions. Helpers write from an address upwards; where there are
 * `callbacks`, those may write anywhere.
 */
export function applyHelper(state: MachineState, helper: number | null, callbacks: boolean): void {
  if (helper === null || !HARMLESS.has(helper)) {
    if (helper !== null && WRITES_FIRST_ARGUMENT.has(helper)) forgetBuffer(state)
    else for (const arg of ARGUMENTS) forgetBehind(state, arg, callbacks)
  }
  clobber(state)
}

/** After a call of a function of the program: it may have written anywhere in the frame if it was given an address in it. */
export function applyCall(state: MachineState): void {
  for (const arg of ARGUMENTS) forgetBehind(state, arg, true)
  clobber(state)
}

function forgetBuffer(state: MachineState): void {
  const [address, size] = [state.reg(1), state.reg(2)]
  if (address.kind === 'frame' && size.kind === 'const')
    state.forget(address.offset, address.offset + Number(BigInt.asUintN(32, size.value)))
  else forgetBehind(state, 1, false)
}

function forgetBehind(state: MachineState, arg: number, anywhere: boolean): void {
  const address = state.reg(arg)
  if (address.kind === 'any' || (address.kind === 'frame' && anywhere)) state.forgetFrame()
  else if (address.kind === 'frame') state.forget(address.offset, Infinity)
}

function clobber(state: MachineState): void {
  for (const reg of [0, ...ARGUMENTS]) state.setReg(reg, SCALAR)
}
