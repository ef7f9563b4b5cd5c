// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * judge-fd.c - see judge.h: which open files can be brought back, and of those with a name (files,
 * directories, devices, terminals, pipes) why not; kind.h has the others.  No state.
 *
 * Allowed: regular files and directories by name, regular files without a name as long as their
 * content fits in the image, a few devices without memory, and standard input, output and error
 * when they are a terminal or a pipe to the outside: those a restore gets anew.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kind.h"
#include "nameless.h"

#define STDIO_MAX	2
void refuse_fd(const struct fd_case *c, const char *reason, const char *remedy)
{
	judge_refuse(c->j, "fd", c->fd->rec.fd, c->fd->path, remedy, "%s", reason);
}

bool fd_is_stdio(const struct ckpt_model *m, const struct ckpt_model_fd *fd)
{
	for (int i = 0; i <= STDIO_MAX; i++) {
		const struct ckpt_model_fd *std = ckpt_model_fd(m, i);

		if (std && std->rec.file == fd->rec.file)
			return true;
	}
	return false;
}

bool judge_is_stdio(const struct fd_case *c)
{
	return fd_is_stdio(c->model, c->fd);
}

/* Whether a descriptor before this one has the same file: it was counted already. */
static bool seen(const struct fd_case *c)
{
	const struct ckpt_model *m = c->model;

	for (size_t i = 0; i < m->nr_fds && &m->fds[i] != c->fd; i++)
		if (m->fds[i].rec.id.ino == c->fd->rec.id.ino &&
		    m->fds[i].rec.id.dev == c->fd->rec.id.dev)
			return true;
	return false;
}

/* --------------------------------------------------------------------- files and directories */

void judge_deleted(const struct fd_case *c)
{
	const struct ckpt_rec_fd *r = &c->fd->rec;
	uint64_t length;

	if (r->id.nlink) {
		refuse_fd(c, "was deleted by this name, but the file lives on under another",
		       "put the name back (ln), or close it");
		return;
	}
	if (seen(c))
		return;
	length = nameless_length(c->model, &r->id, NULL);
	*c->deleted_bytes += length;
	if (*c->deleted_bytes > JUDGE_DELETED_MAX || length > JUDGE_DELETED_MAX)
		judge_refuse(c->j, "fd", r->fd, c->fd->path, "close it before the snapshot",
			     "is a deleted file; deleted files of more than %llu MiB together "
			     "are not carried along", JUDGE_DELETED_MAX >> 20);
}

static void judge_writable(const struct fd_case *c)
{
	const struct ckpt_rec_fd *r = &c->fd->rec;

	if ((r->file_flags & O_ACCMODE) == O_RDONLY)
		return;
	if (c->opts->killed || c->opts->kept || judge_grows_only(r))
		return;
	judge_refuse(c->j, "fd", r->fd, c->fd->path, "use --files=auto, or snap --kill, then nothing diverges",
		     "is open for writing at %" PRId64 " of %" PRIu64 " bytes, not at its end: "
		     "a file changed in place will be newer than the image",
		     (int64_t)r->pos, (uint64_t)r->id.size);
}

void judge_file(const struct fd_case *c)
{
	const struct ckpt_rec_fd *r = &c->fd->rec;
	const char *pseudo = judge_pseudo_fs(r->id.fs_magic);
	char link[64];

	if (pseudo) {
		judge_refuse(c->j, "fd", r->fd, c->fd->path, "close it before the snapshot",
			     "is a file of %s, which shows state of the kernel", pseudo);
		return;
	}
	if (r->path_flags & ~CKPT_PATHF_DELETED) {
		refuse_fd(c, "cannot be reached by a path", "close it before the snapshot");
		return;
	}
	if (r->path_flags & CKPT_PATHF_DELETED) {
		if (r->kind == CKPT_FDK_DIR)
			refuse_fd(c, "is a deleted directory", "close it before the snapshot");
		else
			judge_deleted(c);
		return;
	}
	if (r->kind == CKPT_FDK_REG)
		judge_writable(c);
	/* Where a file that is kept is, has been looked at; the program may have removed it since. */
	if (c->opts->pid && !(c->opts->kept && judge_in_place(c->model, &r->id))) {
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", c->opts->pid, r->fd);
		judge_named(c->j, "fd", r->fd, c->fd->path, &r->id, link);
	}
}

/* ---------------------------------------------------------------------------- devices, pipes */

void judge_device(const struct fd_case *c)
{
	/* null, zero, full, random, urandom */
	static const unsigned char minors[] = { 3, 5, 7, 8, 9 };
	const struct ckpt_rec_fd *r = &c->fd->rec;

	for (size_t i = 0; i < sizeof(minors); i++)
		if (r->id.rdev == makedev(1, minors[i]))
			return;
	judge_refuse(c->j, "fd", r->fd, c->fd->path, "close it before the snapshot",
		     "is a device (%u:%u) whose state cannot be captured",
		     major(r->id.rdev), minor(r->id.rdev));
}

