/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_FREEZE_H
#define _CKPT_FREEZE_H

#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/task_work.h>
#include <linux/types.h>

struct ckpt_frozen;
struct ckpt_why;

enum ckpt_thread_state {
	CKPT_THREAD_QUEUED,	/* asked to park, not there yet */
	CKPT_THREAD_PARKED,	/* at the border to user mode, waits for the thaw */
	CKPT_THREAD_ASLEEP,	/* interruptible sleep, left as it is */
	CKPT_THREAD_HALTED,	/* stopped by job control or a tracer */
	CKPT_THREAD_GONE,	/* exits */
};

/**
 * struct ckpt_thread - one thread of a frozen target
 * @link: in ckpt_freeze.threads, in order of creation, leader first
 * @task: reference
 * @frozen: what it belongs to
 * @park: work that parks it; holds a reference to @frozen while queued
 * @nudge: work whose only purpose is to end an interruptible sleep; likewise
 * @state: enum ckpt_thread_state. Written by the freezer, and by the thread itself
 *	for the steps QUEUED/ASLEEP/HALTED -> PARKED and any -> GONE (cmpxchg)
 * @settled: @state in which it was last found still; the freezer's alone
 * @nudged: @nudge has been used
 * @switches: context switches when it was found asleep or halted
 */
struct ckpt_thread {
	struct list_head link;
	struct task_struct *task;
	struct ckpt_frozen *frozen;
	struct callback_head park;
	struct callback_head nudge;
	int state;
	int settled;
	bool nudged;
	unsigned long switches;
};

/**
 * struct ckpt_pause - how long a freeze has been, for every picture taken in it
 * @refs: the freeze's, and one for each picture
 * @ns: 0 while it lasts
 */
struct ckpt_pause {
	refcount_t refs;
	u64 ns;
};

struct ckpt_freeze_stats {
	u64 freeze_ns;
	unsigned int threads, parked, asleep, woken;
};

int ckpt_freeze_begin(struct task_struct *leader, unsigned int timeout_ms,
		      struct ckpt_why *why, struct ckpt_frozen **ret_frozen);
ktime_t ckpt_freeze_deadline(struct ckpt_frozen *frozen);
int ckpt_freeze_resettle(struct ckpt_frozen *frozen, bool wake_more, struct ckpt_why *why);
bool ckpt_freeze_steady(struct ckpt_frozen *frozen);
bool ckpt_freeze_hold(struct ckpt_frozen *frozen);
void ckpt_freeze_release(struct ckpt_frozen *frozen);
u64 ckpt_freeze_age_ns(struct ckpt_frozen *frozen);
u64 ckpt_freeze_end(struct ckpt_frozen *frozen);

struct task_struct *ckpt_frozen_leader(struct ckpt_frozen *frozen);
unsigned int ckpt_frozen_users(struct ckpt_frozen *frozen);
struct mm_struct *ckpt_frozen_mm(struct ckpt_frozen *frozen);
struct list_head *ckpt_frozen_threads(struct ckpt_frozen *frozen);
struct ckpt_pause *ckpt_frozen_get_pause(struct ckpt_frozen *frozen);
void ckpt_pause_put(struct ckpt_pause *pause);
void ckpt_frozen_stats(struct ckpt_frozen *frozen, struct ckpt_freeze_stats *stats);

void ckpt_freeze_exit(void);

#endif /* _CKPT_FREEZE_H */
