// SPDX-License-Identifier: GPL-2.0-only
/*
 * Others: shared memory that the snapshot of another process holds need not be copied
 * again. Several processes of a tree are frozen and captured one after the other; what
 * they share is the same for all of them.
 *
 * A mapping is left out when one mapping in one of the others shows all of it that this
 * one does, whatever page tables have of it, for shared memory is read through the file.
 * Only what was really copied counts: not what the other itself has left to a third.
 *
 * Owns references to the others' files for the time of a capture. Their mappings do not
 * change after they are published, so there is nothing to lock; that one is given up under
 * memory pressure is for its reader to find.
 */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/ckpt.h>
#include "alloc.h"
#include "area.h"
#include "others.h"
#include "picture.h"

/**
 * ckpt_others_get - look up the snapshots a caller names
 * @others: zeroed; to be given back by ckpt_others_put(), also on error
 * @fds: address of an array of descriptors, s32 each
 * @nr: how many
 *
 * Return: 0; -EINVAL (too many, or not a snapshot), -EBADF, -EFAULT, -ENOMEM.
 */
int ckpt_others_get(struct ckpt_others *others, u64 fds, u32 nr)
{
	const s32 __user *from = u64_to_user_ptr(fds);
	s32 fd;

	if (nr > CKPT_OTHERS_MAX)
		return -EINVAL;
	if (!nr)
		return 0;
	others->files = ckpt_alloc_array(nr, sizeof(*others->files));
	if (!others->files)
		return -ENOMEM;
	while (others->nr < nr) {
		struct file *file;

		if (get_user(fd, &from[others->nr]))
			return -EFAULT;
		file = fget(fd);
		if (!file)
			return -EBADF;
		others->files[others->nr++] = file;
		if (!ckpt_picture_of(file))
			return -EINVAL;
	}
	return 0;
}

void ckpt_others_put(struct ckpt_others *others)
{
	while (others->nr)
		fput(others->files[--others->nr]);
	kvfree(others->files);
	others->files = NULL;
}

static bool shows(const struct ckpt_area *other, const struct ckpt_area *area)
{
	return other->kind == CKPT_AREA_SHARED && !other->elsewhere &&
	       d_inode(other->path.dentry) == d_inode(area->path.dentry) &&
	       other->pgoff <= area->pgoff &&
	       other->pgoff + (other->end - other->start) >= area->pgoff + (area->end - area->start);
}

static bool holds(const struct ckpt_areas *areas, const struct ckpt_area *area)
{
	/* One that was forked has it where its parent has it. */
	const struct ckpt_area *there = ckpt_areas_find(areas, area->start);
	unsigned int i;

	if (there && shows(there, area))
		return true;
	for (i = 0; i < areas->nr; i++)
		if (shows(&areas->v[i], area))
			return true;
	cond_resched();
	return false;
}

/**
 * ckpt_others_mark - mark the shared mappings that need not be copied
 * @others: snapshots
 * @areas: just taken; the caller's alone
 */
void ckpt_others_mark(const struct ckpt_others *others, struct ckpt_areas *areas)
{
	struct ckpt_area *area;
	unsigned int i;

	for (area = areas->v; area < areas->v + areas->nr; area++) {
		if (area->kind != CKPT_AREA_SHARED)
			continue;
		for (i = 0; i < others->nr && !area->elsewhere; i++)
			area->elsewhere = holds(&ckpt_picture_of(others->files[i])->areas, area);
	}
}
