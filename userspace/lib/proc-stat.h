/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc-stat.h - what /proc/PID/stat tells of a process, proc(5).
 */
#ifndef CKPT_PROC_STAT_H
#define CKPT_PROC_STAT_H

#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	char		comm[64];
	char		state;
	pid_t		ppid, pgid, sid;
	unsigned int	flags;		/* PF_*, linux/sched.h */
	uint64_t	start_ticks;	/* since boot, of sysconf(_SC_CLK_TCK) a second */
	int		exit_signal;	/* what its parent is told its end by; 0: nothing */
	int		status;		/* of one that has ended, as wait(2) tells it, for those who may trace it; or 0 */
};

/* 0 or -errno; -ENOENT or -ESRCH: there is none; -EIO: it cannot be read. */
int proc_stat_read(pid_t pid, struct proc_stat *ret);

#endif
