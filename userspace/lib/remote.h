/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remote.h - system calls made in the name of another thread, by ptrace.
 *
 * The thread is seized (PTRACE_SEIZE) and stands in a ptrace stop.  A call sets
 * its registers to a `syscall' instruction in its memory and lets it run from
 * system call entry to system call exit.  No instruction after that is ever
 * executed and no signal is involved, so neither signal actions nor masks are
 * touched.  All signals of the thread must be blocked meanwhile.
 *
 * All functions must be called by the thread that seized.
 */
#ifndef CKPT_LIB_REMOTE_H
#define CKPT_LIB_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "err.h"

/**
 * struct remote - one thread under our hand
 * @tid: it
 * @insn: address of a syscall instruction in its memory
 * @scratch: writable memory of it, for arguments; what is there is lost
 * @scratch_len: its size
 * @mem: /proc/PID/mem of its process, borrowed
 * @loop: address of the loop of remote-queue.h, 0 as long as there is none
 */
struct remote {
	pid_t tid;
	uint64_t insn;
	uint64_t loop;
	uint64_t scratch;
	size_t scratch_len;
	int mem;
};

/*
 * Seize @tid and bring it to a stop.  It dies when the caller does, as long as
 * it is not released; threads it makes are seized too.
 */
int remote_seize(pid_t tid, struct ckpt_err *err);

/*
 * From now on it does not have to obey its seccomp filters, nor have threads it makes, as long as they are
 * ours.  -EPERM without CAP_SYS_ADMIN, or when the caller has filters itself.
 */
int remote_suspend_seccomp(pid_t tid, struct ckpt_err *err);

/* Wait for the first stop of a thread that was seized by being cloned. */
int remote_await_new(pid_t tid, struct ckpt_err *err);

/*
 * Make a call.  The result as the kernel returns it, errors as -errno, in
 * @ret.  Returns an error only when the thread did not come back.
 */
int remote_try(struct remote *r, struct ckpt_err *err, long nr, const uint64_t args[6],
	       long *ret);

/*
 * Make a call that must succeed; @what names step and thing.  @ret may be NULL.
 */
int remote_call(struct remote *r, struct ckpt_err *err, const char *what, long nr,
		const uint64_t args[6], long *ret);

#define REMOTE_ARGS(...)	((const uint64_t[6]){ __VA_ARGS__ })

/*
 * Make a call that is interrupted at once should it have to sleep: the kernel
 * then notes how to take it up again, and @ret is -516 (ERESTART_RESTARTBLOCK).
 */
int remote_interrupted_call(struct remote *r, struct ckpt_err *err, long nr,
			    const uint64_t args[6], long *ret);

/* Run the loop over @nr entries at @entries; @ret_left of them were not or not well done. */
int remote_loop(struct remote *r, struct ckpt_err *err, uint64_t entries, size_t nr,
		size_t *ret_left);

/* Copy to and from the memory of the process; memory protection does not matter. */
int remote_write(const struct remote *r, struct ckpt_err *err, uint64_t addr, const void *buf,
		 size_t len);
int remote_read(const struct remote *r, struct ckpt_err *err, uint64_t addr, void *buf,
		size_t len);

/*
 * Bring the thread to a stop on its way back to user mode, where the kernel
 * looks for signals and for calls to restart.  Registers set in that stop are
 * taken as those of the interrupted program.
 */
int remote_settle(struct remote *r, struct ckpt_err *err);

/* The thread goes on; nobody traces it any more. */
int remote_release(struct remote *r, struct ckpt_err *err);

/* Wait for the end of a thread that is dying. */
void remote_bury(pid_t tid);

#endif
