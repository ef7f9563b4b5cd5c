// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-pidfd.c - pidfd_open(2): a process, which may have ended.  No state.
 *
 * Until Linux 6.9 it is an anonymous inode, since then a file of pidfs.  Its fdinfo tells the number of the
 * process in the name space of the proc file system it is read by; so it is read in the pause, and the
 * image has number, start and boot: a number alone may be another process's by then.
 *
 *  - A process of the snapshot: opened by its number in the child (adopt), for only then it is there.
 *  - Another that is the same still: opened by us.
 *  - One that has ended and was waited for, before the snapshot or since; or of another boot: one of ours
 *    that has.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kind.h"
#include "proc-stat.h"
#include "restore-files.h"
#include "snap.h"
#include "util.h"

#define PIDFS_MAGIC	0x50494446	/* linux/magic.h */

/* The children of a tree are made one after the other: how long one waits for another at most. */
#define WAIT_NS		(10 * NSEC_PER_SEC)
#define STEP_NS		1000000

/* What the image has of one: little-endian, 32 bytes. */
struct whose {
	int32_t pid;		/* -1: it had ended, and was waited for */
	uint32_t zero;
	uint64_t start;		/* field 22 of /proc/PID/stat */
	char boot[16];		/* of /proc/sys/kernel/random/boot_id */
};

static bool is_pidfd(const struct ckpt_model_fd *fd)
{
	return fd_kind_is_anon(fd, "[pidfd]") || fd->rec.id.fs_magic == PIDFS_MAGIC;
}

static void judge_pidfd(const struct fd_case *c)
{
	const uint32_t flags = c->fd->rec.file_flags & ~(uint32_t)(O_ACCMODE | O_NONBLOCK | O_CLOEXEC | O_LARGEFILE);

	if (flags & O_EXCL)
		refuse_fd(c, "is a pidfd of a thread (PIDFD_THREAD)", "close it before the snapshot");
	else if (flags)
		refuse_fd(c, "is a pidfd with flags this version does not know", "close it before the snapshot");
}

/* ------------------------------------------------------------ in the pause */

static bool saves_pidfd(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	return true;
}

/* The process a pidfd is of: -1 it has ended, 0 it has no number here.  0 or -errno. */
static int read_number(pid_t pid, int fd, int32_t *ret)
{
	char path[64], line[256];
	int r = -ENODATA;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (r && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %" SCNd32, ret) == 1)
			r = 0;
	fclose(f);
	return r;
}

static int read_start(pid_t pid, uint64_t *ret)
{
	struct proc_stat st;
	int r = proc_stat_read(pid, &st);

	*ret = r ? 0 : st.start_ticks;
	return r;
}

static int read_boot(char boot[16])
{
	char text[40] = "";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	int n = 0;

	if (!f)
		return -errno;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	for (const char *c = text; *c && n < 16; c += c[0] == '-' ? 1 : 2) {
		unsigned int byte;

		if (*c != '-' && sscanf(c, "%2x", &byte) != 1)
			return -EIO;
		if (*c != '-')
			boot[n++] = (char)byte;
	}
	return n == 16 ? 0 : -EIO;
}

static int read_whose(const struct ckpt_model *model, const struct ckpt_model_fd *fd, struct whose *w)
{
	int32_t again;
	int r = read_number(model->proc.pid, fd->rec.fd, &w->pid);

	if (r || w->pid <= 0)
		return r;
	r = read_boot(w->boot);
	if (r)
		return r;
	r = read_start(w->pid, &w->start);
	/* It may have ended meanwhile, and its number be another's. */
	if (!r || r == -ENOENT || r == -ESRCH)
		r = read_number(model->proc.pid, fd->rec.fd, &again);
	if (!r && again != w->pid)
		*w = (struct whose){ .pid = again };
	return r;
}

static int save_pidfd(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		      struct ckpt_err *err, struct snap_deleted *d)
{
	struct whose w = { 0 };
	int r = read_whose(model, fd, &w);

	if (!r && !w.pid)
		return ckpt_err_set(err, -EOPNOTSUPP, "process %d: fd %d (%s): is a pidfd of a process of another "
				    "name space; close it before the snapshot", model->proc.pid, fd->rec.fd, fd->path);
	if (!r)
		r = buf_append(&d->content, &w, sizeof(w));
	return r ? ckpt_err_sys(err, r, "process %d: fd %d: whose pidfd it is", model->proc.pid, fd->rec.fd) : 0;
}

/* ------------------------------------------------------------ restore, in our process */

static int load_whose(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, struct whose *w)
{
	int section = f->rec.kind == CKPT_FDK_ANON ? restore_files_section(rs, f) :
		      restore_files_section_of_inode(rs, &f->rec.id);
	size_t len = 0;
	void *data = NULL;
	int r = section < 0 ? 0 : image_load(rs->image, (uint32_t)section, rs->err, &data, &len);

	if (r)
		return r;
	if (section < 0 || len != sizeof(*w))
		r = ckpt_err_set(rs->err, -EINVAL, "%s: the image does not tell whose its pidfd is", thing);
	else
		memcpy(w, data, sizeof(*w));
	free(data);
	return r;
}

/* Whether it is one of those that are restored, zombies among them. */
static bool is_restored(const struct restore *rs, pid_t pid)
{
	for (size_t i = 0; i < rs->set->nr; i++)
		if (rs->set->v[i].m->proc.pid == pid)
			return true;
	return tree_find(&rs->set->tree, pid);
}

/* The pidfd of a process that has ended and was waited for. */
static int open_ended(void)
{
	int fd = -1, status;
	struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&fd };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(0);
	/* No signal tells of its end: __WALL. */
	while (waitpid((pid_t)pid, &status, __WALL) < 0)
		if (errno != EINTR) {
			int r = -errno;

			close(fd);
			return r;
		}
	return fd;
}

