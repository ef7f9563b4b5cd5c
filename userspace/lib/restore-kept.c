// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-kept.c - files the program changed in place: what they held at the snapshot is in the image,
 * and is put back; what they hold now is not lost.
 *
 * The file itself gets its old content, not another in its place: programs remember which inode they
 * have open (SQLite does, and writes no more when the name leads elsewhere), and it may have more names.
 *
 * One that several processes of a tree have is the first one's, and the others' to open; each commits
 * its own.
 *
 * Life of one:
 *  1. restore_kept_open(), for its first descriptor or mapping.  All the image has of it is read once.
 *     When it holds what it held it is used as it is; else a clone or copy is made of it, NAME.newer.N,
 *     and synced, unless the newer one is to be discarded.  Is it gone, a new file is filled, under a
 *     name that is not yet its own
 *  2. restore_kept_check(): nobody else has changed one meanwhile; then restore_kept_commit(): content,
 *     length, owner and mode are put back, and synced; a new file gets its name.  What must not stand
 *     beside it, NAME-journal and the like, is put aside first
 *  3. restore_kept_close() removes copies and new files that were not needed and brings back what was put
 *     aside, after a failure before or in the commit
 *
 * A write that fails in 2 leaves a file that is neither; the newer one is there by its other name, and the
 * image too, so it can be tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "restore-files.h"
#include "util.h"

#define NAMES_MAX	10000
#define COMPARE_BATCH	(1u << 20)

/* ------------------------------------------------------------------------- what the image has */

/* Whose section has the content. */
static uint32_t keeper_of(const struct restore *rs, const struct meta_file *mf)
{
	return mf->keeper ? mf->keeper : (uint32_t)rs->m->proc.pid;
}

static int open_content(struct restore *rs, const struct meta_file *mf, struct image_pages **ret)
{
	int section = image_find(rs->image, IMAGE_FILE, keeper_of(rs, mf), mf->section);

	if (section < 0)
		return ckpt_err_set(rs->err, -EBADMSG, "%s: the image does not hold its content",
				    mf->path);
	return image_pages_open(rs->image, (uint32_t)section, rs->err, ret);
}

/* Bytes of run @r that lie in the file; the last page may reach beyond its end. */
static uint64_t run_bytes(const struct image_run *r, uint64_t size)
{
	uint64_t len = r->npages * RESTORE_PAGE;

	if (r->addr >= size)
		return 0;
	return len < size - r->addr ? len : size - r->addr;
}

static int bad_run(struct restore *rs, const struct meta_file *mf)
{
	return ckpt_err_set(rs->err, -EBADMSG, "%s: its content in the image is not that of a file",
			    mf->path);
}

/*
 * Nothing but zeros from @at to @end.  Not by truncation, which would take the program's own copies of
 * mapped pages with it.
 */
static int write_zeros(int fd, uint64_t at, uint64_t end)
{
	static const char zeros[1 << 16];
	int r = 0;

	if (at >= end)
		return 0;
	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)(end - at)))
		return 0;
	for (; !r && at < end; at += sizeof(zeros))
		r = util_pwrite_full(fd, zeros, end - at < sizeof(zeros) ? end - at : sizeof(zeros), at);
	return r;
}

/* All the image has, with zeros between. */
static int write_runs(struct restore *rs, const struct meta_file *mf, struct image_pages *pages, int fd,
		      uint64_t *ret_at)
{
	struct image_pages_stats stats;
	uint64_t at = 0;
	int r = 0;

	image_pages_get_stats(pages, &stats);
	for (uint64_t i = 0; !r && i < stats.runs; i++) {
		struct image_run run;
		const void *data;

		image_pages_get_run(pages, i, &run);
		if (run.kind == IMAGE_RUN_ZERO)
			continue;
		if (run.kind != IMAGE_RUN_DATA)
			return bad_run(rs, mf);
		r = image_pages_borrow(pages, i, rs->err, &data);
		if (r)
			return r;
		r = write_zeros(fd, at, run.addr < mf->size ? run.addr : mf->size);
		if (!r)
			r = util_pwrite_full(fd, data, run_bytes(&run, mf->size), run.addr);
		if (r)
			return ckpt_err_sys(rs->err, r, "%s: write what it held at the snapshot", mf->path);
		at = run.addr + run_bytes(&run, mf->size);
	}
	*ret_at = at;
	return r;
}

