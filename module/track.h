/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_TRACK_H
#define _CKPT_TRACK_H

#include <linux/bitops.h>
#include <linux/pgtable.h>
#include <linux/types.h>
#include <uapi/linux/ckpt.h>

struct ckpt_pages;
struct ckpt_track;
struct mm_struct;

/* Of the 2 MiB that one page table maps: pages whose content is in the last generation. */
struct ckpt_cover {
	DECLARE_BITMAP(bits, PTRS_PER_PTE);
	struct rcu_head rcu;
};

int ckpt_track_get(struct mm_struct *mm, struct ckpt_track **ret_track);
void ckpt_track_put(struct ckpt_track *track);
bool ckpt_track_is_of(const struct ckpt_track *track, const struct mm_struct *mm);

enum ckpt_full ckpt_track_begin(struct ckpt_track *track, const void *owner, const u8 *parent);
void ckpt_track_end(struct ckpt_track *track, const void *owner);
int ckpt_track_commit(struct ckpt_track *track, const void *owner, const u8 *id, bool pin);
void ckpt_track_forget(struct ckpt_track *track, struct ckpt_pages *pages);

void ckpt_track_uncover(struct ckpt_track *track, unsigned long start, unsigned long end);
struct ckpt_cover *ckpt_track_cover(struct ckpt_track *track, unsigned long addr);
void ckpt_track_touch(struct mm_struct *mm, unsigned long start, unsigned long nr);
bool ckpt_track_is_watched(struct ckpt_track *track);
bool ckpt_untrack(struct mm_struct *mm);

int ckpt_track_init(void);
void ckpt_track_exit(void);

#endif /* _CKPT_TRACK_H */
