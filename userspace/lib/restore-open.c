// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-open.c - open one file of the program, and tell whether it is the one
 * it was.
 *
 * A regular file is the same when size and modification time are, to the
 * nanosecond.  Device and inode numbers are not asked: device numbers of many
 * file systems change with each boot, and a copy that kept its time holds the
 * same bytes.  An ELF file of the same size and build identity is the same,
 * whatever its time says; where the image has the content, any file of the
 * same digest is, and no other.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "restore-files.h"
#include "util.h"

/* Flags that F_GETFL shows and open() would take amiss or act on. */
#define NOT_FOR_OPEN	(O_CREAT | O_EXCL | O_TRUNC | O_ASYNC | RESTORE_TMPFILE)
/* Those that can be had later, and would stand in the way of writing content. */
#define FOR_LATER	(O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

/* Where to look for @path; a new string.  @ret_given: how much of it the user gave; may be NULL. */
char *restore_map_path(const struct restore *rs, const char *path, size_t *ret_given)
{
	const struct ckpt_restore_opts *o = rs->opts;
	char *mapped;

	if (ret_given)
		*ret_given = 0;
	for (size_t i = 0; i < o->nr_paths; i++) {
		size_t len = strlen(o->paths[i].from);

		while (len > 1 && o->paths[i].from[len - 1] == '/')
			len--;
		if (strncmp(path, o->paths[i].from, len) || (path[len] && path[len] != '/'))
			continue;
		if (asprintf(&mapped, "%s%s", o->paths[i].to, path + len) < 0)
			return NULL;
		if (ret_given)
			*ret_given = strlen(o->paths[i].to);
		return mapped;
	}
	return strdup(path);
}

/* An image that comes from anywhere may have none. */
static int find_path(const struct restore *rs, const char *thing, const char *path, char **ret_mapped)
{
	if (!path) {
		ckpt_err_set(rs->err, -EOPNOTSUPP, "%s: has no path", thing);
		return -EOPNOTSUPP;
	}
	*ret_mapped = restore_map_path(rs, path, NULL);
	if (*ret_mapped)
		return 0;
	ckpt_err_set(rs->err, -ENOMEM, "no memory");
	return -ENOMEM;
}

static int open_below(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)flags,
		.mode = mode,
		.resolve = RESOLVE_IN_ROOT,
	};

	if (root < 0)
		return open(path, flags, mode);
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* The type, and of a device the number, must be the recorded one. */
static int check_kind(struct restore *rs, const char *thing, const char *path,
		      const struct ckpt_file_id *id, const struct stat *st)
{
	if ((st->st_mode & S_IFMT) != (id->mode & S_IFMT))
		return ckpt_err_set(rs->err, -ESTALE, "%s: %s is not the kind of file it was",
				    thing, path);
	if ((S_ISCHR(id->mode) || S_ISBLK(id->mode)) && st->st_rdev != id->rdev)
		return ckpt_err_set(rs->err, -ESTALE, "%s: %s was device %u:%u and is now %u:%u",
				    thing, path, major(id->rdev), minor(id->rdev),
				    major(st->st_rdev), minor(st->st_rdev));
	return 0;
}

/*
 * Open @path, in the program's root @root when that is not ours (-1), as @flags
 * of F_GETFL say.
 *
 * Whoever can write to the directory may have put something else there: to open
 * a FIFO waits for a writer, and to open a device may do something.  So it is
 * first only looked at, and what was looked at is then opened.
 */
