// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: how a file is named and recognised.
 *
 * Owns nothing. What stat(2) would say of a path, from what the kernel has cached:
 * a network file system is not asked while the target is frozen.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/stat.h>
#include <linux/string.h>
#include <linux/uidgid.h>

#include "record.h"
#include "state.h"

static s64 nanoseconds(struct timespec64 t)
{
	return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

/**
 * ckpt_file_identity - which file, and which version of it
 * @path: file
 * @id: to be filled; all zero when the file system does not answer
 *
 * Through getattr, because a stacked file system reports other numbers than those in
 * the inode. May sleep.
 */
void ckpt_file_identity(const struct path *path, struct ckpt_file_id *id)
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

/**
 * ckpt_path_text - the name of a file as the caller would use it
 * @path: file
 * @buf: CKPT_PATH_ROOM bytes
 * @ret_flags: CKPT_PATHF_*
 * @ret_len: bytes of text; 0 when it has no name that fits
 *
 * Return: the text, somewhere in @buf, not terminated at @ret_len.
 */
const char *ckpt_path_text(const struct path *path, char *buf, u32 *ret_flags, u32 *ret_len)
{
	static const char deleted[] = " (deleted)";
	const struct dentry *dentry = path->dentry;
	const char *text = d_path(path, buf, CKPT_PATH_ROOM);
	size_t len;

	*ret_flags = 0;
	*ret_len = 0;
	if (IS_ERR(text)) {
		*ret_flags = CKPT_PATHF_UNREACHABLE;
		return buf;
	}
	len = strlen(text);
	if (dentry->d_op && dentry->d_op->d_dname &&
	    (!IS_ROOT(dentry) || dentry != path->mnt->mnt_root))
		*ret_flags |= CKPT_PATHF_NO_NAME;
	else if (*text != '/')
		*ret_flags |= CKPT_PATHF_UNREACHABLE;
	if ((d_unlinked(dentry) || (*ret_flags & CKPT_PATHF_NO_NAME)) && len > strlen(deleted) &&
	    !strcmp(text + len - strlen(deleted), deleted)) {
		*ret_flags |= CKPT_PATHF_DELETED;
		len -= strlen(deleted);
	}
	*ret_len = len;
	return text;
}
