// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-shown.c - files in which the kernel shows its state (proc(5), sysfs(5)), open for reading.  No state.
 *
 * Such a file is opened by its name again, and goes on where it was read to: what is read from there is what
 * the kernel shows then, as for a program that has taken its time.  Those that are written to, that show
 * another process, or a thread, are refused, and so are directories.
 *
 *  - Of the process itself: opened in the child (adopt), whom it shows.
 *  - Of the whole machine: opened by us.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kind.h"
#include "restore-files.h"

#define PROC	"/proc/"
#define KNOWN	(O_NONBLOCK | O_NOATIME | O_NOFOLLOW | O_CLOEXEC | KIND_LARGEFILE)

static bool is_shown(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_REG && fd->path &&
	       (fd->rec.id.fs_magic == PROC_SUPER_MAGIC || fd->rec.id.fs_magic == SYSFS_MAGIC);
}

/* The process that it shows; 0: none. @ret_name: what it is called there. */
static long shows(const struct ckpt_model_fd *f, const char **ret_name)
{
	char *end = f->path;
	long pid = 0;

	if (!strncmp(f->path, PROC, strlen(PROC)) && isdigit((unsigned char)f->path[strlen(PROC)]))
		pid = strtol(f->path + strlen(PROC), &end, 10);
	*ret_name = end;
	return pid;
}

/* All that can be read of itself, and is of no thread or number of a file. */
static bool is_own(const struct ckpt_model *model, const struct ckpt_model_fd *f)
{
	const char *name;

	return shows(f, &name) == model->proc.pid && *name == '/' && !strchr(name + 1, '/');
}

static void judge_shown(const struct fd_case *c)
{
	const struct ckpt_rec_fd *r = &c->fd->rec;
	const char *fs = judge_pseudo_fs(r->id.fs_magic), *name;

	if (r->path_flags)
		refuse_fd(c, "cannot be reached by a path", "close it before the snapshot");
	else if ((r->file_flags & O_ACCMODE) != O_RDONLY)
		judge_refuse(c->j, "fd", r->fd, c->fd->path, "close it before the snapshot",
			     "is a file of %s, which shows state of the kernel, and is open for writing", fs);
	else if (r->file_flags & ~(uint32_t)KNOWN)
		judge_refuse(c->j, "fd", r->fd, c->fd->path, "use newer tools",
			     "is a file of %s, and has flags this version does not know", fs);
	else if (shows(c->fd, &name) && !is_own(c->model, c->fd))
		judge_refuse(c->j, "fd", r->fd, c->fd->path, "close it before the snapshot",
			     "is a file of %s, which shows another process or a thread", fs);
}

/* At where it was read to; -errno. */
static int open_there(const struct ckpt_model_fd *f)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (int)(f->rec.file_flags & (O_NONBLOCK | O_NOATIME)));
	int r = 0;
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0)
		r = -errno;
	else if ((uint32_t)fs.f_type != f->rec.id.fs_magic)
		r = -ESTALE;
	else if (f->rec.pos && lseek(fd, (off_t)f->rec.pos, SEEK_SET) < 0)
		r = -errno;
	if (r)
		close(fd);
	return r ? r : fd;
}

static int open_shown(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, bool *ret_borrowed)
{
	int fd;

	/* In its place until adopt_shown(). */
	if (is_own(rs->m, f)) {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return fd < 0 ? ckpt_err_sys(rs->err, errno, "/dev/null") : fd;
	}
	fd = open_there(f);
	return fd < 0 ? ckpt_err_sys(rs->err, fd, "%s: open %s where it was", thing, f->path) : fd;
}

static int adopt_shown(const struct restore *rs, const struct ckpt_model_fd *f, int fd, const char **ret_what)
{
	int made, r;

	if (!is_own(rs->m, f))
		return 0;
	*ret_what = "open a file of /proc that shows it";
	made = open_there(f);
	if (made < 0)
		return made;
	r = restore_files_replace(rs, f, made);
	close(made);
	return r;
}

const struct fd_kind kind_shown = {
	.what = "a file that shows state of the kernel", .is = is_shown, .judge = judge_shown,
	.open = open_shown, .adopt = adopt_shown,
};
