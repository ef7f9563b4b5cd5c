/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints ckpt:*: one for each step, with its duration and counts. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ckpt

#if !defined(_CKPT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _CKPT_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(freeze,
	TP_PROTO(pid_t pid, unsigned int threads, unsigned int asleep, unsigned int woken,
		 u64 ns, int ret),
	TP_ARGS(pid, threads, asleep, woken, ns, ret),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(unsigned int, threads)
		__field(unsigned int, asleep)
		__field(unsigned int, woken)
		__field(u64, ns)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->pid = pid;
		__entry->threads = threads;
		__entry->asleep = asleep;
		__entry->woken = woken;
		__entry->ns = ns;
		__entry->ret = ret;
	),
	TP_printk("pid=%d threads=%u asleep=%u woken=%u ns=%llu ret=%d",
		  __entry->pid, __entry->threads, __entry->asleep, __entry->woken,
		  __entry->ns, __entry->ret)
);

TRACE_EVENT(arm,
	TP_PROTO(pid_t pid, u64 armed, u64 huge, u64 copied, u64 ns, int ret),
	TP_ARGS(pid, armed, huge, copied, ns, ret),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(u64, armed)
		__field(u64, huge)
		__field(u64, copied)
		__field(u64, ns)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->pid = pid;
		__entry->armed = armed;
		__entry->huge = huge;
		__entry->copied = copied;
		__entry->ns = ns;
		__entry->ret = ret;
	),
	TP_printk("pid=%d armed=%llu huge=%llu copied=%llu ns=%llu ret=%d",
		  __entry->pid, __entry->armed, __entry->huge, __entry->copied,
		  __entry->ns, __entry->ret)
);

TRACE_EVENT(thaw,
	TP_PROTO(pid_t pid, u64 pause_ns),
	TP_ARGS(pid, pause_ns),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(u64, pause_ns)
	),
	TP_fast_assign(
		__entry->pid = pid;
		__entry->pause_ns = pause_ns;
	),
	TP_printk("pid=%d pause_ns=%llu", __entry->pid, __entry->pause_ns)
);

TRACE_EVENT(barrier,
	TP_PROTO(unsigned int files, u64 ns, int ret),
	TP_ARGS(files, ns, ret),
	TP_STRUCT__entry(
		__field(unsigned int, files)
		__field(u64, ns)
		__field(int, ret)
	),
	TP_fast_assign(
		__entry->files = files;
		__entry->ns = ns;
		__entry->ret = ret;
	),
	TP_printk("files=%u ns=%llu ret=%d", __entry->files, __entry->ns, __entry->ret)
);

TRACE_EVENT(cancel,
	TP_PROTO(pid_t pid, u64 pages),
	TP_ARGS(pid, pages),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(u64, pages)
	),
	TP_fast_assign(
		__entry->pid = pid;
		__entry->pages = pages;
	),
	TP_printk("pid=%d pages=%llu", __entry->pid, __entry->pages)
);

#endif /* _CKPT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
