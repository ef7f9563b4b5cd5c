// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-memfd.c - memfd_create(2): a file of memory without a place, of which only descriptors are left.
 * One that is mapped is refused (judge-vma.c).  No state.
 *
 * The image has its seals (32 bits, and 32 that are zero) and behind them its content.  Open files of one
 * memfd share what was made for the first (struct nameless).
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
	return fd->rec.kind == CKPT_FDK_REG && fd->rec.path_flags & CKPT_PATHF_NO_NAME && fd->path &&
	       !strncmp(fd->path, PREFIX, strlen(PREFIX));
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

static int read_memfd(int in, uint64_t size, struct buf *content)
{
	struct head head = { 0 };
	int seals = fcntl(in, F_GET_SEALS), r;

	if (seals < 0)
		return -errno;
	head.seals = (uint32_t)seals;
	r = buf_reserve(content, sizeof(head) + size + 1);
	if (r)
		return r;
	memcpy(content->data, &head, sizeof(head));
	r = util_pread_full(in, content->data + sizeof(head), size, 0);
	if (!r)
		content->len = sizeof(head) + size;
	return r;
}

static int save_memfd(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		      struct ckpt_err *err, struct snap_deleted *d)
{
	char path[64];
	int in, r;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", model->proc.pid, fd->rec.fd);
	in = open(path, O_RDONLY | O_CLOEXEC);
	r = in < 0 ? -errno : read_memfd(in, fd->rec.id.size, &d->content);
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

/* Memory it had none of stays so: pages of zeros are not written. */
static int fill(int fd, const char *data, size_t len)
{
	static const char zeros[RESTORE_PAGE];

	for (size_t at = 0; at < len; at += RESTORE_PAGE) {
		size_t n = len - at < RESTORE_PAGE ? len - at : RESTORE_PAGE;
		ssize_t done = n;

		if (memcmp(data + at, zeros, n))
			done = pwrite(fd, data + at, n, (off_t)at);
		if (done != (ssize_t)n)
			return done < 0 ? -errno : -EIO;
	}
	return 0;
}

/* Seals last, for they forbid the rest. */
static int set_up(int fd, const struct ckpt_file_id *id, const char *data, size_t len)
{
	struct head head;
	int r;

	memcpy(&head, data, sizeof(head));
	if (ftruncate(fd, (off_t)id->size) < 0)
		return -errno;
	r = fill(fd, data + sizeof(head), len - sizeof(head));
	if (r)
		return r;
	if (fchown(fd, id->uid, id->gid) < 0 || fchmod(fd, id->mode & 07777) < 0)
		return -errno;
	restore_set_mtime(fd, id->mtime_ns);
	return head.seals && fcntl(fd, F_ADD_SEALS, head.seals) < 0 ? -errno : 0;
}

static int make(struct restore *rs, const char *thing, const struct ckpt_model_fd *f)
{
	int section = restore_files_section_of_inode(rs, &f->rec.id), fd, r;
	char *data = NULL;
	size_t len = 0;

	r = section < 0 ? 0 : image_load(rs->image, (uint32_t)section, rs->err, (void **)&data, &len);
	if (r)
		return r;
	if (section < 0 || len < sizeof(struct head) || len - sizeof(struct head) > f->rec.id.size) {
		free(data);
		return ckpt_err_set(rs->err, -ENODATA, "%s: the image does not hold the content of %s",
				    thing, f->path);
	}
	fd = create(f->path + strlen(PREFIX));
	r = fd < 0 ? -errno : set_up(fd, &f->rec.id, data, len);
	free(data);
	if (!r)
		return fd;
	ckpt_err_sys(rs->err, r, "%s: make the memfd %s again", thing, f->path);
	if (fd >= 0)
		close(fd);
	return r;
}

static int open_memfd(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		      bool *ret_borrowed)
{
	struct restore_set *set = rs->set;
	struct nameless *n = set->nameless;
	int fd, r = 0;

	while (n < set->nameless + set->nr_nameless &&
	       (n->id->ino != f->rec.id.ino || n->id->dev != f->rec.id.dev))
		n++;
	if (n == set->nameless + set->nr_nameless) {
		fd = make(rs, thing, f);
		if (fd < 0)
			return fd;
		*n = (struct nameless){ .id = &f->rec.id, .rs = rs, .fd = fd };
		set->nr_nameless++;
	}
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
