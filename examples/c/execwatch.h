/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What the BPF program tells the agent about one exec. */
#ifndef EXECWATCH_H
#define EXECWATCH_H

struct event {
	__s32 pid;
	__s32 ppid;
	__s32 prio;
	__u32 uid;
	__u64 start_ns;
	__u32 task_bytes;
	__u32 pidtype_sid;
	char comm[16];
	char nodename[65];
	char filename[127];
};

#endif