/* The content, and then its length: what is behind goes last. */
static int write_content(struct restore *rs, const struct meta_file *mf, int fd)
{
	struct image_pages *pages;
	struct stat st;
	uint64_t at = 0;
	int r = open_content(rs, mf, &pages);

	if (r)
		return r;
	r = write_runs(rs, mf, pages, fd, &at);
	image_pages_close(pages);
	if (r)
		return r;
	if (fstat(fd, &st) < 0)
		r = -errno;
	if (!r)
		r = write_zeros(fd, at, (uint64_t)st.st_size < mf->size ? (uint64_t)st.st_size : mf->size);
	if (!r && (uint64_t)st.st_size != mf->size && ftruncate(fd, (off_t)mf->size) < 0)
		r = -errno;
	return r ? ckpt_err_sys(rs->err, r, "%s: write what it held at the snapshot", mf->path) : 0;
}

/* Whether @len bytes of @fd at @at are @data's, or zero when that is NULL: 1, 0 or -errno. */
static int same_bytes(int fd, const char *data, uint64_t len, uint64_t at, char *buf)
{
	for (uint64_t done = 0; done < len; done += COMPARE_BATCH) {
		size_t n = len - done < COMPARE_BATCH ? len - done : COMPARE_BATCH;
		int r = util_pread_full(fd, buf, n, at + done);

		if (r)
			return r == -ENODATA ? 0 : r;
		if (data ? memcmp(buf, data + done, n) != 0 : !util_is_zero(buf, n))
			return 0;
	}
	return 1;
}

/* Read all runs; *@same becomes 0 at the first that differs from @fd, or -errno, and @fd is read no more. */
static int compare_runs(struct restore *rs, const struct meta_file *mf, struct image_pages *pages, int fd,
			char *buf, int *same)
{
	struct image_pages_stats stats;
	uint64_t at = 0;
	int r = 0;

	image_pages_get_stats(pages, &stats);
	for (uint64_t i = 0; !r && i < stats.runs; i++) {
		const void *data = NULL;
		struct image_run run;

		image_pages_get_run(pages, i, &run);
		if (run.kind == IMAGE_RUN_DATA)
			r = image_pages_borrow(pages, i, rs->err, &data);
		else if (run.kind != IMAGE_RUN_ZERO)
			r = bad_run(rs, mf);
		if (r)
			return r;
		if (*same > 0 && run.addr < mf->size) {
			*same = same_bytes(fd, NULL, run.addr - at, at, buf);
			if (*same > 0)
				*same = same_bytes(fd, data, run_bytes(&run, mf->size), run.addr, buf);
			at = run.addr + run_bytes(&run, mf->size);
		}
		r = restore_interrupted(rs);
	}
	if (!r && *same > 0)
		*same = same_bytes(fd, NULL, mf->size - at, at, buf);
	return r;
}

/*
 * All the image has of it is read once, before anything is changed: it is sound.  Whether that is what @fd,
 * -1: none, holds: 1, 0 or -errno.
 */
static int check_content(struct restore *rs, const struct meta_file *mf, int fd)
{
	char *buf = malloc(COMPARE_BATCH);
	struct image_pages *pages;
	int same = fd >= 0, r;

	if (!buf)
		return ckpt_err_sys(rs->err, ENOMEM, "%s", mf->path);
	r = open_content(rs, mf, &pages);
	if (!r) {
		r = compare_runs(rs, mf, pages, fd, buf, &same);
		image_pages_close(pages);
	}
	free(buf);
	if (r)
		return r;
	return same < 0 ? ckpt_err_sys(rs->err, same, "%s: read", mf->path) : same;
}

/* ------------------------------------------------------------------------- a file to put back */

static int open_beneath(int dir, const char *path, uint64_t resolve)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = resolve };

	return (int)syscall(SYS_openat2, dir, *path ? path : ".", &how, sizeof(how));
}

/*
 * What is written to must not be chosen by who owns a directory on the way.  The recorded path has no
 * links in it; of @path the first @given bytes are the user's word, and may.
 */