int restore_open(struct restore *rs, int root, const char *thing, const char *path,
		 const struct ckpt_file_id *id, int flags, struct opened *ret)
{
	char *mapped;
	int fd, r = find_path(rs, thing, path, &mapped);

	if (r)
		return r;
	if (S_ISDIR(id->mode))
		flags |= O_DIRECTORY;
	fd = open_below(root, mapped, O_PATH | O_CLOEXEC | (flags & (O_DIRECTORY | O_NOFOLLOW)), 0);
	if (fd < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: open %s", thing, mapped);
		if (r == -ENOENT)
			ckpt_err_hint(rs->err,
				      "put it back, or say where it is now with --remap");
	} else if (fstat(fd, &ret->st) < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: stat %s", thing, mapped);
	} else {
		r = check_kind(rs, thing, mapped, id, &ret->st);
	}
	if (!r && !(flags & O_PATH)) {
		int seen = fd;

		fd = restore_reopen(seen, flags);
		if (fd < 0 || fstat(fd, &ret->st) < 0)
			r = ckpt_err_sys(rs->err, errno, "%s: open %s", thing, mapped);
		close(seen);
	}
	free(mapped);
	if (r && fd >= 0)
		close(fd);
	ret->fd = r ? -1 : fd;
	return r;
}

int restore_look(struct restore *rs, const char *thing, const char *path, int flags,
		 int *ret_fd)
{
	char *mapped;
	int r = find_path(rs, thing, path, &mapped);

	if (r)
		return r;
	*ret_fd = open_below(rs->files->root_fd, mapped, O_PATH | O_CLOEXEC | flags, 0);
	if (*ret_fd < 0)
		r = ckpt_err_sys(rs->err, errno, "%s: open %s", thing, mapped);
	if (r == -ENOENT)
		ckpt_err_hint(rs->err, "put it back, or say where it is now with --remap");
	free(mapped);
	return r;
}

void restore_set_mtime(int fd, int64_t ns)
{
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = ns / (int64_t)NSEC_PER_SEC, .tv_nsec = ns % (int64_t)NSEC_PER_SEC },
	};

	futimens(fd, times);
}

static void time_text(int64_t ns, char *buf, size_t size)
{
	time_t sec = (time_t)(ns / (int64_t)NSEC_PER_SEC);
	char day[32];
	struct tm tm;

	if (!gmtime_r(&sec, &tm) || !strftime(day, sizeof(day), "%F %T", &tm))
		snprintf(day, sizeof(day), "%lld", (long long)sec);
	snprintf(buf, size, "%s.%09lld UTC", day, (long long)(ns % (int64_t)NSEC_PER_SEC));
}

/* The error that tells both identities apart. */
int restore_file_differs(struct restore *rs, const char *thing, const char *path,
			 const struct ckpt_file_id *id, const struct stat *st, const char *how)
{
	char was[64], is[64];

	time_text(id->mtime_ns, was, sizeof(was));
	time_text(ckpt_mtime_ns(st), is, sizeof(is));
	return ckpt_err_set(rs->err, -ESTALE,
			    "%s: %s %s: was %llu bytes of %s (inode %llu), is %llu bytes of %s (inode %llu)",
			    thing, path, how, (unsigned long long)id->size, was,
			    (unsigned long long)id->ino, (unsigned long long)st->st_size, is,
			    (unsigned long long)st->st_ino);
}

/* A file that must not have changed. */
int restore_same_file(struct restore *rs, const char *thing, const char *path,
		      const struct ckpt_file_id *id, const struct opened *o)
{
	const struct meta_file *mf = meta_files_find(&rs->meta, path);
	char build_id[META_BUILD_ID + 1], digest[META_DIGEST + 1];
	int r;

	if (ckpt_file_unchanged(id, &o->st))
		return 0;
	if (mf && meta_has_content(mf) && (uint64_t)o->st.st_size == id->size) {
		r = meta_digest(o->fd, id->size, digest);
		if (r && r != -ENODATA)
			return ckpt_err_sys(rs->err, r, "%s: read %s", thing, path);
		if (!r && !strcmp(digest, mf->digest))
			return 0;
	} else if (mf && mf->build_id[0] && (uint64_t)o->st.st_size == id->size) {
		r = meta_build_id(o->fd, build_id);
		if (r)
			return ckpt_err_sys(rs->err, r, "%s: build identity of %s", thing, path);
		if (!strcmp(build_id, mf->build_id))
			return 0;
	}
	r = restore_file_differs(rs, thing, path, id, &o->st, "has changed since the snapshot");
	ckpt_err_hint(rs->err, "put the old file back, or say where it is with --remap");
	return r;
}

