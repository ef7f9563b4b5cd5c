/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_ARM_H
#define _CKPT_ARM_H

#include <linux/types.h>

struct ckpt_pages;
struct ckpt_track;
struct ckpt_why;
struct mm_struct;

struct ckpt_arm_stats {
	u64 armed, armed_huge, copied, zero, faulted;
	u64 parent, dirty, uncovered;
};

/* What the walk has to know of tracking; @track NULL: nothing. */
struct ckpt_harvest {
	struct ckpt_track *track;
	bool delta;		/* pages that have not changed are left out */
	unsigned int users;	/* of the mm: the frozen threads, and who froze them */
};

int ckpt_arm_prepare(struct mm_struct *mm, struct ckpt_pages *pages, struct ckpt_why *why,
		     struct ckpt_arm_stats *stats);
int ckpt_arm(struct mm_struct *mm, struct ckpt_pages *pages, const struct ckpt_harvest *harvest,
	     struct ckpt_why *why, struct ckpt_arm_stats *stats);

#endif /* _CKPT_ARM_H */
