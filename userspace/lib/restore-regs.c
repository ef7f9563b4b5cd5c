// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-regs.c - registers, signal masks, and system calls that were going on.
 *
 * A thread that was in a call is in one of three states:
 *  - asleep in it: ax becomes -ERESTARTNOINTR, with which the kernel issues the
 *    call again from its start;
 *  - interrupted, with -ERESTARTSYS, -ERESTARTNOHAND or -ERESTARTNOINTR in ax:
 *    left as it is, the kernel decides as it would have: again, or EINTR when
 *    a handler runs;
 *  - interrupted with -ERESTART_RESTARTBLOCK, or asleep in such a call that was
 *    begun a while ago: what is to be done is noted in the kernel.  The
 *    same call, for the time that is left, is made in the thread and
 *    interrupted at once, so that the kernel makes the same note again.
 * For all of this the final registers must be set in a stop inside signal
 * delivery; remote_settle() sees to that.
 */
#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "restore-priv.h"
#include "util.h"

#define ERESTARTNOINTR	513

#ifndef PTRACE_SETSIGMASK
#define PTRACE_SETSIGMASK	0x420b
#endif

#define XSTATE_MAX	(1U << 20)
#define XSTATE_BV	512	/* offset of the bit map of components that hold something */

/* ------------------------------------------------------------ calls going on */

static int nanosleep_again(struct restore *rs, struct restore_thread *th)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	const struct timespec left = to_timespec(rec->restart_remaining_ns);
	struct remote *r = &th->remote;
	int e = remote_write(r, rs->err, r->scratch, &left, sizeof(left));

	return e ? e : remote_interrupted_call(r, rs->err, SYS_clock_nanosleep,
					       REMOTE_ARGS((uint64_t)(int64_t)rec->restart_clock, 0,
							   r->scratch, rec->restart_args[0]),
					       &th->restarted);
}

static int poll_again(struct restore *rs, struct restore_thread *th)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	uint64_t ms = (rec->restart_remaining_ns + 999999) / 1000000;

	if (ms > INT32_MAX)
		ms = INT32_MAX;
	if (!(rec->flags & CKPT_THREAD_HAS_TIMEOUT))
		ms = (uint64_t)-1;
	return remote_interrupted_call(&th->remote, rs->err, SYS_poll,
				       REMOTE_ARGS(rec->restart_args[0], rec->restart_args[1], ms),
				       &th->restarted);
}

static int futex_again(struct restore *rs, struct restore_thread *th)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	const uint64_t flags = rec->restart_args[2] & (FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
	const uint64_t now = flags & FUTEX_CLOCK_REALTIME ? util_clock_ns(CLOCK_REALTIME) :
		util_clock_ns(CLOCK_MONOTONIC) + (uint64_t)rs->mono_offset;
	/* Absolute: the form that takes both clocks and any bit set. */
	const struct timespec end = to_timespec(now + rec->restart_remaining_ns);
	const uint64_t timeout = rec->flags & CKPT_THREAD_HAS_TIMEOUT ? th->remote.scratch : 0;
	struct remote *r = &th->remote;
	int e = remote_write(r, rs->err, r->scratch, &end, sizeof(end));

	return e ? e : remote_interrupted_call(r, rs->err, SYS_futex,
					       REMOTE_ARGS(rec->restart_args[0],
							   FUTEX_WAIT_BITSET | flags,
							   rec->restart_args[1], timeout, 0,
							   rec->restart_args[3]),
					       &th->restarted);
}

static int call_again(struct restore *rs, struct restore_thread *th)
{
	int e;

	switch (th->t->rec.restart) {
	case CKPT_RESTART_NONE:
		return 0;
	case CKPT_RESTART_NANOSLEEP:
		e = nanosleep_again(rs, th);
		break;
	case CKPT_RESTART_POLL:
		e = poll_again(rs, th);
		break;
	case CKPT_RESTART_FUTEX:
		e = futex_again(rs, th);
		break;
	default:
		e = ckpt_err_set(rs->err, -EOPNOTSUPP, "thread %d: call cannot be taken up again",
				 th->t->rec.tid);
	}
	th->has_restarted = !e;
	return e;
}

int restore_calls(struct restore *rs)
{
	for (size_t i = 0; i < rs->m->nr_threads; i++) {
		int r = call_again(rs, &rs->threads[i]);

		if (r)
			return r;
	}
	return 0;
}

/* ------------------------------------------------------------ registers */

static int set_xstate(struct restore *rs, const struct restore_thread *th)
{
	const struct ckpt_model_thread *t = th->t;
	pid_t tid = t->rec.tid;
	struct iovec iov = { .iov_len = XSTATE_MAX };
	unsigned char *area = malloc(XSTATE_MAX);
	int r = 0;

	if (!area)
		return ckpt_err_set(rs->err, -ENOMEM, "no memory");
	iov.iov_base = area;
	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &iov) < 0) {
		r = ckpt_err_sys(rs->err, errno, "thread %d: ask for extended registers", tid);
		goto out;
	}
	/*
	 * The size is the kernel's choice for this processor.  What a shorter
	 * record lacks is in its initial state; what a longer one has beyond
	 * ours is unused, or the processor check had failed.
	 */
	if (t->xstate_len > iov.iov_len)
		memcpy(area, t->xstate, iov.iov_len);
	else {
		memset(area, 0, iov.iov_len);
		memcpy(area, t->xstate, t->xstate_len);
	}
	if (ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &iov) < 0) {
		uint64_t used;

		memcpy(&used, area + XSTATE_BV, sizeof(used));
		r = ckpt_err_sys(rs->err, errno,
				 "thread %d: set extended registers (components %#llx)", tid,
				 (unsigned long long)used);
	}
out:
	free(area);
	return r;
}

static int set_prstatus(struct restore *rs, const struct restore_thread *th)
{
	const struct ckpt_rec_thread *rec = &th->t->rec;
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	memcpy(&regs, th->t->prstatus, sizeof(regs));
	if (th->has_restarted) {
		regs.rax = (uint64_t)th->restarted;
		if (rec->syscall_nr >= 0)
			regs.orig_rax = (uint64_t)rec->syscall_nr;
	} else if (rec->run == CKPT_TRUN_ASLEEP && rec->syscall_nr >= 0) {
		regs.rax = (uint64_t)-ERESTARTNOINTR;
		regs.orig_rax = (uint64_t)rec->syscall_nr;
	}
	if (ptrace(PTRACE_SETREGSET, rec->tid, NT_PRSTATUS, &iov) < 0)
		return ckpt_err_sys(rs->err, errno, "thread %d: set registers", rec->tid);
	return 0;
}

static int set_mask(struct restore *rs, const struct restore_thread *th)
{
	uint64_t mask = th->t->rec.sigmask;

	if (ptrace(PTRACE_SETSIGMASK, th->t->rec.tid, sizeof(mask), &mask) < 0)
		return ckpt_err_sys(rs->err, errno, "thread %d: set signal mask", th->t->rec.tid);
	return 0;
}

int restore_regs(struct restore *rs)
{
	for (size_t i = 0; i < rs->m->nr_threads; i++) {
		struct restore_thread *th = &rs->threads[i];
		int r = remote_settle(&th->remote, rs->err);

		if (!r)
			r = set_xstate(rs, th);
		if (!r)
			r = set_prstatus(rs, th);
		if (!r)
			r = set_mask(rs, th);
		if (r)
			return r;
	}
	return 0;
}