/*
 * Not there, or not what it was: -EACCES and the like are no such thing, somebody has to see to them.
 */
static bool is_changed(int code)
{
	return code == -ESTALE || code == -ENOENT || code == -ENOTDIR;
}

int restore_open_fixed(struct restore *rs, int root, const char *thing, const char *path,
		       const struct ckpt_file_id *id, int flags, struct opened *ret)
{
	int r = restore_open(rs, root, thing, path, id, flags, ret);

	if (!r) {
		r = restore_same_file(rs, thing, path, id, ret);
		if (r) {
			close(ret->fd);
			ret->fd = -1;
		}
	}
	if (!is_changed(r) || !restore_has_copy(rs, path))
		return r;
	ckpt_err_clear(rs->err);
	return restore_copy_open(rs, thing, path, &ret->fd);
}

/* A new open file of the same inode. */
int restore_reopen(int fd, int flags)
{
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	/* The name used here is a link itself. */
	return open(link, (flags & ~(NOT_FOR_OPEN | O_NOFOLLOW)) | O_CLOEXEC | O_NOCTTY);
}

/*
 * A file without a name on the file system of @path.  One that was made so may
 * get a name later, with linkat(2): O_EXCL would forbid that, and on another
 * file system it would not be where the program wants it.  One that was deleted
 * never can; when its directory is gone too, any place will do.
 */
static int make_nameless(struct restore *rs, int root, const char *path, int flags, mode_t mode)
{
	const bool deleted = !(flags & RESTORE_TMPFILE);
	char *mapped = restore_map_path(rs, path ? path : "/tmp/x", NULL);
	char *slash;
	int fd = -1;

	if (!mapped)
		return -1;
	flags = deleted ? O_EXCL | O_RDWR : flags & ~(NOT_FOR_OPEN | FOR_LATER);
	flags |= O_TMPFILE | O_CLOEXEC;
	slash = strrchr(mapped, '/');
	if (slash) {
		slash[slash == mapped] = 0;
		fd = open_below(root, mapped, flags, mode);
	}
	free(mapped);
	if (fd < 0 && deleted)
		fd = open("/tmp", flags, mode);
	return fd;
}

/*
 * A file without a name gets a new inode, without a name as before, with the
 * content the image carries in @section.  @flags: those of its open file when it
 * was made by O_TMPFILE, for this is that open file then; else 0.
 */
int restore_open_deleted(struct restore *rs, int root, const char *thing, int section,
			 const struct ckpt_file_id *id, const char *path, int flags, int *ret_fd)
{
	size_t len = 0;
	void *data;
	int fd, r;

	if (section < 0)
		return ckpt_err_set(rs->err, -ENODATA,
				    "%s: %s was deleted, and the image does not hold its content",
				    thing, path ? path : "(no name)");
	r = image_load(rs->image, (uint32_t)section, rs->err, &data, &len);
	if (r)
		return r;
	fd = make_nameless(rs, root, path, flags, id->mode & 07777);
	if (fd < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: make a file without a name in place of %s",
				 thing, path ? path : "a deleted one");
		if (flags)
			ckpt_err_hint(rs->err, "it may get a name later, so it must be in that directory");
	}
	if (!r)
		r = restore_fill_file(fd, data, len);
	if (!r && ftruncate(fd, (off_t)id->size) < 0)
		r = -errno;
	if (!r && (fchown(fd, id->uid, id->gid) < 0 || fchmod(fd, id->mode & 07777) < 0))
		r = -errno;
	if (r)
		ckpt_err_sys(rs->err, r, "%s: content of the deleted file %s", thing,
			     path ? path : "");
	free(data);
	if (r && fd >= 0)
		close(fd);
	*ret_fd = r ? -1 : fd;
	return r;
}