static int open_dir(const struct restore *rs, char *path, size_t given)
{
	const int root = rs->files->root_fd;
	const uint64_t in_root = root < 0 ? 0 : RESOLVE_IN_ROOT;
	char *rest = path + given;
	int top, fd;

	if (!given)
		return open_beneath(root < 0 ? AT_FDCWD : root, path, in_root | RESOLVE_NO_SYMLINKS);
	if (*rest)
		*rest++ = 0;	/* the slash */
	top = open_beneath(root < 0 ? AT_FDCWD : root, path, in_root);
	if (top < 0)
		return top;
	fd = open_beneath(top, rest, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	close(top);
	return fd;
}

/* Directory and name of it, where it is now. */
static int find_place(struct restore *rs, struct kept *k)
{
	size_t given;
	char *mapped = restore_map_path(rs, k->mf->path, &given), *slash;
	int r = 0;

	if (!mapped)
		return ckpt_err_sys(rs->err, ENOMEM, "%s", k->mf->path);
	slash = strrchr(mapped, '/');
	if (!slash || !slash[1] || strlen(slash + 1) > NAME_MAX) {
		r = ckpt_err_set(rs->err, -EBADMSG, "%s: is no path of a file", k->mf->path);
	} else {
		strcpy(k->name, slash + 1);
		slash[slash == mapped] = 0;
		k->dir = open_dir(rs, mapped, given < strlen(mapped) ? given : strlen(mapped));
		if (k->dir < 0)
			r = ckpt_err_sys(rs->err, errno, "%s: open its directory", k->mf->path);
		if (r == -ELOOP)
			ckpt_err_hint(rs->err, "there were no links in its path: say where it is now with "
				      "--remap");
	}
	free(mapped);
	return r;
}

/* The file of that name, looked at only; -ENOENT without an error text when there is none. */
static int look(struct restore *rs, const struct kept *k, struct stat *st)
{
	int fd = openat(k->dir, k->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, st) < 0)
		return ckpt_err_sys(rs->err, errno, "%s", k->mf->path);
	if (S_ISREG(st->st_mode))
		return fd;
	close(fd);
	return ckpt_err_set(rs->err, -ESTALE, "%s is not the kind of file it was", k->mf->path);
}

/* A file of our own in that directory: @pattern is for its name and a number. */
static int make_file(struct restore *rs, struct kept *k, const char *pattern)
{
	int fd = -1;

	for (unsigned int i = 1; fd < 0 && i < NAMES_MAX; i++) {
		snprintf(k->made, sizeof(k->made), pattern, k->name, i);
		fd = openat(k->dir, k->made, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd >= 0)
		return fd;
	k->made[0] = 0;		/* none of ours to remove */
	return ckpt_err_sys(rs->err, errno, "%s: make a file beside it", k->mf->path);
}

/* Labels, ACLs and the like, as far as it may be. */
static void copy_attributes(int from, int to)
{
	char names[4096], value[4096];
	ssize_t len = flistxattr(from, names, sizeof(names));

	for (char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t n = fgetxattr(from, name, value, sizeof(value));

		if (n >= 0)
			fsetxattr(to, name, value, (size_t)n, 0);
	}
}

static int copy_bytes(struct restore *rs, int from, int to, uint64_t size)
{
	char *buf = malloc(COMPARE_BATCH);
	uint64_t begin, end = 0;
	int r = buf ? 0 : -ENOMEM, e = 1;

	while (!r && (e = util_next_data(from, size, end, &begin, &end)) > 0)
		for (uint64_t at = begin; !r && at < end; at += COMPARE_BATCH) {
			size_t n = end - at < COMPARE_BATCH ? end - at : COMPARE_BATCH;

			r = util_pread_full(from, buf, n, at);
			if (!r)
				r = util_pwrite_full(to, buf, n, at);
			if (!r)
				r = restore_interrupted(rs);
		}
	if (!r && e >= 0 && ftruncate(to, (off_t)size) < 0)
		r = -errno;
	free(buf);
	return r ? r : e;
}

/* The newer file, under another name. */
static int make_backup(struct restore *rs, struct kept *k, int now, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	int fd = make_file(rs, k, "%.200s.newer.%u"), r = 0;

	if (fd < 0)
		return fd;
	if (ioctl(fd, FICLONE, now))
		r = copy_bytes(rs, now, fd, (uint64_t)st->st_size);
	copy_attributes(now, fd);
	if (!r && (fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0))
		r = -errno;
	futimens(fd, times);
	if (!r)
		r = util_fsync(fd);
	close(fd);
	return r ? ckpt_err_sys(rs->err, r, "%s: keep the newer one as %s", k->mf->path, k->made) : 0;
}

static int set_owner_and_mode(const struct meta_file *mf, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != mf->uid || st.st_gid != mf->gid) && fchown(fd, mf->uid, mf->gid) < 0)
		return -errno;
	return fchmod(fd, mf->mode & 07777) < 0 ? -errno : 0;
}

