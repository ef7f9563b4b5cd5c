// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-fifo.c - mkfifo(3): a pipe with a name; and what the module tells of pipes with and without one
 * (module/state_pipe.c).  No state.
 *
 * One that nobody outside holds comes back with its bytes.  One that somebody else holds too is opened by
 * its name: what the program has written is the other's by then; what it has not read is refused.
 * Standard input, output and error are as with other pipes what the caller has, unless both ends are the
 * program's.
 *
 * None of the opens waits for the other end: where there was one that might be waited for, an open file
 * for both is there meanwhile.  Where there was none, there is none: a program that has not seen a writer
 * yet is not to see one go (POLLHUP).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kind.h"
#include "restore-files.h"

bool fd_pipe_facts(const struct ckpt_model_fd *fd, struct pipe_facts *ret)
{
	return fd_kind_info(fd, "pipe-readers:", 10, &ret->readers) &&
	       fd_kind_info(fd, "pipe-writers:", 10, &ret->writers) &&
	       fd_kind_info(fd, "pipe-bytes:", 10, &ret->bytes) &&
	       fd_kind_info(fd, "pipe-notifies:", 10, &ret->notifies) &&
	       fd_kind_info(fd, "pipe-hung-up:", 10, &ret->hung_up);
}

/* -EINVAL: not a list of runs that @bytes fit in. */
static int next_run(const char **at, size_t bytes, size_t *ret_len, bool *ret_packet)
{
	unsigned long long len;
	char *end;

	errno = 0;
	len = strtoull(*at, &end, 10);
	if (end == *at || errno || !len || len > bytes)
		return -EINVAL;
	*ret_packet = *end == 'p';
	*at = end + *ret_packet;
	*ret_len = (size_t)len;
	return **at && !strchr(" \n", **at) ? -EINVAL : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* So that nothing is added to what is written last: the kernel does not when it shares the page (tee). */
static int write_apart(int fd, const char *data, size_t len)
{
	char page[RESTORE_PAGE];
	int ours[2], r = 0;

	if (pipe2(ours, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	while (!r && len) {
		size_t n = len < sizeof(page) ? len : sizeof(page);

		r = write_all(ours[1], data, n);
		if (!r && (tee(ours[0], fd, n, SPLICE_F_NONBLOCK) != (ssize_t)n ||
			   read(ours[0], page, n) != (ssize_t)n))
			r = -EIO;
		data += n;
		len -= n;
	}
	close(ours[0]);
	close(ours[1]);
	return r;
}

/* A packet may be added to the bytes before it, if they leave room in their page; these had not. */
int fd_pipe_fill(const struct ckpt_model_fd *f, int fd, const char *data, size_t len)
{
	const char *runs = fd_kind_line(f, "pipe-runs:");
	const int flags = fcntl(fd, F_GETFL);
	size_t n = len;
	int r = 0;

	for (; !r && len; len -= n, data += n) {
		bool packet = false;

		if (runs)
			r = next_run(&runs, len, &n, &packet);
		if (!r && fcntl(fd, F_SETFL, packet ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
			r = -errno;
		if (!r)
			r = packet || n == len ? write_all(fd, data, n) : write_apart(fd, data, n);
	}
	if (!r && fcntl(fd, F_SETFL, flags) < 0)
		r = -errno;
	return r;
}

/* ------------------------------------------------------------ judge, save */

static bool is_fifo(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_FIFO && !(fd->rec.path_flags & CKPT_PATHF_NO_NAME);
}

/* Open files of the program that may do that.  Those that processes share count for each. */
static uint64_t count(const struct ckpt_model *model, const struct ckpt_model_fd *fd, uint32_t but)
{
	uint64_t nr = 0;

	for (size_t k = 0; k < ckpt_set_size(model); k++) {
		const struct ckpt_model *m = ckpt_set_model(model, k);

		for (size_t i = 0; i < m->nr_fds; i++) {
			const struct ckpt_rec_fd *r = &m->fds[i].rec;
			size_t first = 0;

			while (m->fds[first].rec.file != r->file)
				first++;
			nr += first == i && fd_kind_same(&m->fds[i], fd) && !(r->file_flags & O_PATH) &&
			      (r->file_flags & O_ACCMODE) != but;
		}
	}
	return nr;
}

static bool has_others(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		       const struct pipe_facts *p)
{
	return p->readers > count(model, fd, O_WRONLY) || p->writers > count(model, fd, O_RDONLY);
}

static void judge_fifo(const struct fd_case *c)
{
	const struct ckpt_rec_fd *r = &c->fd->rec;
	struct pipe_facts p;
	char link[64];

	if (!judge_other_end(c->model, c->fd) && judge_is_stdio(c))
		return;
	if (r->path_flags) {
		refuse_fd(c, r->path_flags & CKPT_PATHF_DELETED ? "is a named pipe that was deleted" :
			  "is a named pipe that cannot be reached by a path", "close it before the snapshot");
		return;
	}
	if (!fd_pipe_facts(c->fd, &p))
		refuse_fd(c, "is a named pipe, and this module does not tell what is in it",
			  "load the module of this version");
	else if (p.bytes && has_others(c->model, c->fd, &p) && count(c->model, c->fd, O_WRONLY))
		refuse_fd(c, "is a named pipe another process holds too, with bytes in it that were not read",
			  "take the snapshot again when they have been");
	if (!c->opts->pid)
		return;
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", c->opts->pid, r->fd);
	judge_named(c->j, "fd", r->fd, c->fd->path, &r->id, link);
}

static bool saves_fifo(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	struct pipe_facts p;

	return !(fd->rec.file_flags & O_PATH) && fd_pipe_facts(fd, &p) && p.bytes && !has_others(model, fd, &p);
}

/* ------------------------------------------------------------ restore */

/* The bytes it held, if it is empty now: what came since would have to be behind them. */
static int fill(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, int both)
{
	int section = restore_files_section_of_inode(rs, &f->rec.id), there = 0, size, r;
	size_t len = 0;
	void *data;

	if (section < 0)
		return 0;
	r = image_load(rs->image, (uint32_t)section, rs->err, &data, &len);
	if (r)
		return r;
	size = restore_pipe_capacity(rs, f);
	if (ioctl(both, FIONREAD, &there) < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: ask for the bytes in %s", thing, f->path);
	} else if (there) {
		r = ckpt_err_set(rs->err, -EBUSY, "%s: somebody has written to %s since", thing, f->path);
		ckpt_err_hint(rs->err, "read what is in it first, or have whoever holds it end");
	} else if ((size && fcntl(both, F_GETPIPE_SZ) != size && fcntl(both, F_SETPIPE_SZ, size) < 0) ||
		   (errno = -fd_pipe_fill(f, both, data, len))) {
		r = ckpt_err_sys(rs->err, errno, "%s: fill %s", thing, f->path);
	}
	free(data);
	return r;
}

/* Whether it was filled before, for another descriptor; noted. */
static bool is_done(struct restore_set *set, const struct ckpt_file_id *id)
{
	for (size_t i = 0; i < set->nr_pipes; i++)
		if (set->pipes[i].id->ino == id->ino && set->pipes[i].id->dev == id->dev)
			return true;
	set->pipes[set->nr_pipes++] = (struct own_pipe){ .id = id, .ends = { -1, -1 } };
	return false;
}

static int open_seen(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, int seen)
{
	const bool done = is_done(rs->set, &f->rec.id);
	struct pipe_facts p = { 0 };
	int both = -1, fd = -1, r = 0;

	if (!fd_pipe_facts(f, &p) || p.writers || p.bytes || p.hung_up) {
		both = restore_reopen(seen, O_RDWR | O_NONBLOCK);
		if (both < 0)
			return ckpt_err_sys(rs->err, errno, "%s: open %s", thing, f->path);
	}
	/* First: what holds the bytes is the open file that stays. */
	fd = restore_reopen(seen, (int)(f->rec.file_flags & O_ACCMODE) | O_NONBLOCK);
	if (fd < 0 || fcntl(fd, F_SETFL, (int)(f->rec.file_flags & ~(uint32_t)O_ASYNC)) < 0)
		r = ckpt_err_sys(rs->err, errno, "%s: open %s", thing, f->path);
	if (!r && !done && both >= 0)
		r = fill(rs, thing, f, both);
	if (both >= 0)
		close(both);
	if (r && fd >= 0)
		close(fd);
	return r ? r : fd;
}

static int open_fifo(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		     bool *ret_borrowed)
{
	struct opened o;
	int r;

	if (restore_fd_is_outside(rs, f))
		return open_outside(rs, thing, f, ret_borrowed);
	r = restore_open(rs, rs->files->root_fd, thing, f->path, &f->rec.id, O_PATH, &o);
	if (r)
		return r;
	r = open_seen(rs, thing, f, o.fd);
	close(o.fd);
	return r;
}

const struct fd_kind kind_fifo = {
	.what = "a named pipe", .is = is_fifo, .judge = judge_fifo,
	.saves = saves_fifo, .save = save_pipe, .open = open_fifo,
};
