/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_CALLS_H
#define _CKPT_CALLS_H

#include <linux/types.h>

struct task_struct;

bool ckpt_call_may_stay_asleep(struct task_struct *task);

#endif /* _CKPT_CALLS_H */
