/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_TIMERS_H
#define _CKPT_TIMERS_H

#include <linux/types.h>
#include <uapi/linux/ckpt.h>

struct ckpt_records;
struct task_struct;

struct ckpt_cpu_times {
	u64 user, total, runtime;
};

/**
 * struct ckpt_timers - setitimer and timer_create timers of a process
 * @times: processor time of the group
 * @interval: ITIMER_REAL, VIRTUAL, PROF
 * @posix: room for @cap
 * @nr: how many there are, perhaps more than fit
 */
struct ckpt_timers {
	struct ckpt_cpu_times times;
	struct ckpt_rec_itimer interval[3];
	struct ckpt_rec_posix_timer *posix;
	unsigned int nr, cap;
};

void ckpt_timers_sample(struct ckpt_timers *timers, struct task_struct *leader);
int ckpt_timers_copy(struct ckpt_timers *timers, struct task_struct *leader);
int ckpt_timers_make_room(struct ckpt_timers *timers);
void ckpt_timers_add(struct ckpt_records *r, const struct ckpt_timers *timers);
void ckpt_timers_free(struct ckpt_timers *timers);

#endif /* _CKPT_TIMERS_H */
