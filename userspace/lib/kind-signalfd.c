// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-signalfd.c - signalfd(2): the signals that can be read from it, which its fdinfo tells.  What is
 * pending is the process's and its threads', not the signalfd's.  No state.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "kind.h"
#include "restore-files.h"

static bool is_signalfd(const struct ckpt_model_fd *fd)
{
	return fd_kind_is_anon(fd, "[signalfd]");
}

static bool parse(const struct ckpt_model_fd *fd, uint64_t *ret_mask)
{
	return fd_kind_info(fd, "sigmask:", 16, ret_mask);
}

static void judge_signalfd(const struct fd_case *c)
{
	uint64_t mask;

	if (!parse(c->fd, &mask))
		refuse_fd(c, "is a signalfd the kernel does not tell enough of",
			  "close it before the snapshot");
}

static int open_signalfd(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
			 bool *ret_borrowed)
{
	sigset_t set;
	uint64_t mask;
	int fd, r;

	if (!parse(f, &mask))
		return ckpt_err_set(rs->err, -EINVAL, "%s: the image does not tell the signals of its signalfd",
				    thing);
	/* By the kernel's numbers: sigaddset() leaves out those that the C library keeps for itself. */
	sigemptyset(&set);
	memcpy(&set, &mask, sizeof(mask));
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: make a signalfd", thing);
	if (fcntl(fd, F_SETFL, (int)f->rec.file_flags) < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: set the flags of a signalfd", thing);
		close(fd);
		return r;
	}
	return fd;
}

const struct fd_kind kind_signalfd = {
	.what = "a signalfd", .is = is_signalfd, .judge = judge_signalfd, .open = open_signalfd,
};
