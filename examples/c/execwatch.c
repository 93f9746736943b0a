// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
// A small CO-RE agent. On a kernel without BTF:  BPF_CUSTOM_BTF=$(btfhub get --tool execwatch) ./execwatch
#include <errno.h>
#include <linux/types.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>
#include "execwatch.h"

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

static void print_event(void *ctx, int cpu, void *data, __u32 size)
{
	const struct event *e = data;

	(void)ctx, (void)cpu;
	if (size < sizeof(*e))
		return;
	printf("{\"pid\":%d,\"ppid\":%d,\"prio\":%d,\"uid\":%u,\"start_ns\":%llu,\"task_bytes\":%u,\"pidtype_sid\":%u,"
	       "\"comm\":\"%s\",\"nodename\":\"%s\",\"filename\":\"%s\"}\n",
	       e->pid, e->ppid, e->prio, e->uid, (unsigned long long)e->start_ns, e->task_bytes, e->pidtype_sid,
	       e->comm, e->nodename, e->filename);
	fflush(stdout);
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "execwatch: %s: %s\n", what, strerror(err < 0 ? -err : err));
	return 1;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "execwatch.bpf.o";
	// The one line that makes it start on kernels without BTF. Unset, libbpf looks for the kernel's own.
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = getenv("BPF_CUSTOM_BTF"));
	struct bpf_object *object = bpf_object__open_file(path, &opts);
	struct bpf_program *program;
	struct perf_buffer *events;
	int err;

	if (!object)
		return fail(path, errno);
	err = bpf_object__load(object);
	if (err)
		return fail("load", err);
	program = bpf_object__find_program_by_name(object, "handle_exec");
	if (!bpf_program__attach(program))
		return fail("attach", errno);
	events = perf_buffer__new(bpf_object__find_map_fd_by_name(object, "events"), 8, print_event, NULL, NULL, NULL);
	if (!events)
		return fail("perf buffer", errno);

	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	fprintf(stderr, "execwatch: ready\n");
	while (!stopping) {
		err = perf_buffer__poll(events, 200);
		if (err < 0 && err != -EINTR)
			return fail("poll", err);
	}
	return 0;
}
