// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-nameless.c - files without a name: one new inode for all descriptors and mappings, in whatever
 * process, that were of one.
 *
 * Life of one:
 *  1. restore_nameless_get(), for its first descriptor or mapping: made, with what the image has of its
 *     content in a section of its own; the others find it in struct restore_set
 *  2. restore_nameless_write(): what the image has as pages of those who mapped it shared
 *  3. restore_nameless_finish(), when all content is there: time of change, and seals, which forbid the rest
 * The set's own descriptor goes with the set.  After a failure nobody has another, and so the inode goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kind.h"
#include "nameless.h"
#include "restore-files.h"

static bool same_inode(const struct ckpt_file_id *a, const struct ckpt_file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static struct nameless *find(struct restore_set *set, const struct ckpt_file_id *id)
{
	for (size_t i = 0; i < set->nr_nameless; i++)
		if (same_inode(set->nameless[i].id, id))
			return &set->nameless[i];
	return NULL;
}

/* The open file an inode was made by, with O_TMPFILE, and whose that is; NULL: it was made otherwise. */
static const struct ckpt_model_fd *made_by(const struct restore *rs, const struct ckpt_file_id *id,
					   const struct restore **ret_rs)
{
	for (size_t k = 0; k < ckpt_set_size(rs->m); k++) {
		const struct ckpt_model *m = ckpt_set_model(rs->m, k);

		*ret_rs = rs->m->set ? &rs->set->v[k] : rs;
		for (size_t i = 0; i < m->nr_fds; i++)
			if (same_inode(&m->fds[i].rec.id, id) &&
			    (m->fds[i].rec.file_flags & RESTORE_TMPFILE))
				return &m->fds[i];
	}
	return NULL;
}

/* Memory it had none of stays so: pages of zeros are not written. */
int restore_fill_file(int fd, const char *data, size_t len)
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

int restore_nameless_get(struct restore *rs, const char *thing, const struct ckpt_file_id *id,
			 const char *path, uint32_t path_flags, struct nameless **ret)
{
	struct restore_set *set = rs->set;
	struct nameless *n = find(set, id);
	int r;

	*ret = n;
	if (n)
		return 0;
	n = &set->nameless[set->nr_nameless];
	*n = (struct nameless){ .id = id, .path = path, .fd = -1 };
	if (nameless_is_memfd(path, path_flags)) {
		r = restore_memfd_make(rs, thing, n);
	} else {
		n->made = made_by(rs, id, &n->rs);
		r = restore_open_deleted(rs, rs->files->root_fd, thing, restore_files_section_of_inode(rs, id),
					 id, path, n->made ? (int)n->made->rec.file_flags : 0, &n->fd);
	}
	if (r)
		return r;
	set->nr_nameless++;
	*ret = n;
	return 0;
}

/* Its last page may reach beyond its end. */
int restore_nameless_write(struct restore *rs, const struct ckpt_model_vma *v, uint64_t addr,
			   const void *data, uint64_t len)
{
	const struct nameless *n = find(rs->set, &v->rec.id);
	uint64_t at = v->rec.pgoff + (addr - v->rec.start), size = v->rec.id.size;
	const char *p = data;

	/* Zeros are there by themselves. */
	if (!n || !data || at >= size)
		return 0;
	len = len < size - at ? len : size - at;
	while (len) {
		ssize_t done = pwrite(n->fd, p, len, (off_t)at);

		if (done <= 0)
			return ckpt_err_sys(rs->err, done < 0 ? errno : EIO, "mapping %llx: content of %s",
					    (unsigned long long)v->rec.start, v->path ? v->path : "a file");
		p += done;
		at += (uint64_t)done;
		len -= (uint64_t)done;
	}
	return 0;
}

int restore_nameless_finish(struct restore *rs)
{
	struct restore_set *set = rs->set;

	for (size_t i = 0; is_root(rs) && i < set->nr_nameless; i++) {
		const struct nameless *n = &set->nameless[i];

		restore_set_mtime(n->fd, n->id->mtime_ns);
		if (n->seals && fcntl(n->fd, F_ADD_SEALS, n->seals) < 0)
			return ckpt_err_sys(rs->err, errno, "seal the memfd %s", n->path);
	}
	return 0;
}
