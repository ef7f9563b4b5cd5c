// SPDX-License-Identifier: LGPL-2.1-or-later
/* judge-thread.c - see judge.h: what of a thread cannot be brought back.  No state. */
#include <sched.h>

#include "judge.h"

#define SCHED_FLAG_RESET_ON_FORK	0x01

static const struct judge_flag thread_flags[] = {
	{ CKPT_THREAD_TRACED, "is being traced", "detach the debugger or strace" },
	{ CKPT_THREAD_IO_URING, "has used io_uring",
	  "turn io_uring off in the program's settings" },
	{ CKPT_THREAD_IOPORT, "may use I/O ports (ioperm, iopl)", NULL },
	{ CKPT_THREAD_TLS_ARRAY, "has 32-bit thread storage (set_thread_area)", NULL },
	{ CKPT_THREAD_PI_FUTEX, "owns a priority-inheritance lock others wait for",
	  "try again a little later" },
	{ CKPT_THREAD_NOTSC, "has RDTSC or CPUID turned off (PR_SET_TSC, ARCH_SET_CPUID)", NULL },
	{ CKPT_THREAD_USER_DISPATCH, "has its system calls dispatched by itself "
	  "(PR_SET_SYSCALL_USER_DISPATCH)", NULL },
	{ CKPT_THREAD_PERF, "has perf events open on itself", "stop the profiler or debugger" },
	{ CKPT_THREAD_SCHED_OTHER, "is scheduled by SCHED_DEADLINE or with a core cookie",
	  "give it another policy with chrt" },
	{ CKPT_THREAD_FILES, "has open files or a working directory of its own (unshare)", NULL },
	{ CKPT_THREAD_NAMESPACES, "is in other namespaces than the first thread", NULL },
	{ CKPT_THREAD_SHSTK, "has a user shadow stack",
	  "run it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off" },
	{ CKPT_THREAD_SPECULATION, "has set speculation controls (PR_SET_SPECULATION_CTRL)", NULL },
	{ CKPT_THREAD_PERSONALITY, "has an execution domain of its own (personality)", NULL },
	{ }
};

#define THREAD_ALLOWED	(CKPT_THREAD_NO_NEW_PRIVS | CKPT_THREAD_RESTORE_SIGMASK | \
			 CKPT_THREAD_HAS_TIMEOUT | CKPT_THREAD_IO_FLUSHER | \
			 CKPT_THREAD_SECCOMP | CKPT_THREAD_MEMPOLICY | CKPT_THREAD_MCE_EARLY | CKPT_THREAD_MCE_LATE)

static void judge_seccomp(const struct ckpt_model *m, const struct ckpt_rec_thread *t, struct judgement *j)
{
	const struct ckpt_model_seccomp *v;
	size_t nr;

	if (!(t->flags & CKPT_THREAD_SECCOMP))
		return;
	v = ckpt_model_seccomps(m, t->tid, &nr);
	if (!v)
		judge_refuse(j, "thread", t->tid, t->comm, "run it without a filter",
			     "is under seccomp, and its filters cannot be read from this kernel");
	if (v && v->rec.flags & CKPT_SECCOMP_STRICT)
		judge_refuse(j, "thread", t->tid, t->comm, "run it without", "is in the strict mode of seccomp");
	for (size_t i = 0; i < nr; i++)
		if (v[i].rec.flags & CKPT_SECCOMP_LISTENER)
			judge_refuse(j, "thread", t->tid, t->comm, "run it without that filter",
				     "has a seccomp filter that asks another process (SECCOMP_RET_USER_NOTIF)");
}

static void judge_thread(const struct ckpt_rec_thread *t, struct judgement *j)
{
	judge_flags(j, "thread", t->tid, t->comm, t->flags, THREAD_ALLOWED, thread_flags);
	if (t->run < CKPT_TRUN_PARKED || t->run > CKPT_TRUN_STOPPED)
		judge_refuse(j, "thread", t->tid, t->comm, "use newer tools",
			     "is in a condition this version does not know (%u)", t->run);
	if (t->restart > CKPT_RESTART_FUTEX)
		judge_refuse(j, "thread", t->tid, t->comm, "try again a little later",
			     "is in an interrupted system call (%d) that cannot be taken up again",
			     t->syscall_nr);
	switch (t->policy) {
	case SCHED_OTHER:
	case SCHED_FIFO:
	case SCHED_RR:
	case SCHED_BATCH:
	case SCHED_IDLE:
		break;
	default:
		if (!(t->flags & CKPT_THREAD_SCHED_OTHER))
			judge_refuse(j, "thread", t->tid, t->comm, "give it another with chrt",
				     "has a scheduling policy that cannot be restored (%u)",
				     t->policy);
	}
	if (t->sched_flags & ~SCHED_FLAG_RESET_ON_FORK)
		judge_refuse(j, "thread", t->tid, t->comm, NULL,
			     "has scheduling flags that cannot be restored (%#x)", t->sched_flags);
}

void judge_threads(const struct ckpt_model *model, struct judgement *j)
{
	for (size_t i = 0; i < model->nr_threads; i++) {
		judge_thread(&model->threads[i].rec, j);
		judge_seccomp(model, &model->threads[i].rec, j);
	}
}
