// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
// Reports each exec, reading the new process through CO-RE relocations only.
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "execwatch.h"

// Of each kernel struct, only the members that are read: names are enough, libbpf fills in the offsets.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct new_utsname {
	char nodename[65];
};

struct uts_namespace {
	struct new_utsname name;
};

struct nsproxy {
	struct uts_namespace *uts_ns;
};

struct task_struct {
	int pid;
	int tgid;
	int prio;
	char comm[16];
	__u64 start_boottime;
	struct task_struct *real_parent;
	const struct cred *cred;
	struct nsproxy *nsproxy;
};

// Kernels before 5.5 have the same field under another name.
struct task_struct___before_5_5 {
	__u64 real_start_time;
};

struct linux_binprm {
	const char *filename;
};

#pragma clang attribute pop

// The value here is not the kernel's: that one is filled in too.
enum pid_type {
	PIDTYPE_SID = 77,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} events SEC(".maps");

SEC("raw_tp/sched_process_exec")
int handle_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
	struct event event = {};

	event.pid = BPF_CORE_READ(task, tgid);
	event.ppid = BPF_CORE_READ(task, real_parent, tgid);
	event.prio = BPF_CORE_READ(task, prio);
	event.uid = BPF_CORE_READ(task, cred, uid.val);
	if (bpf_core_field_exists(task->start_boottime))
		event.start_ns = BPF_CORE_READ(task, start_boottime);
	else
		event.start_ns = BPF_CORE_READ((struct task_struct___before_5_5 *)task, real_start_time);
	event.task_bytes = bpf_core_type_size(struct task_struct);
	event.pidtype_sid = bpf_core_enum_value(enum pid_type, PIDTYPE_SID);
	BPF_CORE_READ_STR_INTO(&event.comm, task, comm);
	BPF_CORE_READ_STR_INTO(&event.nodename, task, nsproxy, uts_ns, name.nodename);
	bpf_probe_read_kernel_str(event.filename, sizeof(event.filename), BPF_CORE_READ(bprm, filename));

	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
