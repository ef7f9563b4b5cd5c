/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_SYMBOLS_H
#define _CKPT_SYMBOLS_H

#include <linux/task_work.h>
#include <linux/types.h>

struct file;
struct inode;
struct mm_struct;
struct mmu_notifier_range;
struct path;
struct task_struct;

int ckpt_symbols_init(void);

bool ckpt_ptrace_may_access(struct task_struct *task, unsigned int mode);
int ckpt_task_work_add(struct task_struct *task, struct callback_head *work,
		       enum task_work_notify_mode mode);
bool ckpt_task_work_cancel(struct task_struct *task, struct callback_head *work);
void ckpt_flush_tlb_mm(struct mm_struct *mm);
void ckpt_notifier_begin(struct mmu_notifier_range *range);
void ckpt_notifier_end(struct mmu_notifier_range *range);
bool ckpt_has_lease(const struct inode *inode, const struct file *holder);
struct file *ckpt_open_quietly(const struct path *path, int flags);

#endif /* _CKPT_SYMBOLS_H */
