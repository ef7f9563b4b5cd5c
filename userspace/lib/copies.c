// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * copies.c - a directory of files made out of images: what a restored program maps in the place of an
 * executable, library or data file that is not what it was.
 *
 *	STORE/.files/				0755, or a directory the user names
 *	STORE/.files/ckpt-DIGEST-NAME		0555, one a content and name; 0500: out of an encrypted image
 *	STORE/.files/.tmp-DIGEST-N		being written
 *
 * They have names, not O_TMPFILE or memfd, so that the program can be snapshotted again: a mapping has to
 * be found by its path.  All restores share one copy.
 *
 * Life of a copy:
 *  1. Written under a temporary name, synced, read again and held against its digest, given its name by a
 *     rename that replaces nothing: the one that is there may be mapped.  Only one that is not sound, which
 *     is found as it is used the next time, is replaced
 *  2. Before each use its owner, mode and digest are looked at
 *  3. copies_sweep() removes it when nobody uses it.  Any image that names it has its content too (snap
 *     puts copies into an image unasked), so it is made again when it is needed
 *
 * Locks: who has the directory open holds it by flock(), shared; who sweeps locks it exclusively, so no
 * restore is under way, and all temporaries are of the dead.  A copy in use is told by a lock of its open
 * file (F_OFD_SETLK) that lasts as long as any mapping of it.  A read lock: it is in nobody's way, for the
 * program itself cannot have the file open for writing.  On file systems of other machines such locks may
 * be known to this machine alone: there nothing is swept.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "copies.h"
#include "meta.h"
#include "store-priv.h"
#include "util.h"

#define DIR_NAME	".files"
#define PREFIX		"ckpt-"
#define TEMP_PREFIX	".tmp-"
#define NAME_LEN	160		/* of the file's own; with the rest it is below NAME_MAX */
#define COPY_NAME_MAX	256
#define MODE		0555
#define MODE_SECRET	0500
#define TEMPS_MAX	1000
#define LOCK_TRIES	200
#define LOCK_WAIT_NS	20000000

struct copies {
	int	fd;
	char	*path;
};

/* --------------------------------------------------------------------------------- names */

/* Behind "ckpt-DIGEST-"; NULL: it is not named so. */
static const char *own_name(const char *name)
{
	size_t n = strlen(PREFIX);

	if (strncmp(name, PREFIX, n) || strspn(name + n, "0123456789abcdef") != META_DIGEST ||
	    name[n + META_DIGEST] != '-' || !name[n + META_DIGEST + 1])
		return NULL;
	return name + n + META_DIGEST + 1;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool copies_is_one(const char *path)
{
	return own_name(base_name(path));
}

/* A copy of a copy has the same name, for it is the same. */
static void copy_name(const struct copy_of *want, char ret[COPY_NAME_MAX])
{
	const char *name = base_name(want->name), *own = own_name(name);

	snprintf(ret, COPY_NAME_MAX, PREFIX "%s-%.*s", want->digest, NAME_LEN, own ? own : name);
}

/* --------------------------------------------------------------------------- the directory */

static char *path_of(const struct store *store, const char *dir)
{
	char *path;

	if (dir)
		return strdup(dir);
	return asprintf(&path, "%s/" DIR_NAME, store->path) < 0 ? NULL : path;
}

static int open_dir(const struct store *store, const char *dir, struct copies *c,
		    struct ckpt_err *err)
{
	int at = dir ? AT_FDCWD : store->fd, ret;
	const char *name = dir ? dir : DIR_NAME;
	char *real;

	if (mkdirat(at, name, 0755) && errno != EEXIST) {
		ret = ckpt_err_sys(err, errno, "%s: cannot be made, to put files of the image there", c->path);
		ckpt_err_hint(err, "name another directory with --files-dir");
		return ret;
	}
	c->fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (dir ? 0 : O_NOFOLLOW));
	if (c->fd < 0)
		return ckpt_err_sys(err, errno, "%s", c->path);
	real = realpath(c->path, NULL);	/* for people; what is opened is not chosen by it */
	if (real) {
		free(c->path);
		c->path = real;
	}
	return 0;
}

/* Who sweeps is soon done. */
static int hold_dir(struct copies *c, struct ckpt_err *err)
{
	const struct timespec nap = { 0, LOCK_WAIT_NS };
	int ret = store_lock(c->fd, LOCK_SH);

	for (int i = 0; ret == -EWOULDBLOCK && i < LOCK_TRIES; i++) {
		nanosleep(&nap, NULL);
		ret = store_lock(c->fd, LOCK_SH);
	}
	if (ret != -EWOULDBLOCK)
		return 0;	/* where there are no locks nothing is swept either */
	ckpt_err_set(err, EBUSY, "%s: is being cleaned by another", c->path);
	ckpt_err_hint(err, "try again when 'ckptctl gc' is done");
	return -EBUSY;
}

