/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write-behind.h - a file written front to back that leaves the page cache to others. */
#ifndef CKPT_WRITE_BEHIND_H
#define CKPT_WRITE_BEHIND_H

#include <stdbool.h>
#include <stdint.h>

struct write_behind {
	uint64_t	begun;		/* writeback has begun of what is before it */
	bool		off;		/* @fd is of a kind that knows nothing of this */
};

/*
 * @written bytes are in the file now: let go of those that are on the disk, and wait for some if many
 * are not.  0 or the error of writeback, which a later fsync() does not tell again.
 */
int write_behind(struct write_behind *b, int fd, uint64_t written);

#endif
