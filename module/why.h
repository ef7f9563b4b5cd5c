/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_WHY_H
#define _CKPT_WHY_H

#include <linux/types.h>
#include <uapi/linux/ckpt.h>

/* Why a step failed: one errno serves several causes. Ends in the out_* fields. */
struct ckpt_why {
	enum ckpt_reason reason;
	pid_t tid;
	int syscall;
	unsigned long addr;
};

#define CKPT_WHY_INIT	{ .syscall = -1 }

/* Note a reason and hand the error through, to be used in a return statement. */
static inline int ckpt_because(struct ckpt_why *why, enum ckpt_reason reason, pid_t tid, int err)
{
	why->reason = reason;
	why->tid = tid;
	return err;
}

#endif /* _CKPT_WHY_H */
