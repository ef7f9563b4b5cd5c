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

#include "remote-queue.h"
#include "restore-priv.h"

#define RSEQ_UNREGISTER		1
#define RSEQ_CS_OFFSET		8	/* offsetof(struct rseq, rseq_cs), which is ABI */

#define IOPRIO_WHO_PROCESS	1

#define CLONES_AT_ONCE	256

#define CPUS_MAX	8192	/* the most an x86-64 kernel is built for */

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

/* The queue has told which number and the system's words; say who has it. */
static void name_holder(struct restore *rs, pid_t tid)
{
	char who[160];

	if (!rs->err || rs->err->code != EEXIST)
		return;
	restore_name_owner(tid, who, sizeof(who));
	ckpt_err_clear(rs->err);
	ckpt_err_set(rs->err, EEXIST, "thread number %d is in use by %s", tid, who);
	ckpt_err_hint(rs->err, "end it, or wait until it has ended");
}

static int queue_clone(struct remote_queue *q, pid_t tid)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			 CLONE_SYSVSEM,
		.set_tid_size = 1,
	};
	int e = remote_queue_room(q, 1, sizeof(args) + sizeof(tid));

	if (e)
		return e;
	args.set_tid = remote_queue_put(q, &tid, sizeof(tid));
	return remote_queue_add(q, SYS_clone3,
				REMOTE_ARGS(remote_queue_put(q, &args, sizeof(args)), sizeof(args)),
				"make a thread with number %d", tid);
}

/* The threads from @first on that were queued, as far as they came to be. */
static int await_threads(struct restore *rs, struct remote_queue *q, size_t first)
{
	int r = remote_queue_run(q);

	for (size_t i = first; i < first + q->done; i++) {
		struct restore_thread *th = &rs->threads[i];
		int e;

		th->remote = *leader(rs);
		th->remote.tid = th->t->rec.tid;
		th->there = true;
		e = remote_await_new(th->remote.tid, rs->err);
		if (!r)
			r = e;
	}
	if (r)
		name_holder(rs, rs->m->threads[first + q->done].rec.tid);
	return r;
}

static int make_threads(struct restore *rs, struct remote_queue *q)
{
	size_t first = 1;
	int r = 0;

	for (size_t i = 1; !r && i < rs->m->nr_threads; i++) {
		/* Never a run in the middle of an addition: it has to be looked after. */
		if (i - first == CLONES_AT_ONCE) {
			r = await_threads(rs, q, first);
			first = i;
		}
		if (!r)
			r = queue_clone(q, rs->m->threads[i].rec.tid);
	}
	return r ? r : await_threads(rs, q, first);
}

int restore_threads_make(struct restore *rs)
{
	struct remote_queue q;
	int r;

	if (rs->m->nr_threads == 1)
		return 0;
	r = remote_queue_begin(&q, leader(rs), rs->err);
	if (!r) {
		r = make_threads(rs, &q);
		remote_queue_end(&q);
	}
	return r;
}

/* ------------------------------------------------------------ scheduling */

/* Without a record it may run anywhere: not only where the one who restores it may. */
static int set_cpus(struct restore *rs, const struct ckpt_model_thread *t)
{
	uint64_t all[CPUS_MAX / 64];
	const void *cpus = t->cpus;
	size_t len = t->nr_cpu_words * sizeof(uint64_t);

	if (!cpus) {
		/* The kernel takes of it what there is. */
		memset(all, 0xff, sizeof(all));
		cpus = all;
		len = sizeof(all);
	}
	if (syscall(SYS_sched_setaffinity, t->rec.tid, len, cpus) < 0)
		return ckpt_err_sys(rs->err, errno, "thread %d: bind to its processors", t->rec.tid);
	return 0;
}

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

	int r = set_cpus(rs, t);

	if (r)
		return r;
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

static int queue_prctl(struct remote_queue *q, const char *step, int op, uint64_t arg)
{
	return remote_queue_add(q, SYS_prctl, REMOTE_ARGS((uint64_t)op, arg, 0, 0, 0),
				"thread %d: %s", q->r->tid, step);
}

