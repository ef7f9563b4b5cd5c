/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_TARGET_H
#define _CKPT_TARGET_H

#include <linux/cleanup.h>
#include <linux/sched.h>

struct ckpt_why;

int ckpt_target_get(pid_t nr, struct ckpt_why *why, struct task_struct **ret_leader);
int ckpt_target_check(struct task_struct *leader, struct ckpt_why *why);
pid_t ckpt_task_nr(struct task_struct *task);
int ckpt_target_check_sharers(struct task_struct *leader, struct mm_struct *mm,
			      unsigned int threads, struct ckpt_why *why);

#endif /* _CKPT_TARGET_H */
