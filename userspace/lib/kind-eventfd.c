// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-eventfd.c - eventfd(2): a counter.  Its fdinfo tells it, and whether it is a semaphore (proc(5);
 * before Linux 6.5 the module adds that).  No state.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kind.h"
#include "restore-files.h"

static bool is_eventfd(const struct ckpt_model_fd *fd)
{
	return fd_kind_is_anon(fd, "[eventfd]");
}

static bool parse(const struct ckpt_model_fd *fd, uint64_t *ret_count, uint64_t *ret_semaphore)
{
	return fd_kind_info(fd, "eventfd-count:", 16, ret_count) && *ret_count != UINT64_MAX &&
	       fd_kind_info(fd, "eventfd-semaphore:", 10, ret_semaphore);
}

static void judge_eventfd(const struct fd_case *c)
{
	uint64_t count, semaphore;

	if (!parse(c->fd, &count, &semaphore))
		refuse_fd(c, "is an eventfd the kernel does not tell enough of",
			  "close it before the snapshot");
}

static int open_eventfd(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
			bool *ret_borrowed)
{
	uint64_t count, semaphore;
	int fd;

	if (!parse(f, &count, &semaphore))
		return ckpt_err_set(rs->err, -EINVAL, "%s: the image does not tell what its eventfd held",
				    thing);
	fd = eventfd(0, EFD_CLOEXEC | (semaphore ? EFD_SEMAPHORE : 0));
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: make an eventfd", thing);
	/* By write(2): the call takes no more than 32 bits. */
	if ((count && write(fd, &count, sizeof(count)) != sizeof(count)) ||
	    fcntl(fd, F_SETFL, (int)f->rec.file_flags) < 0) {
		int r = ckpt_err_sys(rs->err, errno, "%s: set an eventfd to %llu", thing,
				     (unsigned long long)count);

		close(fd);
		return r;
	}
	return fd;
}

const struct fd_kind kind_eventfd = {
	.what = "an eventfd", .is = is_eventfd, .judge = judge_eventfd, .open = open_eventfd,
};
