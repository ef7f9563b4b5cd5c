// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-memfd.c - memfd_create(2): a file of memory without a place, of which only descriptors and mappings
 * are left.  No state.
 *
 * The image has its seals (32 bits, and 32 that are zero) and behind them what of its content is not in
 * anybody's pages (nameless.h).  Open files and mappings of one memfd share what was made for the first
 * (restore-nameless.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kind.h"
#include "nameless.h"
#include "restore-files.h"
#include "snap.h"
#include "util.h"

#define PREFIX		"/memfd:"
#define HUGETLBFS	0x958458f6u	/* linux/magic.h */

#ifndef MFD_EXEC
#define MFD_EXEC	0x0010U		/* since Linux 6.3 */
#endif

struct head {
	uint32_t seals;
	uint32_t zero;
};

static bool is_memfd(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_REG && nameless_is_memfd(fd->path, fd->rec.path_flags);
}

static void judge_memfd(const struct fd_case *c)
{
	if (c->fd->rec.id.fs_magic == HUGETLBFS)
		refuse_fd(c, "is a memfd of huge pages (MFD_HUGETLB)", "close it before the snapshot");
	else
		judge_deleted(c);
}

static bool saves_memfd(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	return true;
}

int save_memfd_content(const struct ckpt_model *model, const struct ckpt_file_id *id, int in,
		       struct buf *content)
{
	struct head head = { 0 };
	int seals = fcntl(in, F_GET_SEALS), r;

	if (seals < 0)
		return -errno;
	head.seals = (uint32_t)seals;
	r = buf_append(content, &head, sizeof(head));
	return r ? r : nameless_read(model, id, NULL, in, content);
}

static int save_memfd(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		      struct ckpt_err *err, struct snap_deleted *d)
{
	char path[64];
	int in, r;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", model->proc.pid, fd->rec.fd);
	in = open(path, O_RDONLY | O_CLOEXEC);
	r = in < 0 ? -errno : save_memfd_content(model, &fd->rec.id, in, &d->content);
	if (in >= 0)
		close(in);
	if (r)
		ckpt_err_sys(err, r, "process %d: fd %d (%s) is a memfd and cannot be read",
			     model->proc.pid, fd->rec.fd, fd->path);
	return r;
}

/* ------------------------------------------------------------ restore */

static int create(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static int set_up(int fd, const struct ckpt_file_id *id, const char *data, size_t len)
{
	int r;

	if (ftruncate(fd, (off_t)id->size) < 0)
		return -errno;
	r = restore_fill_file(fd, data, len);
	if (r)
		return r;
	return fchown(fd, id->uid, id->gid) < 0 || fchmod(fd, id->mode & 07777) < 0 ? -errno : 0;
}

int restore_memfd_make(struct restore *rs, const char *thing, struct nameless *n)
{
	int section = restore_files_section_of_inode(rs, n->id), r;
	struct head head;
	char *data = NULL;
	size_t len = 0;

	r = section < 0 ? 0 : image_load(rs->image, (uint32_t)section, rs->err, (void **)&data, &len);
	if (r)
		return r;
	if (section < 0 || len < sizeof(head) || len - sizeof(head) > n->id->size) {
		free(data);
		return ckpt_err_set(rs->err, -ENODATA, "%s: the image does not hold the content of %s",
				    thing, n->path);
	}
	memcpy(&head, data, sizeof(head));
	n->seals = head.seals;
	n->fd = create(n->path + strlen(PREFIX));
	r = n->fd < 0 ? -errno : set_up(n->fd, n->id, data + sizeof(head), len - sizeof(head));
	free(data);
	if (!r)
		return 0;
	ckpt_err_sys(rs->err, r, "%s: make the memfd %s again", thing, n->path);
	if (n->fd >= 0)
		close(n->fd);
	return r;
}

static int open_memfd(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		      bool *ret_borrowed)
{
	struct nameless *n;
	int fd, r = restore_nameless_get(rs, thing, &f->rec.id, f->path, f->rec.path_flags, &n);

	if (r)
		return r;
	fd = restore_reopen(n->fd, (int)f->rec.file_flags);
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: open a memfd again", thing);
	if (lseek(fd, (off_t)f->rec.pos, SEEK_SET) < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: go to offset %lld of %s", thing,
				 (long long)f->rec.pos, f->path);
		close(fd);
	}
	return r ? r : fd;
}

const struct fd_kind kind_memfd = {
	.what = "a memfd", .is = is_memfd, .judge = judge_memfd,
	.saves = saves_memfd, .save = save_memfd, .open = open_memfd,
};
