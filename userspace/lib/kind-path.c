// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-path.c - O_PATH: a place in the file system, whatever is there, which is not open.  No state.
 *
 * It is looked up by its name again, and has to be of the kind it was; of what is in it nothing was read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kind.h"
#include "restore-files.h"

#define KNOWN	(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_LARGEFILE)

static bool is_path(const struct ckpt_model_fd *fd)
{
	return fd->rec.file_flags & O_PATH;
}

/* Whether the name leads to it: a link itself, where it is one. */
static void judge_name(const struct fd_case *c)
{
	const struct ckpt_rec_fd *r = &c->fd->rec;
	struct stat st;
	char link[64];

	if (!S_ISLNK(r->id.mode)) {
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", c->opts->pid, r->fd);
		judge_named(c->j, "fd", r->fd, c->fd->path, &r->id, link);
	} else if (!c->fd->path || lstat(c->fd->path, &st) || st.st_ino != r->id.ino) {
		refuse_fd(c, "the name belongs to another file by now", "close it before the snapshot");
	}
}

static void judge_path(const struct fd_case *c)
{
	const struct ckpt_rec_fd *r = &c->fd->rec;
	const char *pseudo = judge_pseudo_fs(r->id.fs_magic);

	if (pseudo)
		judge_refuse(c->j, "fd", r->fd, c->fd->path, "close it before the snapshot",
			     "is a file of %s, which shows state of the kernel (O_PATH)", pseudo);
	else if (r->path_flags)
		refuse_fd(c, r->path_flags & CKPT_PATHF_DELETED ? "was deleted (O_PATH)" :
			  "cannot be reached by a path (O_PATH)", "close it before the snapshot");
	else if (r->file_flags & ~(uint32_t)KNOWN)
		refuse_fd(c, "has flags this version does not know (O_PATH)", "use newer tools");
	else if (c->opts->pid)
		judge_name(c);
}

/* By exactly its flags: F_GETFL tells O_DIRECTORY and O_NOFOLLOW too. */
static int open_path(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		     bool *ret_borrowed)
{
	struct stat st;
	int fd, r = restore_look(rs, thing, f->path, (int)(f->rec.file_flags & (O_DIRECTORY | O_NOFOLLOW)), &fd);

	if (r)
		return r;
	if (fstat(fd, &st) < 0)
		r = ckpt_err_sys(rs->err, errno, "%s: stat %s", thing, f->path);
	else if ((st.st_mode & S_IFMT) != (f->rec.id.mode & S_IFMT))
		r = ckpt_err_set(rs->err, -ESTALE, "%s: %s is not the kind of file it was", thing, f->path);
	if (r)
		close(fd);
	return r ? r : fd;
}

const struct fd_kind kind_path = {
	.what = "a place in the file system", .is = is_path, .judge = judge_path, .open = open_path,
};
