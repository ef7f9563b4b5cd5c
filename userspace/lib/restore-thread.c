// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-thread.c - threads, and what belongs to each but registers, signals
 * and credentials.
 *
 * Threads are cloned by the leader with their recorded numbers, all signals
 * blocked, and are ours from their first moment (PTRACE_O_TRACECLONE).  What a
 * privileged process may do for another (scheduling) we do ourselves; what only
 * the thread can do for itself goes by remote calls.
 *
 * rseq: registering makes the kernel write to the area, and it drops a pointer
 * to a critical section (rseq_cs) because our code is not in it.  So the
 * pointer is read before and put back when the thread will run no more of ours:
 * if the program was in a critical section the kernel then aborts it, as after
 * any preemption.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "restore-priv.h"

#define RSEQ_UNREGISTER		1
#define RSEQ_CS_OFFSET		8	/* offsetof(struct rseq, rseq_cs), which is ABI */

#define IOPRIO_WHO_PROCESS	1

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER	57
#endif

/* Not in this libc's headers; SCHED_* policies with all their parameters. */
struct sched_attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/* ------------------------------------------------------------ making them */

static int thread_number_failed(struct restore *rs, pid_t tid, int code)
{
	char who[160];

	if (code == -EEXIST) {
		restore_name_owner(tid, who, sizeof(who));
		ckpt_err_set(rs->err, code, "thread number %d is in use by %s", tid, who);
		ckpt_err_hint(rs->err, "end it, or wait until it has ended");
		return code;
	}
	return ckpt_err_sys(rs->err, code, "make a thread with number %d", tid);
}

static int make_thread(struct restore *rs, struct restore_thread *th)
{
	struct remote *r = leader(rs);
	const int32_t tid = th->t->rec.tid;
	const uint64_t args_at = r->scratch, tid_at = r->scratch + 256;
	const struct clone_args args = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			 CLONE_SYSVSEM,
		.set_tid = tid_at,
		.set_tid_size = 1,
	};
	long got;
	int e = remote_write(r, rs->err, args_at, &args, sizeof(args));

	if (!e)
		e = remote_write(r, rs->err, tid_at, &tid, sizeof(tid));
	if (!e)
		e = remote_clone(r, rs->err, REMOTE_ARGS(args_at, sizeof(args)), &got);
	if (e)
		return e;
	if (got < 0)
		return thread_number_failed(rs, tid, (int)got);
	th->remote = *r;
	th->remote.tid = tid;
	th->there = true;
	return 0;
}

int restore_threads_make(struct restore *rs)
{
	for (size_t i = 1; i < rs->m->nr_threads; i++) {
		int r = make_thread(rs, &rs->threads[i]);

		if (r)
			return r;
	}
	return 0;
}

/* ------------------------------------------------------------ scheduling */

static int set_scheduling(struct restore *rs, const struct ckpt_model_thread *t)
{
	const struct ckpt_rec_thread *rec = &t->rec;
	struct sched_attributes attr = {
		.size = sizeof(attr),
		.policy = rec->policy,
		.flags = rec->sched_flags,
		.nice = rec->nice,
		.priority = rec->rt_priority,
	};

	if (t->cpus && syscall(SYS_sched_setaffinity, rec->tid,
			       t->nr_cpu_words * sizeof(uint64_t), t->cpus) < 0)
		return ckpt_err_sys(rs->err, errno, "thread %d: bind to its processors", rec->tid);
	if (syscall(SYS_sched_setattr, rec->tid, &attr, 0) < 0)
		return ckpt_err_sys(rs->err, errno,
				    "thread %d: scheduling policy %u, priority %u, nice %d",
				    rec->tid, rec->policy, rec->rt_priority, rec->nice);
	/* A real-time thread keeps a nice value for later. */
	if (setpriority(PRIO_PROCESS, (id_t)rec->tid, rec->nice) < 0)
		return ckpt_err_sys(rs->err, errno, "thread %d: nice %d", rec->tid, rec->nice);
	if (syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, rec->tid) != (long)rec->ioprio &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, rec->tid, rec->ioprio) < 0)
		return ckpt_err_sys(rs->err, errno, "thread %d: I/O priority %#x", rec->tid,
				    rec->ioprio);
	return 0;
}

/* ------------------------------------------------------------ what it sets itself */

