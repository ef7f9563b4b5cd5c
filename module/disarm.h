/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_DISARM_H
#define _CKPT_DISARM_H

struct ckpt_pages;
struct mm_struct;

void ckpt_disarm(struct mm_struct *mm, struct ckpt_pages *pages);

#endif /* _CKPT_DISARM_H */
