// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: how a file is named.
 *
 * Owns nothing.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/string.h>

#include "record.h"
#include "state.h"

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
