// SPDX-License-Identifier: GPL-2.0-only
/*
 * Barrier: what the program wrote before the snapshot is on disk before the snapshot
 * can be read.
 *
 * Owns the list of files to sync. It is made in the frozen window, so that it names
 * the files as they were then, and worked off after the thaw, so that the pause does
 * not pay for the disk. It may name a file often: to look for that in the window would take
 * the square of their number, which is the program's to choose.
 *
 * The list holds paths, and each file is opened anew to be synced, because
 *  - a reference to the program's own open file would outlive its close(), and keep
 *    a flock or a lease that the program believes to have given up;
 *  - errors of writeback are reported once to each open file (lib/errseq.c): syncing
 *    through the program's own would take the report away from its next fsync().
 *
 * Locks: none; one caller at a time.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "alloc.h"
#include "area.h"
#include "barrier.h"
#include "compat/compat.h"
#include "symbols.h"

static int add(struct ckpt_written_list *list, const struct path *path, int fd,
	       unsigned long addr)
{
	struct ckpt_written *v;
	unsigned int cap;

	if (list->nr == list->cap) {
		cap = max(16U, 2 * list->cap);
		v = ckpt_alloc_array(cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		if (list->nr)
			memcpy(v, list->v, list->nr * sizeof(*v));
		kvfree(list->v);
		list->v = v;
		list->cap = cap;
	}
	list->v[list->nr] = (struct ckpt_written) { .path = *path, .fd = fd, .addr = addr };
	path_get(&list->v[list->nr].path);
	list->nr++;
	return 0;
}

/*
 * A descriptor of the target. Files that cannot be written, or synced, are passed over, and what is
 * written through: O_SYNC has the bit of O_DSYNC too, and fcntl() can take neither away. A write that
 * is under way is not: its thread would not stand still.
 */
int ckpt_written_add_file(struct ckpt_written_list *list, struct file *file, int fd)
{
	umode_t mode = file_inode(file)->i_mode;

	if (!(file->f_mode & FMODE_WRITE) || file->f_flags & O_DSYNC || !(S_ISREG(mode) || S_ISBLK(mode)))
		return 0;
	return add(list, ckpt_file_path(file), fd, 0);
}

/* The files of writable shared mappings. */
int ckpt_written_add_areas(struct ckpt_written_list *list, const struct ckpt_areas *areas)
{
	unsigned int i;
	int ret;

	for (i = 0; i < areas->nr; i++) {
		const struct ckpt_area *area = &areas->v[i];

		if (area->kind != CKPT_AREA_SHARED || !area->writable || area->anon)
			continue;
		ret = add(list, &area->path, -1, area->start);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * By file; the lowest descriptor, which names it in an error, comes behind the others and
 * behind mappings (-1): the list is worked off from its end.
 */
static int by_file(const void *a, const void *b)
{
	const struct ckpt_written *x = a, *y = b;
	const struct inode *i = d_inode(x->path.dentry), *j = d_inode(y->path.dentry);

	if (i != j)
		return i < j ? -1 : 1;
	if (x->fd != y->fd)
		return (unsigned int)x->fd > (unsigned int)y->fd ? -1 : 1;
	if (x->addr != y->addr)
		return x->addr > y->addr ? -1 : 1;
	return 0;
}

/* The last entry is done, and so is every other one of its file. */
static void drop_last_file(struct ckpt_written_list *list)
{
	const struct inode *inode = d_inode(list->v[list->nr - 1].path.dentry);
	bool more;

	do {
		struct path *last = &list->v[--list->nr].path;

		/* While its reference still keeps the address from being used anew. */
		more = list->nr && d_inode(list->v[list->nr - 1].path.dentry) == inode;
		path_put(last);
		cond_resched();
	} while (more);
}

static int sync_one(const struct path *path)
{
	struct file *file;
	int ret;

	file = ckpt_open_quietly(path, O_RDONLY | O_LARGEFILE | O_NONBLOCK);
	if (IS_ERR(file))
		return PTR_ERR(file);
	/* A file system without fsync keeps nothing that could be lost. */
	ret = file->f_op->fsync ? vfs_fsync(file, 0) : 0;
	fput(file);
	return ret;
}

/**
 * ckpt_written_sync - fsync every file of the list
 * @list: list; files that are done leave it, so that a second call goes on
 * @ret_failed: the one that failed, on error
 *
 * Return: files synced by this call; -EINTR; or the error of the file.
 */
int ckpt_written_sync(struct ckpt_written_list *list, struct ckpt_written **ret_failed)
{
	int done = 0;
	int ret;

	if (!list->sorted) {
		sort(list->v, list->nr, sizeof(*list->v), by_file, NULL);
		list->sorted = true;
	}
	while (list->nr) {
		struct ckpt_written *w = &list->v[list->nr - 1];

		*ret_failed = w;
		if (signal_pending(current))
			return -EINTR;
		ret = sync_one(&w->path);
		if (ret)
			return ret;
		drop_last_file(list);
		done++;
	}
	return done;
}

void ckpt_written_free(struct ckpt_written_list *list)
{
	while (list->nr)
		path_put(&list->v[--list->nr].path);
	kvfree(list->v);
	*list = (struct ckpt_written_list) {};
}
