// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind.c - see kind.h: the list of kinds, and what their handlers share.  No state.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kind.h"

bool fd_kind_is_anon(const struct ckpt_model_fd *fd, const char *name)
{
	static const char prefix[] = "anon_inode:";

	return fd->rec.kind == CKPT_FDK_ANON && fd->path &&
	       !strncmp(fd->path, prefix, strlen(prefix)) &&
	       !strcmp(fd->path + strlen(prefix), name);
}

bool fd_kind_same(const struct ckpt_model_fd *a, const struct ckpt_model_fd *b)
{
	/* All anonymous kinds have one inode between them; and numbers of files are those of one process. */
	if (a->rec.kind == CKPT_FDK_ANON || b->rec.kind == CKPT_FDK_ANON)
		return a->rec.kind == b->rec.kind && a->rec.file == b->rec.file;
	return a->rec.id.ino == b->rec.id.ino && a->rec.id.dev == b->rec.id.dev;
}

const char *fd_kind_line(const struct ckpt_model_fd *fd, const char *key)
{
	const char *line = fd->info;

	while (line && strncmp(line, key, strlen(key))) {
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return line ? line + strlen(key) : NULL;
}

bool fd_kind_ends(const char *at)
{
	static const char any[] = "owner-";

	return !*at || !strncmp(at, any, strlen(any));
}

bool fd_kind_info(const struct ckpt_model_fd *fd, const char *key, int base, uint64_t *ret)
{
	const char *line = fd_kind_line(fd, key);
	char *end;

	if (!line)
		return false;
	errno = 0;
	*ret = strtoull(line, &end, base);
	return end != line && !errno && (!*end || strchr(" \t\n", *end));
}

bool fd_owner(const struct ckpt_model_fd *fd, struct fd_owner *ret)
{
	return fd_kind_info(fd, "owner-type:", 10, &ret->type) &&
	       fd_kind_info(fd, "owner-number:", 10, &ret->number) &&
	       fd_kind_info(fd, "owner-signal:", 10, &ret->signal) &&
	       fd_kind_info(fd, "owner-uid:", 10, &ret->uid) &&
	       fd_kind_info(fd, "owner-euid:", 10, &ret->euid);
}

/* ------------------------------------------------------------------ kinds that are refused */

static void judge_refused(const struct fd_case *c)
{
	judge_refuse(c->j, "fd", c->fd->rec.fd, c->fd->path, "close it before the snapshot",
		     "is %s, which is not supported yet", c->kind->what);
}

#define REFUSED_ANON(id, name, text)						\
	static bool is_##id(const struct ckpt_model_fd *fd)			\
	{									\
		return fd->rec.kind == CKPT_FDK_ANON && fd->path && strstr(fd->path, name);	\
	}									\
	static const struct fd_kind kind_##id = {				\
		.what = text, .is = is_##id, .judge = judge_refused,		\
	}

REFUSED_ANON(fanotify, "[fanotify]", "a fanotify group");
REFUSED_ANON(io_uring, "[io_uring]", "an io_uring");
REFUSED_ANON(userfaultfd, "[userfaultfd]", "a userfaultfd");
REFUSED_ANON(perf, "[perf_event]", "a perf event");
REFUSED_ANON(fscontext, "[fscontext]", "a mount being set up");
REFUSED_ANON(bpf, "bpf-", "a BPF object");
REFUSED_ANON(kvm, "kvm-", "a virtual machine");
REFUSED_ANON(dmabuf, "dmabuf", "a DMA buffer");

static bool is_anon(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_ANON;
}

static const struct fd_kind kind_anon = { .what = "a kernel object", .is = is_anon, .judge = judge_refused };

static bool is_block_device(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_BLK;
}

static void judge_block_device(const struct fd_case *c)
{
	refuse_fd(c, "is a block device, which would be newer than the image",
		  "close it before the snapshot");
}

static const struct fd_kind kind_block_device = {
	.what = "a block device", .is = is_block_device, .judge = judge_block_device,
};

static bool is_any(const struct ckpt_model_fd *fd)
{
	return true;
}

static void judge_unknown(const struct fd_case *c)
{
	refuse_fd(c, "is of a kind this version does not know", "close it before the snapshot");
}

static const struct fd_kind kind_unknown = { .what = "a thing", .is = is_any, .judge = judge_unknown };

/* -------------------------------------------------- kinds with a name in the file system */

static bool is_file(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_REG || fd->rec.kind == CKPT_FDK_DIR;
}

static const struct fd_kind kind_file = {
	.what = "a file", .is = is_file, .judge = judge_file,
	.saves = saves_deleted, .save = save_deleted, .open = open_file,
};

static bool is_device(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_CHR;
}

static const struct fd_kind kind_device = {
	.what = "a device", .is = is_device, .judge = judge_device, .open = open_device,
};

static bool is_tty(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_TTY;
}

static const struct fd_kind kind_tty = {
	.what = "a terminal", .is = is_tty, .judge = judge_tty, .open = open_outside,
};

static bool is_pipe(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_FIFO;
}

static const struct fd_kind kind_pipe = {
	.what = "a pipe", .is = is_pipe, .judge = judge_pipe,
	.saves = saves_pipe, .save = save_pipe, .open = open_pipe,
};

/* -------------------------------------------------------------------------------------------- */

/* What is more special comes first. */
static const struct fd_kind * const kinds[] = {
	&kind_path, &kind_eventfd, &kind_epoll, &kind_timerfd, &kind_signalfd, &kind_inotify, &kind_fanotify,
	&kind_io_uring, &kind_userfaultfd, &kind_pidfd, &kind_perf, &kind_fscontext, &kind_bpf,
	&kind_kvm, &kind_dmabuf, &kind_anon, &kind_memfd, &kind_shown, &kind_file, &kind_pty, &kind_device,
	&kind_tty, &kind_fifo, &kind_pipe, &kind_socket, &kind_block_device, &kind_unknown,
};

const struct fd_kind *fd_kind_of(const struct ckpt_model_fd *fd)
{
	size_t i = 0;

	while (!kinds[i]->is(fd))
		i++;
	return kinds[i];
}
