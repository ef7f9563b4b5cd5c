/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * segment.h - System V shared memory segments that are attached: in section META_SUB_MAPPED of the first
 * mapping, as the rest of what is in nobody's pages (nameless.h), behind what shmctl(2) tells of one.
 *
 * The number of a segment is the inode number of its mappings, its size that of the file, what a mapping of
 * it is called has the key it was made with.
 */
#ifndef CKPT_SEGMENT_H
#define CKPT_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "state.h"

struct buf;
struct ckpt_err;

/* As in the image, little-endian. */
struct segment_head {
	int32_t		key;		/* 0: IPC_PRIVATE, or it was removed */
	uint32_t	uid, gid;
	uint32_t	cuid, cgid;	/* who made it */
	uint32_t	mode;		/* with SHM_DEST and SHM_LOCKED */
	int32_t		cpid;		/* the process that did, 0: it cannot be told */
	uint32_t	zero;
};

static inline bool segment_maps(const struct ckpt_model_vma *v)
{
	return v->rec.flags & CKPT_VMA_SYSVSHM;
}

/* snap-segment.c: append what the image holds of the one that @v maps, @fd being open on it.  0 or -errno. */
int segment_read(const struct ckpt_model *model, const struct ckpt_model_vma *v, int fd, struct buf *content);

#endif