/* All of it, durable. */
static int fill(struct restore *rs, struct kept *k)
{
	int r = write_content(rs, k->mf, k->fd);

	if (r)
		return r;
	r = set_owner_and_mode(k->mf, k->fd);
	restore_set_mtime(k->fd, k->mf->mtime_ns);
	if (!r)
		r = util_fsync(k->fd);
	return r ? ckpt_err_sys(rs->err, r, "%s: put back what it was", k->mf->path) : 0;
}

/*
 * Of another user, or a link to a file of his, it is not what the program had; and two files that are
 * one by now cannot both be put back.
 */
static int check_same(struct restore *rs, const struct kept *k, const struct stat *st)
{
	int r = 0;

	for (const struct restore *p = rs->set->v; p <= rs; p++)
		for (size_t i = 0; i < p->files->nr_kept; i++) {
			const struct kept *other = &p->files->kept[i];

			if (other != k && other->fd >= 0 && other->st.st_ino == st->st_ino &&
			    other->st.st_dev == st->st_dev)
				r = ckpt_err_set(rs->err, -ESTALE, "%s and %s are one file now",
						 k->mf->path, other->mf->path);
		}
	if (!r && st->st_nlink > 1 && st->st_ino != k->mf->ino)
		r = ckpt_err_set(rs->err, -ESTALE, "%s is another file now, which has more names",
				 k->mf->path);
	if (r) {
		ckpt_err_hint(rs->err, "remove it, and it is made anew");
		return r;
	}
	if (st->st_uid != k->mf->uid) {
		r = ckpt_err_set(rs->err, -ESTALE, "%s belongs to user %u now, not to %u", k->mf->path,
				 st->st_uid, k->mf->uid);
		ckpt_err_hint(rs->err, "change its owner back, or give the program another file with --fd");
	}
	return r;
}

