// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who a file is: device, inode, and which version of it.
 *
 * Only getattr knows: a stacked file system reports other numbers than those in the
 * inode. But getattr may go over a network (9p and fuse ask their server each time), and
 * a pause must not wait for one. So every file the target has open or mapped is asked
 * before the freeze; in the pause what can have changed since (size, times, link count)
 * is taken from the inode in memory, as getattr itself does it (generic_fillattr).
 * A file that appeared in between is asked in the pause.
 *
 * Owns struct ckpt_identities: from before the freeze to after the capture. Each entry
 * holds a reference to its path, so that the inode's address stays its own. That may
 * delay nothing but an unmount.
 *
 * Locks: built and used by one caller. Learning takes the target's mmap_lock and the
 * lock of its descriptor table, one after the other, never while asking.
 */
#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/uidgid.h>

#include "alloc.h"
#include "compat/compat.h"
#include "identity.h"

/* Files learnt at most; the rest is asked in the pause. */
#define MAX_KNOWN	4096

struct known {
	struct path path;
	struct ckpt_file_id id;
};

static s64 nanoseconds(struct timespec64 t)
{
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static unsigned long key_of(const struct path *path)
{
	/* Inodes are aligned; the lowest bits would only make the tree deeper. */
	return (unsigned long)d_inode(path->dentry) >> 6;
}

/* What stat(2) says. All zero when the file system does not answer. */
static void ask(const struct path *path, struct ckpt_file_id *id)
{
	struct kstat st;

	memset(id, 0, sizeof(*id));
	if (vfs_getattr(path, &st, STATX_BASIC_STATS, AT_STATX_DONT_SYNC))
		return;
	id->dev = new_encode_dev(st.dev);
	id->ino = st.ino;
	id->rdev = new_encode_dev(st.rdev);
	id->size = st.size;
	id->mtime_ns = nanoseconds(st.mtime);
	id->ctime_ns = nanoseconds(st.ctime);
	id->mode = st.mode;
	id->nlink = st.nlink;
	id->fs_magic = path->dentry->d_sb->s_magic;
	id->uid = from_kuid_munged(current_user_ns(), st.uid);
	id->gid = from_kgid_munged(current_user_ns(), st.gid);
}

/* What may have changed since it was asked. */
static void refresh(const struct path *path, struct ckpt_file_id *id)
{
	const struct inode *inode = d_inode(path->dentry);

	id->size = i_size_read(inode);
	id->mtime_ns = nanoseconds(ckpt_inode_mtime(inode));
	id->ctime_ns = nanoseconds(ckpt_inode_ctime(inode));
	id->nlink = inode->i_nlink;
}

/**
 * ckpt_identity - which file, and which version of it, now
 * @ids: what was learnt before; may be NULL
 * @path: file
 * @id: to be filled
 */
void ckpt_identity(const struct ckpt_identities *ids, const struct path *path,
		   struct ckpt_file_id *id)
{
	const struct known *known;

	known = ids ? xa_load((struct xarray *)&ids->by_inode, key_of(path)) : NULL;
	if (known && d_inode(known->path.dentry) == d_inode(path->dentry)) {
		*id = known->id;
		refresh(path, id);
	} else {
		ask(path, id);
	}
}

void ckpt_identities_init(struct ckpt_identities *ids)
{
	xa_init(&ids->by_inode);
}

void ckpt_identities_free(struct ckpt_identities *ids)
{
	struct known *known;
	unsigned long key;

	xa_for_each(&ids->by_inode, key, known) {
		path_put(&known->path);
		kfree(known);
	}
	xa_destroy(&ids->by_inode);
}

static void learn(struct ckpt_identities *ids, const struct path *path)
{
	struct known *known;

	if (!d_inode(path->dentry) || xa_load(&ids->by_inode, key_of(path)))
		return;
	known = ckpt_alloc(sizeof(*known));
	if (!known)
		return;
	known->path = *path;
	path_get(&known->path);
	ask(path, &known->id);
	if (ckpt_alloc_fails() ||
	    xa_is_err(xa_store(&ids->by_inode, key_of(path), known, CKPT_GFP))) {
		path_put(&known->path);
		kfree(known);
	}
}

struct paths {
	struct path *v;
	unsigned int nr;
};

static void note_path(struct paths *paths, struct file *file)
{
	const struct path *path = ckpt_file_path(file);

	/* Mappings of one file stand together. */
	if (paths->nr == MAX_KNOWN ||
	    (paths->nr && d_inode(paths->v[paths->nr - 1].dentry) == d_inode(path->dentry)))
		return;
	paths->v[paths->nr] = *path;
	path_get(&paths->v[paths->nr++]);
}

/* Under files->file_lock. */
static int note_fd(const void *data, struct file *file, unsigned int fd)
{
	note_path((struct paths *)data, file);
	return 0;
}

static void note_mappings(struct paths *paths, struct mm_struct *mm)
{
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, 0);

	if (mmap_read_lock_killable(mm))
		return;
	for_each_vma(vmi, vma)
		if (vma->vm_file)
			note_path(paths, vma->vm_file);
	mmap_read_unlock(mm);
}

/**
 * ckpt_identities_learn - ask every file of a running target
 * @ids: empty
 * @leader: target
 *
 * Cannot fail: what is not learnt here is asked in the pause.
 */
void ckpt_identities_learn(struct ckpt_identities *ids, struct task_struct *leader)
{
	struct paths paths = {};
	struct mm_struct *mm = get_task_mm(leader);
	unsigned int i;

	paths.v = ckpt_alloc_array(MAX_KNOWN, sizeof(*paths.v));
	if (paths.v && mm) {
		note_mappings(&paths, mm);
		task_lock(leader);
		iterate_fd(leader->files, 0, note_fd, &paths);
		task_unlock(leader);
	}
	for (i = 0; i < paths.nr; i++) {
		learn(ids, &paths.v[i]);
		path_put(&paths.v[i]);
	}
	kvfree(paths.v);
	if (mm)
		mmput(mm);
}
