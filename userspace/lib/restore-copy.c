// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-copy.c - a file of the image in the place of one that is not what it was, or not there: the
 * program runs on what it had, not on what an update put there.
 *
 * Opened as the first such file is found, with the contents of the chain and the directory of copies
 * (copies.c); closed by restore_files_close(), when the program has mapped what it needs, or has come to
 * nothing.  A copy that was made stays either way: the next try finds it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contents.h"
#include "copies.h"
#include "restore-files.h"

struct copy {
	const struct meta_file	*mf;
	int			fd;
};

struct restore_copies {
	struct contents	contents;
	struct copies	*dir;
	struct copy	*list;		/* as many as the list of files has */
	size_t		nr;
};

/* What the copy that is being written needs. */
struct filler {
	struct restore		*rs;
	const struct meta_file	*mf;
	int			fd;
};

static const struct meta_file *find(const struct restore *rs, const char *path)
{
	const struct meta_file *mf = path ? meta_files_find(&rs->meta, path) : NULL;

	return mf && meta_has_content(mf) ? mf : NULL;
}

bool restore_has_copy(const struct restore *rs, const char *path)
{
	return find(rs, path);
}

/* After a failure it is there in part, for restore_copies_close(), and not used. */
static int open_copies(struct restore *rs)
{
	struct restore_copies *rc = calloc(1, sizeof(*rc));
	int r;

	if (!rc)
		return ckpt_err_sys(rs->err, ENOMEM, "files of the image");
	rs->files->copies = rc;
	rc->list = calloc(rs->meta.nr, sizeof(*rc->list));
	if (!rc->list)
		return ckpt_err_sys(rs->err, ENOMEM, "files of the image");
	r = copies_open(rs->opts->store, rs->opts->files_dir, rs->err, &rc->dir);
	if (!r)
		r = contents_load(rs->opts->chain, (uint32_t)rs->m->proc.pid, rs->err, &rc->contents);
	return r;
}

void restore_copies_close(struct restore *rs)
{
	struct restore_copies *rc = rs->files->copies;

	if (!rc)
		return;
	for (size_t i = 0; i < rc->nr; i++)
		close(rc->list[i].fd);
	contents_free(&rc->contents);
	copies_close(rc->dir);
	free(rc->list);
	free(rc);
	rs->files->copies = NULL;
}

/* Zeros are holes.  The last page reaches beyond the end, and is cut. */
static int write_run(uint64_t addr, uint64_t npages, const void *data, void *arg)
{
	const struct filler *f = arg;
	uint64_t len = npages * RESTORE_PAGE;
	const char *from = data;
	int r = restore_interrupted(f->rs);

	if (r || !data || addr >= f->mf->size)
		return r;
	if (len > f->mf->size - addr)
		len = f->mf->size - addr;
	while (len) {
		ssize_t n = pwrite(f->fd, from, len, (off_t)addr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ckpt_err_sys(f->rs->err, n ? errno : EIO, "%s: copy out of the image",
					    f->mf->path);
		from += n;
		addr += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int fill(int fd, void *arg)
{
	struct filler *f = arg;
	const struct contents *c = &f->rs->files->copies->contents;
	const struct content *content;
	int r = contents_find(c, f->mf, f->rs->err, &content);

	f->fd = fd;
	return r ? r : contents_read(c, content, write_run, f, f->rs->err);
}

/* The first time: made, or found as an earlier restore made it. */
static int get(struct restore *rs, const struct meta_file *mf)
{
	const struct copy_of want = {
		.name = mf->path, .digest = mf->digest, .size = mf->size, .mtime_ns = mf->mtime_ns,
		.secret = chain_is_encrypted(rs->opts->chain),
	};
	struct restore_copies *rc = rs->files->copies;
	struct filler f = { .rs = rs, .mf = mf };
	char *path;
	int fd, r;

	r = copies_get(rc->dir, &want, fill, &f, rs->err, &fd, &path);
	if (r)
		return r;
	rc->list[rc->nr++] = (struct copy){ mf, fd };
	if (rs->opts->from_image)
		rs->opts->from_image(mf->path, path, rs->opts->arg);
	free(path);
	return fd;
}

int restore_copy_open(struct restore *rs, const char *thing, const char *path, int *ret_fd)
{
	const struct meta_file *mf = find(rs, path);
	struct restore_copies *rc;
	int fd = -1, r;

	if (!mf)
		return ckpt_err_set(rs->err, -ENODATA, "%s: the image does not hold %s", thing, path);
	r = rs->files->copies ? 0 : open_copies(rs);
	rc = rs->files->copies;
	for (size_t i = 0; !r && i < rc->nr; i++)
		if (rc->list[i].mf == mf)
			fd = rc->list[i].fd;
	if (!r && fd < 0)
		fd = get(rs, mf);
	if (r || fd < 0) {
		ckpt_err_prefix(rs->err, "%s: %s is not what it was", thing, path);
		return r ? r : fd;
	}
	fd = copies_reopen(fd);
	if (fd < 0)
		return ckpt_err_sys(rs->err, fd, "%s: open the copy of %s", thing, path);
	*ret_fd = fd;
	return 0;
}