/* There is one, @seen: found as it has to be, or to be written by restore_kept_commit(). */
static int prepare_old(struct restore *rs, struct kept *k, int seen, const struct stat *st)
{
	const bool as_long = (uint64_t)st->st_size == k->mf->size;
	int r = check_same(rs, k, st), same;

	if (r)
		return r;
	k->fd = restore_reopen(seen, O_RDWR);
	if (k->fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: open", k->mf->path);
	same = check_content(rs, k->mf, as_long ? k->fd : -1);
	if (same < 0)
		return same;
	k->differs = !same;
	if (k->differs && !rs->opts->discard_newer)
		r = make_backup(rs, k, k->fd, st);
	/* The program's own copies of pages, and locked memory, need it as long as it was. */
	if (!r && (uint64_t)st->st_size < k->mf->size) {
		k->was_short = st->st_size;
		k->lengthened = !ftruncate(k->fd, (off_t)k->mf->size);
		if (!k->lengthened)
			r = ckpt_err_sys(rs->err, errno, "%s: make it as long as it was", k->mf->path);
	}
	if (!r && fstat(k->fd, &k->st) < 0)
		r = ckpt_err_sys(rs->err, errno, "%s", k->mf->path);
	return r;
}

static int prepare_new(struct restore *rs, struct kept *k)
{
	int r = check_content(rs, k->mf, -1);

	if (r)
		return r;
	k->fd = make_file(rs, k, "%.200s.ckpt-%u");
	k->is_new = k->fd >= 0;
	return k->fd < 0 ? k->fd : fill(rs, k);
}

static int prepare(struct restore *rs, struct kept *k)
{
	struct stat st;
	int seen, r = find_place(rs, k);

	if (r)
		return r;
	seen = look(rs, k, &st);
	if (seen == -ENOENT)
		return prepare_new(rs, k);
	if (seen < 0)
		return seen;
	r = prepare_old(rs, k, seen, &st);
	close(seen);
	return r;
}

/* That of a process in front of @rs, whose files are all open; NULL: there is none. */
static struct kept *find_others(struct restore *rs, const struct meta_file *mf)
{
	for (struct restore *p = rs->set->v; mf->change == META_KEPT && p < rs; p++)
		for (size_t i = 0; i < p->files->nr_kept; i++) {
			struct kept *k = &p->files->kept[i];

			if (k->mf->change == META_KEPT && k->mf->section == mf->section &&
			    keeper_of(p, k->mf) == keeper_of(rs, mf))
				return k;
		}
	return NULL;
}

static bool same_entry(const struct meta_file *a, const struct meta_file *b)
{
	return !strcmp(a->path, b->path) && a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

static int get(struct restore *rs, const struct meta_file *mf, struct kept **ret)
{
	struct restore_files *fs = rs->files;
	struct kept *k;

	for (size_t i = 0; i < fs->nr_kept; i++)
		if (fs->kept[i].mf == mf) {
			*ret = &fs->kept[i];
			return 0;
		}
	k = find_others(rs, mf);
	if (k && !same_entry(k->mf, mf))
		return ckpt_err_set(rs->err, -EBADMSG, "%s: the image tells two things of it", mf->path);
	if (!k) {
		k = &fs->kept[fs->nr_kept++];
		*k = (struct kept){ .mf = mf, .dir = -1, .fd = -1 };
	}
	*ret = k;
	return 0;
}

const struct meta_file *restore_kept_find(const struct restore *rs, const char *path)
{
	const struct meta_file *mf = path ? meta_files_find(&rs->meta, path) : NULL;

	return mf && mf->change == META_KEPT ? mf : NULL;
}

int restore_kept_open(struct restore *rs, const char *thing, const struct meta_file *mf, int flags)
{
	struct kept *k;
	int fd, r = get(rs, mf, &k);

	if (!r && k->fd < 0)
		r = prepare(rs, k);
	if (r) {
		ckpt_err_prefix(rs->err, "%s", thing);
		return r;
	}
	fd = restore_reopen(k->fd, flags);
	return fd < 0 ? ckpt_err_sys(rs->err, errno, "%s: open %s", thing, mf->path) : fd;
}

/* One that was not open, and the file it stands beside is put back, or was found as it is to be. */
static bool is_beside(const struct restore *rs, const char *path)
{
	for (size_t i = 0; i < rs->m->nr_fds; i++)
		if (rs->m->fds[i].path && !strcmp(rs->m->fds[i].path, path))
			return false;
	for (size_t i = 0; i < rs->files->nr_kept; i++) {
		const char *base = rs->files->kept[i].mf->path;
		size_t len = strlen(base);

		for (size_t e = 0; e < META_BESIDE; e++)
			if (!strncmp(path, base, len) && !strcmp(path + len, meta_beside[e]))
				return true;
	}
	return false;
}

int restore_kept_open_beside(struct restore *rs)
{
	for (size_t i = 0; i < rs->meta.nr; i++) {
		const struct meta_file *mf = &rs->meta.files[i];
		struct kept *k;
		int r;

		if ((mf->change != META_KEPT && mf->change != META_ABSENT) || !is_beside(rs, mf->path))
			continue;
		r = get(rs, mf, &k);
		if (r)
			return r;
		if (k->dir >= 0)
			continue;
		r = mf->change == META_KEPT ? prepare(rs, k) : find_place(rs, k);
		if (r)
			return r;
	}
	return 0;
}

/* ------------------------------------------------------------------------------- the last step */

/* Never over anything.  NFS and others have no such rename. */
static int rename_to_free(int dir, const char *from, const char *to)
{
	int r = renameat2(dir, from, dir, to, RENAME_NOREPLACE);

	if (r < 0 && (errno == EINVAL || errno == ENOSYS)) {
		r = linkat(dir, from, dir, to, 0);
		if (!r)
			r = unlinkat(dir, from, 0);
	}
	return r;
}

static int put_aside(struct restore *rs, struct kept *k)
{
	int r = -1;

	for (unsigned int i = 1; r < 0 && i < NAMES_MAX; i++) {
		snprintf(k->made, sizeof(k->made), "%.200s.newer.%u", k->name, i);
		r = rename_to_free(k->dir, k->name, k->made);
		if (r < 0 && errno != EEXIST)
			break;
	}
	if (!r)
		return 0;
	k->made[0] = 0;
	return errno == ENOENT ? 0 : ckpt_err_sys(rs->err, errno, "%s: came after the snapshot, and cannot "
						  "be put aside", k->mf->path);
}

/* All has succeeded: no more way back for what was put aside. */
static void leave_aside(struct restore *rs, struct kept *k)
{
	if (!k->made[0])
		return;
	if (rs->opts->discard_newer)
		unlinkat(k->dir, k->made, 0);
	if (rs->opts->put_back)
		rs->opts->put_back(k->mf->path, rs->opts->discard_newer ? NULL : k->made, false,
				   rs->opts->arg);
	k->made[0] = 0;
}

/* Nobody else has written to it since it was compared and copied. */
static int check_untouched(struct restore *rs, const struct kept *k)
{
	struct stat st;

	if (fstat(k->fd, &st) < 0)
		return ckpt_err_sys(rs->err, errno, "%s", k->mf->path);
	if (st.st_size == k->st.st_size && ckpt_mtime_ns(&st) == ckpt_mtime_ns(&k->st) &&
	    st.st_ctim.tv_sec == k->st.st_ctim.tv_sec && st.st_ctim.tv_nsec == k->st.st_ctim.tv_nsec)
		return 0;
	ckpt_err_set(rs->err, -ESTALE, "%s was changed while it was being restored", k->mf->path);
	ckpt_err_hint(rs->err, "see that nobody else writes to it, and try again");
	return -ESTALE;
}

static int put_back(struct restore *rs, struct kept *k)
{
	char backup[NAME_MAX + 1] = "";
	int r = 0;

	if (k->is_new) {
		if (rename_to_free(k->dir, k->made, k->name) < 0)
			r = ckpt_err_sys(rs->err, errno, "%s: make it again", k->mf->path);
	} else {
		strcpy(backup, k->made);
		k->made[0] = 0;		/* from now on it is needed */
		k->lengthened = false;
		r = fill(rs, k);
		if (r && backup[0])
			ckpt_err_hint(rs->err, "what it held before this restore is in %s", backup);
	}
	if (r)
		return r;
	k->made[0] = 0;
	if (rs->opts->put_back)
		rs->opts->put_back(k->mf->path, backup[0] ? backup : NULL, true, rs->opts->arg);
	return 0;
}

/* Names are durable with their directory; that the rest has succeeded does not depend on it. */
static void sync_place(const struct kept *k)
{
	int fd = openat(k->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	util_fsync_dir(fd);
	close(fd);
}

/* Of all processes, before one is written to. */
int restore_kept_check(struct restore *rs)
{
	struct restore_files *fs = rs->files;
	int r = 0;

	for (size_t i = 0; !r && i < fs->nr_kept; i++)
		if (fs->kept[i].mf->change == META_KEPT && !fs->kept[i].is_new)
			r = check_untouched(rs, &fs->kept[i]);
	return r;
}

/*
 * Before time begins to count for the program: this may take a while.  What fails after it leaves a
 * process that never ran, and files that can be put back again.
 */
int restore_kept_commit(struct restore *rs)
{
	struct restore_files *fs = rs->files;
	int r = 0;

	for (size_t i = 0; !r && i < fs->nr_kept; i++)
		if (fs->kept[i].mf->change == META_ABSENT)
			r = put_aside(rs, &fs->kept[i]);
	for (size_t i = 0; !r && i < fs->nr_kept; i++)
		if (fs->kept[i].differs || fs->kept[i].is_new)
			r = put_back(rs, &fs->kept[i]);
	for (size_t i = 0; !r && i < fs->nr_kept; i++) {
		if (fs->kept[i].mf->change == META_ABSENT)
			leave_aside(rs, &fs->kept[i]);
		sync_place(&fs->kept[i]);
	}
	return r;
}

/* What was not needed goes, what was put aside comes back. */
static void undo(struct kept *k)
{
	if (k->lengthened && ftruncate(k->fd, k->was_short))
		return;		/* then it has zeros at its end */
	if (!k->made[0])
		return;
	if (k->mf->change == META_ABSENT)
		rename_to_free(k->dir, k->made, k->name);
	else
		unlinkat(k->dir, k->made, 0);
}

void restore_kept_close(struct restore *rs)
{
	struct restore_files *fs = rs->files;

	for (size_t i = 0; fs->kept && i < fs->nr_kept; i++) {
		struct kept *k = &fs->kept[i];

		undo(k);
		if (k->fd >= 0)
			close(k->fd);
		if (k->dir >= 0)
			close(k->dir);
	}
	free(fs->kept);
}