static int thread_prctl(struct restore *rs, struct restore_thread *th, const char *step, int op,
			uint64_t arg)
{
	char what[96];

	snprintf(what, sizeof(what), "thread %d: %s", th->t->rec.tid, step);
	return remote_call(&th->remote, rs->err, what, SYS_prctl,
			   REMOTE_ARGS((uint64_t)op, arg, 0, 0, 0), NULL);
}

static int set_name(struct restore *rs, struct restore_thread *th)
{
	struct remote *r = &th->remote;
	int e = remote_write(r, rs->err, r->scratch, th->t->rec.comm, sizeof(th->t->rec.comm));

	return e ? e : thread_prctl(rs, th, "name", PR_SET_NAME, r->scratch);
}

static int set_altstack(struct restore *rs, struct restore_thread *th)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	struct remote *r = &th->remote;
	const stack_t ss = {
		.ss_sp = (void *)(uintptr_t)rec->ss_sp,
		.ss_flags = (int)(rec->ss_flags & ~(uint32_t)SS_ONSTACK),
		.ss_size = rec->ss_size,
	};
	int e;

	if (!rec->ss_size || (rec->ss_flags & SS_DISABLE))
		return 0;
	e = remote_write(r, rs->err, r->scratch, &ss, sizeof(ss));
	return e ? e : remote_call(r, rs->err, "set the alternate signal stack", SYS_sigaltstack,
				   REMOTE_ARGS(r->scratch, 0), NULL);
}

static int set_rseq(struct restore *rs, struct restore_thread *th)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	struct remote *r = &th->remote;
	char what[64];
	int e;

	if (!rec->rseq)
		return 0;
	e = remote_read(r, rs->err, rec->rseq + RSEQ_CS_OFFSET, &th->rseq_cs, sizeof(th->rseq_cs));
	snprintf(what, sizeof(what), "thread %d: register its rseq area", rec->tid);
	return e ? e : remote_call(r, rs->err, what, SYS_rseq,
				   REMOTE_ARGS(rec->rseq, rec->rseq_len, 0, rec->rseq_sig), NULL);
}

static int set_thread(struct restore *rs, struct restore_thread *th)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	struct remote *r = &th->remote;
	int e = set_name(rs, th);

	if (!e)
		e = set_altstack(rs, th);
	if (!e && rec->robust_list)
		e = remote_call(r, rs->err, "set the robust futex list", SYS_set_robust_list,
				REMOTE_ARGS(rec->robust_list, rec->robust_len), NULL);
	if (!e)
		e = remote_call(r, rs->err, "set the address to clear at exit",
				SYS_set_tid_address, REMOTE_ARGS(rec->clear_child_tid), NULL);
	if (!e && (rec->flags & CKPT_THREAD_IO_FLUSHER))
		e = thread_prctl(rs, th, "IO_FLUSHER", PR_SET_IO_FLUSHER, 1);
	if (!e)
		e = set_scheduling(rs, th->t);
	/* Behind the policy: real-time threads have no slack, 0 asks for the default. */
	if (!e && rec->timerslack_ns)
		e = thread_prctl(rs, th, "timer slack", PR_SET_TIMERSLACK, rec->timerslack_ns);
	return e ? e : set_rseq(rs, th);
}

int restore_threads_set(struct restore *rs)
{
	for (size_t i = 0; i < rs->m->nr_threads; i++) {
		int r = set_thread(rs, &rs->threads[i]);

		if (r)
			return r;
	}
	return 0;
}

/* ------------------------------------------------------------ rseq, before and after */

/* The area of the C library we are a copy of is about to go. */
int restore_rseq_drop(struct restore *rs)
{
	struct __ptrace_rseq_configuration conf = { 0 };

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, rs->pid, sizeof(conf), &conf) < 0)
		return errno == EIO || errno == EINVAL ? 0 :
			ckpt_err_sys(rs->err, errno, "ask for the rseq area");
	if (!conf.rseq_abi_pointer)
		return 0;
	return remote_call(leader(rs), rs->err, "unregister the rseq area", SYS_rseq,
			   REMOTE_ARGS(conf.rseq_abi_pointer, conf.rseq_abi_size, RSEQ_UNREGISTER,
				       conf.signature), NULL);
}

int restore_rseq_finish(struct restore *rs)
{
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_threads; i++) {
		const struct restore_thread *th = &rs->threads[i];

		if (th->t->rec.rseq && th->rseq_cs)
			r = remote_write(&th->remote, rs->err,
					 th->t->rec.rseq + RSEQ_CS_OFFSET, &th->rseq_cs,
					 sizeof(th->rseq_cs));
	}
	return r;
}
