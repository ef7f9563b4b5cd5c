// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * write-behind.c - keeps a file that is written front to back from filling the page cache.
 *
 * An image can be as large as memory.  Left to itself it pushes out what the program has in the page
 * cache, and the fsync at its end keeps the disk busy for as long as all of it takes, with the program's
 * own fsyncs waiting behind.  So the file is cut into windows: when one has been written its writeback
 * begins, that of the one before it is waited for, and the pages of that one are let go.  Some two
 * windows are in memory at any time, and the disk works all along.
 *
 * The kernel tells an error of writeback once for each open file, to whoever asks first.  That may be
 * this file now, and fsync() would say that all is well: so the error is the writer's.
 *
 * Sources: sync_file_range(2), posix_fadvise(2).
 */
#include <errno.h>
#include <fcntl.h>

#include "write-behind.h"

#define WINDOW	(8u << 20)

#define FINISH	(SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)

static int next_window(struct write_behind *b, int fd)
{
	uint64_t last = b->begun - WINDOW;

	if (sync_file_range(fd, b->begun, WINDOW, SYNC_FILE_RANGE_WRITE)) {
		/* A pipe; a file system that has no such thing.  It waits for nothing, so it hides nothing. */
		b->off = errno == ESPIPE || errno == EINVAL || errno == ENOSYS;
		return b->off ? 0 : -errno;
	}
	if (b->begun && sync_file_range(fd, last, WINDOW, FINISH))
		return -errno;
	if (b->begun)
		posix_fadvise(fd, last, WINDOW, POSIX_FADV_DONTNEED);
	b->begun += WINDOW;
	return 0;
}

int write_behind(struct write_behind *b, int fd, uint64_t written)
{
	int ret = 0;

	while (!b->off && !ret && written - b->begun >= WINDOW)
		ret = next_window(b, fd);
	return ret;
}
