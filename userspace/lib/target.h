/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * target.h - the process a snapshot is taken of, held so that its number cannot be taken for
 * another's.
 *
 * A pidfd is opened before the kernel is asked for anything and looked at afterwards: as long as
 * that process has not ended its number was not given to anyone else in between.
 */
#ifndef CKPT_TARGET_H
#define CKPT_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct target {
	pid_t		pid;
	int		pidfd;
	uint64_t	start_ticks;	/* field 22 of /proc/PID/stat */
	uint64_t	rss_bytes;	/* anonymous and shared memory, an estimate of the image */
	char		comm[32];
};

#define TARGET_INIT	{ .pidfd = -1 }

/*
 * -EINVAL: not a process number, or a thread's; -ESRCH: no such process, or a zombie; -EDEADLK:
 * the caller; -EOPNOTSUPP: a kernel thread.
 */
int target_open(pid_t pid, struct ckpt_err *err, struct target *ret_target);
void target_close(struct target *t);

/* Whether it has ended (all its threads). */
bool target_ended(const struct target *t);

/*
 * After the kernel gave a session or snapshot for t->pid: -ESRCH unless it must have been this
 * process.  @start_boottime_ns is ckpt_rec_proc's, 0 when not known yet.
 */
int target_verify(const struct target *t, uint64_t start_boottime_ns, struct ckpt_err *err);

/* SIGKILL. */
int target_kill(const struct target *t, struct ckpt_err *err);

/* Wait until it has ended.  -ETIMEDOUT after @timeout_ms. */
int target_wait(const struct target *t, int timeout_ms, struct ckpt_err *err);

#endif