/* The pidfd of that very process; -ESRCH: there is no such one any more. */
static int open_same(const struct whose *w)
{
	char boot[16];
	uint64_t start;
	int fd, r;

	if (read_boot(boot) || memcmp(boot, w->boot, sizeof(boot)))
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	if (fd < 0)
		return errno == EINVAL ? -ESRCH : -errno;	/* a thread has it now */
	r = read_start(w->pid, &start);
	if (!r && start == w->start)
		return fd;
	close(fd);
	return !r || r == -ENOENT || r == -ESRCH ? -ESRCH : r;
}

static int open_pidfd(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		      bool *ret_borrowed)
{
	struct whose w;
	int r = load_whose(rs, thing, f, &w), fd;

	if (r)
		return r;
	if (w.pid > 0 && is_restored(rs, w.pid)) {
		/* In its place until adopt_pidfd(), which learns from it which one. */
		restore_files_pidfd(rs, f, w.pid);
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return fd < 0 ? ckpt_err_sys(rs->err, errno, "/dev/null") : fd;
	}
	fd = w.pid > 0 ? open_same(&w) : -ESRCH;
	if (fd == -ESRCH)
		fd = open_ended();
	if (fd < 0)
		return ckpt_err_sys(rs->err, fd, "%s: make a pidfd", thing);
	if (fcntl(fd, F_SETFL, (int)(f->rec.file_flags & O_NONBLOCK)) < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: set the flags of a pidfd", thing);
		close(fd);
		return r;
	}
	return fd;
}

/* ------------------------------------------------------------ restore, in the child */

/* It may be about to be made. */
static int open_number(pid_t pid, unsigned int flags)
{
	const struct timespec step = { .tv_nsec = STEP_NS };
	const uint64_t end = util_clock_ns(CLOCK_MONOTONIC) + WAIT_NS;
	int fd;

	do {
		fd = (int)syscall(SYS_pidfd_open, pid, flags);
		/* EINVAL: the number is taken, and its process not there yet. */
		if (fd >= 0 || (errno != ESRCH && errno != EINVAL))
			return fd < 0 ? -errno : fd;
		nanosleep(&step, NULL);
	} while (util_clock_ns(CLOCK_MONOTONIC) < end);
	return -ESRCH;
}

static int adopt_pidfd(const struct restore *rs, const struct ckpt_model_fd *f, int fd,
		       const char **ret_what)
{
	pid_t pid = restore_files_pid_of(rs, f);
	int made, r;

	if (!pid)
		return 0;
	*ret_what = "open a pidfd of one of its processes";
	made = open_number(pid, f->rec.file_flags & O_NONBLOCK);
	if (made < 0)
		return made;
	r = restore_files_replace(rs, f, made);
	close(made);
	return r;
}

const struct fd_kind kind_pidfd = {
	.what = "a pidfd", .is = is_pidfd, .judge = judge_pidfd, .saves = saves_pidfd, .save = save_pidfd,
	.open = open_pidfd, .adopt = adopt_pidfd,
};
