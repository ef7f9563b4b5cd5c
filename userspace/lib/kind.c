// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind.c - see kind.h: the list of kinds, and what their handlers share.  No state.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kind.h"

#define PIDFS_MAGIC	0x50494446	/* linux/magic.h */

bool fd_kind_is_anon(const struct ckpt_model_fd *fd, const char *name)
{
	static const char prefix[] = "anon_inode:";

	return fd->rec.kind == CKPT_FDK_ANON && fd->path &&
	       !strncmp(fd->path, prefix, strlen(prefix)) &&
	       !strcmp(fd->path + strlen(prefix), name);
}

bool fd_kind_same(const struct ckpt_model_fd *a, const struct ckpt_model_fd *b)
{
	/* All anonymous kinds have one inode between them. */
	if (a->rec.kind == CKPT_FDK_ANON || b->rec.kind == CKPT_FDK_ANON)
		return a->rec.file == b->rec.file;
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

REFUSED_ANON(inotify, "inotify", "an inotify instance");
REFUSED_ANON(fanotify, "[fanotify]", "a fanotify group");
REFUSED_ANON(io_uring, "[io_uring]", "an io_uring");
REFUSED_ANON(userfaultfd, "[userfaultfd]", "a userfaultfd");
REFUSED_ANON(pidfd, "[pidfd]", "a pidfd");
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

/* Since Linux 6.9 a pidfd is a file of a file system of its own. */
static bool is_pidfs(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_REG && fd->rec.id.fs_magic == PIDFS_MAGIC;
}

static const struct fd_kind kind_pidfs = { .what = "a pidfd", .is = is_pidfs, .judge = judge_refused };

static bool is_socket(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_SOCK;
}

static const struct fd_kind kind_socket = { .what = "a socket", .is = is_socket, .judge = judge_refused };

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
	&kind_eventfd, &kind_epoll, &kind_timerfd, &kind_signalfd, &kind_inotify, &kind_fanotify,
	&kind_io_uring, &kind_userfaultfd, &kind_pidfd, &kind_perf, &kind_fscontext, &kind_bpf,
	&kind_kvm, &kind_dmabuf, &kind_anon, &kind_pidfs, &kind_memfd, &kind_file, &kind_device,
	&kind_tty, &kind_pipe, &kind_socket, &kind_block_device, &kind_unknown,
};

const struct fd_kind *fd_kind_of(const struct ckpt_model_fd *fd)
{
	size_t i = 0;

	while (!kinds[i]->is(fd))
		i++;
	return kinds[i];
}