static int check_dir(const struct copies *c, struct ckpt_err *err)
{
	struct statvfs fs;
	int ret = store_check_ours(c->fd, c->path, err);

	if (ret)
		return ret;
	if (fstatvfs(c->fd, &fs))
		return ckpt_err_sys(err, errno, "%s", c->path);
	if (!(fs.f_flag & ST_NOEXEC))
		return 0;
	ckpt_err_set(err, EACCES, "%s: is on a file system nothing may be run from (noexec)", c->path);
	ckpt_err_hint(err, "name another directory with --files-dir");
	return -EACCES;
}

int copies_open(const struct store *store, const char *dir, struct ckpt_err *err,
		struct copies **ret_copies)
{
	struct copies *c;
	int ret;

	if (!dir && !store) {
		ckpt_err_set(err, ENOENT, "the image has it, but there is no store to put files of images into");
		ckpt_err_hint(err, "name a directory with --files-dir");
		return -ENOENT;
	}
	c = calloc(1, sizeof(*c));
	if (c) {
		c->fd = -1;
		c->path = path_of(store, dir);
	}
	if (!c || !c->path) {
		free(c);
		return ckpt_err_sys(err, ENOMEM, "files of the image");
	}
	ret = open_dir(store, dir, c, err);
	if (!ret)
		ret = check_dir(c, err);
	if (!ret)
		ret = hold_dir(c, err);
	if (ret) {
		copies_close(c);
		return ret;
	}
	*ret_copies = c;
	return 0;
}

void copies_close(struct copies *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->path);
	free(c);
}

/* ----------------------------------------------------------------------------------- a copy */

static int failed(const struct copies *c, const char *name, int code, const char *what,
		  struct ckpt_err *err)
{
	const char *remedy = util_write_remedy(code);

	ckpt_err_sys(err, code, "%s/%s: %s", c->path, name, what);
	if (remedy)
		ckpt_err_hint(err, "%s", remedy);
	return code < 0 ? code : -code;
}

/* Keep it from being swept.  Where there are no such locks nothing is. */
static void use(int fd)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	fcntl(fd, F_OFD_SETLK, &lock);
}

/* 1: @fd holds what it should; 0: it does not; or -errno. */
static int is_sound(int fd, const struct copy_of *want)
{
	char digest[META_DIGEST + 1];
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return -errno;
	if ((uint64_t)st.st_size != want->size)
		return 0;
	ret = meta_digest(fd, want->size, digest);
	if (ret)
		return ret == -ENODATA ? 0 : ret;
	return !strcmp(digest, want->digest);
}

static bool is_closed(const struct stat *st)
{
	return S_ISREG(st->st_mode) && !(st->st_mode & 0077);
}

/* The one that is there: its descriptor, -ENOENT (no text): none, or none that is sound. */
static int find(const struct copies *c, const char *name, const struct copy_of *want,
		struct ckpt_err *err)
{
	int fd = openat(c->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), ret;
	char path[STORE_PATH_MAX];
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return failed(c, name, errno, "cannot be opened", err);
	snprintf(path, sizeof(path), "%s/%s", c->path, name);
	ret = fstat(fd, &st) ? ckpt_err_sys(err, errno, "%s", path) : 0;
	if (!ret && !S_ISREG(st.st_mode))
		ret = ckpt_err_set(err, ESTALE, "%s: is no file", path);
	if (!ret)
		ret = store_check_ours(fd, path, err);
	if (!ret && want->secret && !is_closed(&st) && fchmod(fd, MODE_SECRET))
		ret = failed(c, name, errno, "others can read it, and it cannot be closed to them", err);
	if (!ret) {
		ret = is_sound(fd, want);
		if (ret < 0)
			failed(c, name, ret, "cannot be read", err);
		else
			ret = ret ? 0 : -ENOENT;
	}
	if (ret) {
		close(fd);
		return ret;
	}
	use(fd);
	return fd;
}

static int make_temp(const struct copies *c, const struct copy_of *want, char name[COPY_NAME_MAX],
		     struct ckpt_err *err)
{
	int fd = -1;

	for (unsigned int i = 0; fd < 0 && i < TEMPS_MAX; i++) {
		snprintf(name, COPY_NAME_MAX, TEMP_PREFIX "%s-%u", want->digest, i);
		fd = openat(c->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	return fd < 0 ? failed(c, name, errno, "cannot be made", err) : fd;
}

/* Content, time, mode, all of it durable, and what was meant. */
static int write_temp(const struct copies *c, const char *name, int fd, const struct copy_of *want,
		      copies_fill_fn fill, void *arg, struct ckpt_err *err)
{
	const int64_t second = 1000000000, ns = want->mtime_ns;
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT }, { .tv_sec = ns / second, .tv_nsec = ns % second },
	};
	int ret = fill(fd, arg);