/* What the thread has inherited is ours. */
static int queue_mce_policy(struct remote_queue *q, const struct ckpt_rec_thread *rec)
{
	const int policy = rec->flags & CKPT_THREAD_MCE_EARLY ? PR_MCE_KILL_EARLY :
			   rec->flags & CKPT_THREAD_MCE_LATE ? PR_MCE_KILL_LATE : PR_MCE_KILL_DEFAULT;

	if (prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == policy)
		return 0;
	return remote_queue_add(q, SYS_prctl,
				REMOTE_ARGS(PR_MCE_KILL, PR_MCE_KILL_SET, (uint64_t)policy, 0, 0),
				"thread %d: when to tell it of failing memory", rec->tid);
}

static int queue_altstack(struct remote_queue *q, const struct ckpt_rec_thread *rec)
{
	const stack_t ss = {
		.ss_sp = (void *)(uintptr_t)rec->ss_sp,
		.ss_flags = (int)(rec->ss_flags & ~(uint32_t)SS_ONSTACK),
		.ss_size = rec->ss_size,
	};

	if (!rec->ss_size || (rec->ss_flags & SS_DISABLE))
		return 0;
	return remote_queue_add(q, SYS_sigaltstack, REMOTE_ARGS(remote_queue_put(q, &ss, sizeof(ss))),
				"thread %d: alternate signal stack", rec->tid);
}

static int queue_rseq(struct restore *rs, struct restore_thread *th, struct remote_queue *q)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	int e;

	if (!rec->rseq)
		return 0;
	e = remote_read(q->r, rs->err, rec->rseq + RSEQ_CS_OFFSET, &th->rseq_cs,
			sizeof(th->rseq_cs));
	return e ? e : remote_queue_add(q, SYS_rseq,
					REMOTE_ARGS(rec->rseq, rec->rseq_len, 0, rec->rseq_sig),
					"thread %d: register its rseq area", rec->tid);
}

static int queue_thread(struct restore *rs, struct restore_thread *th, struct remote_queue *q)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	/* All of a thread fits into an empty queue. */
	int e = queue_prctl(q, "name", PR_SET_NAME,
			    remote_queue_put(q, rec->comm, sizeof(rec->comm)));

	if (!e)
		e = queue_altstack(q, rec);
	if (!e && rec->robust_list)
		e = remote_queue_add(q, SYS_set_robust_list,
				     REMOTE_ARGS(rec->robust_list, rec->robust_len),
				     "thread %d: robust futex list", rec->tid);
	if (!e)
		e = remote_queue_add(q, SYS_set_tid_address, REMOTE_ARGS(rec->clear_child_tid),
				     "thread %d: address to clear at exit", rec->tid);
	if (!e && (rec->flags & CKPT_THREAD_IO_FLUSHER))
		e = queue_prctl(q, "IO_FLUSHER", PR_SET_IO_FLUSHER, 1);
	if (!e)
		e = queue_mce_policy(q, rec);
	/* Real-time threads have no slack, 0 asks for the default. */
	if (!e && rec->timerslack_ns)
		e = queue_prctl(q, "timer slack", PR_SET_TIMERSLACK, rec->timerslack_ns);
	if (!e)
		e = restore_policy_thread(rs, q, rec->tid);
	if (!e)
		e = queue_rseq(rs, th, q);
	return e ? e : remote_queue_run(q);
}

int restore_threads_set(struct restore *rs)
{
	for (size_t i = 0; i < rs->m->nr_threads; i++) {
		struct restore_thread *th = &rs->threads[i];
		struct remote_queue q;
		/* Before the slack, which a real-time policy would ignore. */
		int r = set_scheduling(rs, th->t);

		if (!r)
			r = remote_queue_begin(&q, &th->remote, rs->err);
		if (r)
			return r;
		r = queue_thread(rs, th, &q);
		remote_queue_end(&q);
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