void judge_tty(const struct fd_case *c)
{
	bool master = c->fd->rec.id.rdev == makedev(5, 2);	/* ptmx: the other side */

	if (c->fd->rec.id.rdev == makedev(5, 0) || (judge_is_stdio(c) && !master))
		return;
	refuse_fd(c, "is a terminal; only standard input, output and error may be one",
	       "close it before the snapshot");
}

static bool is_other_end(const struct ckpt_rec_fd *r, const struct ckpt_rec_fd *o)
{
	return o->kind == CKPT_FDK_FIFO && o->id.ino == r->id.ino && o->id.dev == r->id.dev &&
	       ((o->file_flags & O_ACCMODE) == O_RDWR || (o->file_flags ^ r->file_flags) & O_ACCMODE);
}

const struct ckpt_model_fd *judge_other_end(const struct ckpt_model *model,
					    const struct ckpt_model_fd *fd)
{
	for (size_t k = 0; k < ckpt_set_size(model); k++) {
		const struct ckpt_model *m = ckpt_set_model(model, k);

		for (size_t i = 0; i < m->nr_fds; i++)
			if (is_other_end(&fd->rec, &m->fds[i].rec))
				return &m->fds[i];
	}
	return NULL;
}

bool judge_dead_end(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_FIFO && fd->rec.path_flags & CKPT_PATHF_NO_NAME &&
	       fd->rec.flags & CKPT_FD_OTHER_END_CLOSED && !fd_is_stdio(model, fd);
}

void judge_pipe(const struct fd_case *c)
{
	struct pipe_facts p = { 0 };

	if (fd_pipe_facts(c->fd, &p) && p.notifies)
		refuse_fd(c, "is a pipe the kernel writes notes to (O_NOTIFICATION_PIPE)",
			  "close it before the snapshot");
	else if (!judge_dead_end(c->model, c->fd) && !judge_other_end(c->model, c->fd) && !judge_is_stdio(c))
		refuse_fd(c, "is a pipe; only standard input, output and error may be one yet, or one "
		       "with both ends in the program", "close it before the snapshot");
}

/* -------------------------------------------------------------------------------------------- */

/* Whether that number is in the snapshot: of a process, a thread, or a group that a process of it leads. */
static bool has_owner(const struct ckpt_model *model, const struct fd_owner *o)
{
	for (size_t k = 0; k < ckpt_set_size(model); k++) {
		const struct ckpt_model *m = ckpt_set_model(model, k);
		const bool is = (uint64_t)m->proc.pid == o->number;

		if (o->type == F_OWNER_PID && is)
			return true;
		if (o->type == F_OWNER_PGRP && is && m->proc.pgid == m->proc.pid)
			return true;
		for (size_t i = 0; o->type == F_OWNER_TID && i < m->nr_threads; i++)
			if ((uint64_t)m->threads[i].rec.tid == o->number)
				return true;
	}
	return false;
}

static void judge_owner(const struct fd_case *c)
{
	const struct ckpt_rec_creds *creds = &c->model->threads[0].creds;
	static const char remedy[] = "clear it with fcntl(fd, F_SETOWN, 0)";
	struct fd_owner o;

	if (!fd_owner(c->fd, &o) || o.type > F_OWNER_PGRP || o.signal > CKPT_NSIG)
		refuse_fd(c, "sends signals to an owner that is not known (F_SETOWN, F_SETSIG)", remedy);
	else if (c->fd->rec.kind == CKPT_FDK_DIR)
		refuse_fd(c, "is a directory that signals what happens in it (F_NOTIFY) or has an owner (F_SETOWN)",
			  "close it before the snapshot");
	else if (o.number && !has_owner(c->model, &o))
		refuse_fd(c, "sends signals to an owner that is not in the snapshot (F_SETOWN)", remedy);
	else if (o.number && (o.uid != creds->uid || o.euid != creds->euid))
		refuse_fd(c, "sends signals to an owner that was set by another user (F_SETOWN)", remedy);
}

static void judge_fd(const struct fd_case *c)
{
	const struct ckpt_rec_fd *r = &c->fd->rec;
	static const struct judge_flag unknown[] = { { } };

	judge_flags(c->j, "fd", r->fd, c->fd->path, r->flags,
		    CKPT_FD_CLOEXEC | CKPT_FD_SHARED_OUTSIDE | CKPT_FD_OTHER_END_CLOSED | CKPT_FD_ASYNC_OWNER |
		    CKPT_FD_LEASE, unknown);
	if (r->flags & CKPT_FD_ASYNC_OWNER)
		judge_owner(c);
	if (c->kind->judge)
		c->kind->judge(c);
}

void judge_fds(const struct ckpt_model *model, const struct judge_opts *opts, struct judgement *j,
	       uint64_t *deleted_bytes)
{
	struct fd_case c = { .model = model, .opts = opts, .j = j, .deleted_bytes = deleted_bytes };

	for (size_t i = 0; i < model->nr_fds; i++) {
		c.fd = &model->fds[i];
		c.kind = fd_kind_of(c.fd);
		judge_fd(&c);
	}
}