	if (ret)
		return ret;
	if (ftruncate(fd, (off_t)want->size) || fchmod(fd, want->secret ? MODE_SECRET : MODE))
		return failed(c, name, errno, "cannot be written", err);
	futimens(fd, times);	/* for people: a copy is known by its digest */
	ret = util_fsync(fd);
	if (ret)
		return failed(c, name, ret, "cannot be synced", err);
	ret = is_sound(fd, want);
	if (ret < 0)
		return failed(c, name, ret, "cannot be read again", err);
	return ret ? 0 : ckpt_err_set(err, EBADMSG, "%s: the content in the image is not that of its digest",
				      want->name);
}

/* Never over one that is in use by now; @instead of one that is not sound. */
static int give_name(const struct copies *c, const char *temp, const char *name, bool instead,
		     struct ckpt_err *err, bool *ret_renamed)
{
	int ret = instead ? renameat(c->fd, temp, c->fd, name) :
		  renameat2(c->fd, temp, c->fd, name, RENAME_NOREPLACE);

	/* NFS and others have no such rename. */
	if (ret && !instead && (errno == EINVAL || errno == ENOSYS))
		ret = linkat(c->fd, temp, c->fd, name, 0);
	else if (!ret)
		*ret_renamed = true;
	if (ret && errno == EEXIST)
		return 0;	/* made meanwhile, and is looked at next */
	if (ret)
		return failed(c, name, errno, "cannot be given its name", err);
	ret = util_fsync_dir(c->fd);
	return ret ? failed(c, name, ret, "cannot be synced", err) : 0;
}

static int make(const struct copies *c, const char *name, const struct copy_of *want, bool instead,
		copies_fill_fn fill, void *arg, struct ckpt_err *err)
{
	char temp[COPY_NAME_MAX];
	int fd = make_temp(c, want, temp, err), ret;
	bool renamed = false;

	if (fd < 0)
		return fd;
	ret = write_temp(c, temp, fd, want, fill, arg, err);
	close(fd);		/* what is open for writing cannot be run */
	if (!ret)
		ret = give_name(c, temp, name, instead, err, &renamed);
	if (!renamed)		/* else that name may be another's by now */
		unlinkat(c->fd, temp, 0);
	return ret;
}

int copies_get(struct copies *c, const struct copy_of *want, copies_fill_fn fill, void *arg,
	       struct ckpt_err *err, int *ret_fd, char **ret_path)
{
	struct copy_of as = *want;
	char name[COPY_NAME_MAX];
	struct stat st;
	bool instead;
	int fd, ret;

	copy_name(want, name);
	fd = find(c, name, want, err);
	if (fd == -ENOENT) {
		instead = !fstatat(c->fd, name, &st, AT_SYMLINK_NOFOLLOW);
		as.secret |= instead && is_closed(&st);
		ret = make(c, name, &as, instead, fill, arg, err);
		if (ret)
			return ret;
		fd = find(c, name, want, err);
		if (fd == -ENOENT)
			ckpt_err_set(err, EIO, "%s/%s: is not what was just written", c->path, name);
	}
	if (fd < 0)
		return fd == -ENOENT ? -EIO : fd;
	if (asprintf(ret_path, "%s/%s", c->path, name) < 0) {
		close(fd);
		return ckpt_err_sys(err, ENOMEM, "%s", name);
	}
	*ret_fd = fd;
	return 0;
}

int copies_reopen(int fd)
{
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	fd = open(link, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	use(fd);
	return fd;
}

/* ---------------------------------------------------------------------------------- sweeping */

/* Whether a lock by anybody who may have it mapped is seen from here. */
static bool sees_all_locks(int fd)
{
	static const uint32_t local[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC, F2FS_SUPER_MAGIC,
		OVERLAYFS_SUPER_MAGIC, 0x2fc12fc1 /* zfs */, 0xca451a4e /* bcachefs */,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		if ((uint32_t)fs.f_type == local[i])
			return true;
	return false;
}

static bool is_unused(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type == F_UNLCK;
}

/* Bytes that were freed, or -errno. */
static int64_t sweep_one(int dir, const char *name)
{
	const bool temp = !strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX));
	int fd, ret = 0;
	struct stat st;

	if (!temp && !own_name(name))
		return -EINVAL;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (!temp && !is_unused(fd)) || unlinkat(dir, name, 0))
		ret = -EBUSY;
	close(fd);
	return ret ? ret : st.st_size;
}

void copies_sweep(const struct store *store, uint64_t *ret_files, uint64_t *ret_bytes)
{
	int fd = openat(store->fd, DIR_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return;
	dir = sees_all_locks(fd) && !store_lock(fd, LOCK_EX) ? fdopendir(fd) : NULL;
	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		int64_t bytes = sweep_one(fd, entry->d_name);

		if (bytes < 0)
			continue;
		++*ret_files;
		*ret_bytes += (uint64_t)bytes;
	}
	closedir(dir);
}
