// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * remote.c - see remote.h.  No state but the tracee's own.
 *
 * Life of a thread under our hand:
 *  1. remote_seize(): running -> event stop (in the kernel's signal delivery).
 *  2. remote_call() any number of times: any stop -> system call exit stop.
 *  3. remote_settle(): -> event stop again.  An exit stop does not do for the
 *     final registers: the kernel asks for calls to restart only on its way
 *     through signal delivery.
 *  4. remote_release().
 * A thread that dies meanwhile (SIGKILL, by anyone) makes each step fail.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "remote.h"

#define STOP_SYSCALL	(SIGTRAP | 0x80)
#define OPTIONS		(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)

#ifndef PTRACE_SETSIGMASK
#define PTRACE_SETSIGMASK	0x420b
#endif

/* Room below the scratch area's end for the red zone of whoever looks at it. */
#define STACK_GAP	256

static int gone(struct ckpt_err *err, pid_t tid, int status)
{
	if (WIFSIGNALED(status))
		return ckpt_err_set(err, -ECHILD,
				    "thread %d: died of signal %d while it was being restored",
				    tid, WTERMSIG(status));
	return ckpt_err_set(err, -ECHILD, "thread %d: ended while it was being restored", tid);
}

static int trace(struct ckpt_err *err, int request, pid_t tid, void *data)
{
	if (ptrace(request, tid, NULL, data) < 0)
		return ckpt_err_sys(err, errno, "thread %d: ptrace request %#x", tid, request);
	return 0;
}

/* Wait for a change of @tid; only stops return 0. */
static int await(struct ckpt_err *err, pid_t tid, int *ret_status)
{
	int status;
	pid_t got;

	do {
		got = waitpid(tid, &status, __WALL);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return ckpt_err_sys(err, errno, "thread %d: wait", tid);
	if (!WIFSTOPPED(status))
		return gone(err, tid, status);
	*ret_status = status;
	return 0;
}

static bool is_event_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP;
}

static int await_event_stop(struct ckpt_err *err, pid_t tid)
{
	int status, r;

	for (;;) {
		r = await(err, tid, &status);
		if (r)
			return r;
		if (is_event_stop(status))
			return 0;
		/* A system call or clone stop on the way; signals are blocked. */
		r = trace(err, PTRACE_CONT, tid, NULL);
		if (r)
			return r;
	}
}

int remote_seize(pid_t tid, struct ckpt_err *err)
{
	int r = trace(err, PTRACE_SEIZE, tid, (void *)(long)OPTIONS);

	if (!r)
		r = trace(err, PTRACE_INTERRUPT, tid, NULL);
	return r ? r : await_event_stop(err, tid);
}

int remote_suspend_seccomp(pid_t tid, struct ckpt_err *err)
{
	return trace(err, PTRACE_SETOPTIONS, tid, (void *)(long)(OPTIONS | PTRACE_O_SUSPEND_SECCOMP));
}

int remote_await_new(pid_t tid, struct ckpt_err *err)
{
	return await_event_stop(err, tid);
}

/* Let it run to the next system call stop; other stops are passed over. */
static int to_syscall_stop(struct remote *r, struct ckpt_err *err)
{
	int status, ret;

	do {
		ret = trace(err, PTRACE_SYSCALL, r->tid, NULL);
		if (!ret)
			ret = await(err, r->tid, &status);
		if (ret)
			return ret;
		if (status >> 16)
			continue;
		/*
		 * A fault: memory was not where it had to be.  Every other
		 * signal is blocked.
		 */
		if (WSTOPSIG(status) != STOP_SYSCALL)
			return ckpt_err_set(err, -EFAULT,
					    "thread %d: signal %d while it was being restored",
					    r->tid, WSTOPSIG(status));
	} while (status >> 16);
	return 0;
}

static int aim(struct remote *r, struct ckpt_err *err, long nr, const uint64_t args[6])
{
	struct user_regs_struct regs;
	int ret = trace(err, PTRACE_GETREGS, r->tid, &regs);

	if (ret)
		return ret;
	regs.rip = r->insn;
	regs.rsp = (r->scratch + r->scratch_len - STACK_GAP) & ~63ULL;
	regs.rax = nr;
	/* Not in a call: else the kernel would think of restarting one. */
	regs.orig_rax = -1;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	return trace(err, PTRACE_SETREGS, r->tid, &regs);
}

static int do_call(struct remote *r, struct ckpt_err *err, long nr, const uint64_t args[6],
		   bool interrupt, long *ret)
{
	struct user_regs_struct regs;
	int e = aim(r, err, nr, args);

	if (!e)
		e = to_syscall_stop(r, err);
	if (!e && interrupt)
		e = trace(err, PTRACE_INTERRUPT, r->tid, NULL);
	if (!e)
		e = to_syscall_stop(r, err);
	if (!e)
		e = trace(err, PTRACE_GETREGS, r->tid, &regs);
	if (!e)
		*ret = (long)regs.rax;
	return e;
}

int remote_try(struct remote *r, struct ckpt_err *err, long nr, const uint64_t args[6],
	       long *ret)
{
	return do_call(r, err, nr, args, false, ret);
}

int remote_interrupted_call(struct remote *r, struct ckpt_err *err, long nr,
			    const uint64_t args[6], long *ret)
{
	return do_call(r, err, nr, args, true, ret);
}

int remote_call(struct remote *r, struct ckpt_err *err, const char *what, long nr,
		const uint64_t args[6], long *ret)
{
	long value;
	int e = do_call(r, err, nr, args, false, &value);

	if (e) {
		ckpt_err_prefix(err, "%s", what);
		return e;
	}
	if (value < 0 && value >= -4095)
		return ckpt_err_sys(err, value, "%s", what);
	if (ret)
		*ret = value;
	return 0;
}

/* SIGTRAP open or shut, all others blocked.  Open, for a blocked one that is forced is reset. */
static int set_trap(struct remote *r, struct ckpt_err *err, bool open)
{
	uint64_t mask = open ? ~(1ULL << (SIGTRAP - 1)) : ~0ULL;

	if (ptrace(PTRACE_SETSIGMASK, r->tid, sizeof(mask), &mask) < 0)
		return ckpt_err_sys(err, errno, "thread %d: set signal mask", r->tid);
	return 0;
}

/* Let it run into the breakpoint; stops for threads it clones are passed over. */
static int to_breakpoint(struct remote *r, struct ckpt_err *err)
{
	int status, ret;

	do {
		ret = trace(err, PTRACE_CONT, r->tid, NULL);
		if (!ret)
			ret = await(err, r->tid, &status);
		if (ret)
			return ret;
	} while (status >> 16);
	if (WSTOPSIG(status) == SIGTRAP)
		return 0;
	return ckpt_err_set(err, -EFAULT, "thread %d: signal %d while it was being restored",
			    r->tid, WSTOPSIG(status));
}

int remote_loop(struct remote *r, struct ckpt_err *err, uint64_t entries, size_t nr,
		size_t *ret_left)
{
	struct user_regs_struct regs;
	int e = aim(r, err, 0, REMOTE_ARGS(0));

	if (!e)
		e = trace(err, PTRACE_GETREGS, r->tid, &regs);
	regs.rip = r->loop;
	regs.rbx = entries;
	regs.rbp = nr;
	if (!e)
		e = trace(err, PTRACE_SETREGS, r->tid, &regs);
	if (!e)
		e = set_trap(r, err, true);
	if (!e)
		e = to_breakpoint(r, err);
	if (!e)
		e = set_trap(r, err, false);
	if (!e)
		e = trace(err, PTRACE_GETREGS, r->tid, &regs);
	if (!e)
		*ret_left = regs.rbp;
	return e;
}

int remote_write(const struct remote *r, struct ckpt_err *err, uint64_t addr, const void *buf,
		 size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = pwrite(r->mem, p, len, (off_t)addr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ckpt_err_sys(err, n < 0 ? errno : EIO,
					    "thread %d: write to its memory at %#llx", r->tid,
					    (unsigned long long)addr);
		p += n;
		addr += n;
		len -= n;
	}
	return 0;
}

int remote_read(const struct remote *r, struct ckpt_err *err, uint64_t addr, void *buf,
		size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = pread(r->mem, p, len, (off_t)addr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ckpt_err_sys(err, n < 0 ? errno : EIO,
					    "thread %d: read of its memory at %#llx", r->tid,
					    (unsigned long long)addr);
		p += n;
		addr += n;
		len -= n;
	}
	return 0;
}

int remote_settle(struct remote *r, struct ckpt_err *err)
{
	int e;

	/*
	 * Every trap eats an interrupt that is pending, so it is asked for anew
	 * from the stop at hand.
	 */
	e = trace(err, PTRACE_INTERRUPT, r->tid, NULL);
	if (!e)
		e = trace(err, PTRACE_CONT, r->tid, NULL);
	return e ? e : await_event_stop(err, r->tid);
}

int remote_release(struct remote *r, struct ckpt_err *err)
{
	return trace(err, PTRACE_DETACH, r->tid, NULL);
}

void remote_bury(pid_t tid)
{
	int status;

	/* A stop on the way to its end is possible, and is left by itself. */
	while (waitpid(tid, &status, __WALL) < 0 ? errno == EINTR : WIFSTOPPED(status))
		;
}
