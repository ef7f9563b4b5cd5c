// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store-write.c - writes a generation so that it appears whole or not at all.
 *
 * Life of a generation N:
 *  1. The temporary .tmp-N is made with O_EXCL: the name is the claim to the number, so writers
 *     that start together get different ones.  It is then locked with flock().  N is the next free
 *     number; of an image that is brought from elsewhere, the one it has.
 *  2. The image is written.
 *  3. Synced: fsync the file.  The caller may read it back from the device now.
 *  4. Commit: rename it to gen-N, never over anything; fsync job and store directory.  Readers
 *     see nothing before the rename and everything after.
 *  5. Given up: the temporary is unlinked, an empty job directory removed.
 *  6. The writer dies: the kernel drops the lock.  The next writer of the job, or gc, that can
 *     take the lock knows the file for dead and unlinks it.
 *
 * A named temporary and not O_TMPFILE, because linkat() of an unnamed file needs /proc or a
 * capability, network file systems do not have it, and the number could not be claimed.
 *
 * The lock rule: only who holds the flock of the inode may unlink or rename its name.  Between
 * O_EXCL and flock() a cleaner may get the lock first; the writer sees that it failed to lock, or
 * that the name is gone, and starts anew with another number.  Between a cleaner's open and its
 * flock() the writer may commit; the cleaner then finds that the name is not its inode's any
 * more, and leaves it.  A directory scan is not atomic, so a claim is made good only when gen-N is
 * still missing after it: no one else can commit N from then on.
 *
 * A generation that is there is locked too: shared by who builds a delta on it, exclusively by who
 * removes it or puts another image in its place (then the temporary .tmp-N stands beside gen-N, and
 * is renamed over it).
 *
 * File systems without flock() (some Lustre mounts): writing works, leftovers stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store-priv.h"
#include "util.h"

/* Each try that fails means that another writer got on; this many do not start at once. */
#define CLAIM_TRIES	10000

/* For a number that was asked for: who has it for longer than this is a writer. */
#define GIVEN_TRIES	100

struct store_writer {
	struct store	*store;
	int		jobfd;
	int		fd;		/* the temporary, locked; -1: none */
	int		old;		/* the file to take the place of, borrowed; -1: none */
	uint64_t	generation;
	bool		synced;
	int		sync_failed;	/* how: the kernel tells it once */
	bool		committed;
	char		name[STORE_NAME_MAX + 1];
	char		temp[STORE_FILE_MAX];
	char		file[STORE_FILE_MAX];
	char		label[STORE_NAME_MAX + 32];
	char		path[STORE_PATH_MAX];
};

int store_lock(int fd, int how)
{
	int ret;

	do {
		ret = flock(fd, how | LOCK_NB);
	} while (ret && errno == EINTR);
	return ret ? -errno : 0;
}

static bool remove_if_dead(int jobfd, uint64_t generation, uint64_t *bytes)
{
	char temp[STORE_FILE_MAX];
	bool removed = false;
	struct stat st;
	int fd;

	store_temp_name(generation, temp);
	if (fstatat(jobfd, temp, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return false;	/* a link or a FIFO is none of ours */
	/* write access: NFS makes flock() a lock of the server, which asks for it */
	fd = openat(jobfd, temp, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (!store_lock(fd, LOCK_EX) && store_same_file(fd, jobfd, temp) && !fstat(fd, &st))
		removed = !unlinkat(jobfd, temp, 0);
	close(fd);
	if (removed && bytes)
		*bytes += st.st_size;
	return removed;
}

uint64_t store_remove_stale(int jobfd, uint64_t *ret_bytes)
{
	struct job_scan scan;
	uint64_t removed = 0;

	if (store_scan(jobfd, &scan))
		return 0;
	for (size_t i = 0; i < scan.temporaries.len / sizeof(uint64_t); i++)
		removed += remove_if_dead(jobfd, ((uint64_t *)scan.temporaries.data)[i],
					  ret_bytes);
	store_scan_free(&scan);
	return removed;
}

void store_drop_empty_job(const struct store *s, const char *name)
{
	unlinkat(s->fd, name, AT_REMOVEDIR);
}

/* The number above all that are taken; 0: there is none.  -errno in *ret. */
static uint64_t next_generation(int jobfd, int *ret)
{
	struct job_scan scan;
	uint64_t top = 0;

	*ret = store_scan(jobfd, &scan);
	if (*ret)
		return 0;
	if (store_scan_count(&scan))
		top = store_scan_generation(&scan, store_scan_count(&scan) - 1);
	for (size_t i = 0; i < scan.temporaries.len / sizeof(uint64_t); i++)
		if (((uint64_t *)scan.temporaries.data)[i] > top)
			top = ((uint64_t *)scan.temporaries.data)[i];
	store_scan_free(&scan);
	return top < STORE_GENERATION_MAX ? top + 1 : 0;
}

/* 0: claimed; -EAGAIN: taken, look for another number; else -errno. */
static int claim(struct store_writer *w)
{
	struct stat st;
	int lock;

	w->fd = openat(w->jobfd, w->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (w->fd < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	lock = store_lock(w->fd, LOCK_EX);
	if (lock == -EWOULDBLOCK || !store_same_file(w->fd, w->jobfd, w->temp)) {
		close(w->fd);	/* a cleaner has it and removes it */
		w->fd = -1;
		return -EAGAIN;
	}
	if (w->old >= 0)
		return 0;
	if (fstatat(w->jobfd, w->file, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT)
			return 0;
		return -errno;	/* store_writer_close() unlinks */
	}
	unlinkat(w->jobfd, w->temp, 0);
	close(w->fd);
	w->fd = -1;
	return -EAGAIN;
}

static int claim_next(struct store_writer *w, struct ckpt_err *err)
{
	int ret;

	w->generation = next_generation(w->jobfd, &ret);
	if (ret)
		return store_fail(w->store, err, ret, "cannot list the job", w->name);
	if (!w->generation)
		return ckpt_err_set(err, EOVERFLOW, "%s/%s: no generation number left",
				    w->store->path, w->name);
	store_temp_name(w->generation, w->temp);
	store_file_name(w->generation, w->file);
	ret = claim(w);
	/* ENOENT: the directory went between our opening and using it */
	if (ret && ret != -EAGAIN && ret != -ENOENT)
		return store_fail(w->store, err, ret, "cannot make a temporary file", w->name);
	return ret;
}

/* What a restore would refuse is not written. */
static int check_dirs(struct store_writer *w, struct ckpt_err *err)
{
	char path[STORE_PATH_MAX];
	int ret = store_check_ours(w->store->fd, w->store->path, err);

	snprintf(path, sizeof(path), "%s/%s", w->store->path, w->name);
	return ret ? ret : store_check_ours(w->jobfd, path, err);
}

static int open_job_dir(struct store_writer *w, struct ckpt_err *err)
{
	int ret;

	if (w->jobfd >= 0)
		close(w->jobfd);
	w->jobfd = store_open_job(w->store, w->name);
	if (w->jobfd == -ENOENT) {
		if (mkdirat(w->store->fd, w->name, 0700) && errno != EEXIST)
			return store_fail(w->store, err, -errno, "cannot make the job's directory",
					  w->name);
		w->jobfd = store_open_job(w->store, w->name);
		if (w->jobfd == -ENOENT)
			return -ENOENT;	/* another writer gave up and took it away: again */
	}
	if (w->jobfd >= 0)
		return check_dirs(w, err);
	ret = w->jobfd;
	if (ret == -ELOOP || ret == -ENOTDIR)
		return ckpt_err_set(err, ret, "%s/%s: not a directory, or a symbolic link",
				    w->store->path, w->name);
	return store_fail(w->store, err, ret, "cannot open the job's directory", w->name);
}

static int open_claimed(struct store_writer *w, struct ckpt_err *err)
{
	int ret = -ENOENT;

	for (int i = 0; i < CLAIM_TRIES; i++) {
		if (ret == -ENOENT) {
			ret = open_job_dir(w, err);
			if (ret == -ENOENT)
				continue;
			if (ret)
				return ret;
			store_remove_stale(w->jobfd, NULL);
		}
		ret = claim_next(w, err);
		if (ret != -EAGAIN && ret != -ENOENT)
			return ret;
	}
	return ckpt_err_set(err, EAGAIN, "%s/%s: cannot claim a generation", w->store->path,
			    w->name);
}

static bool is_taken(const struct store_writer *w)
{
	struct stat st;

	return !fstatat(w->jobfd, w->file, &st, AT_SYMLINK_NOFOLLOW);
}

/* -EAGAIN: a cleaner or a writer that gives up has it at the moment. */
static int try_claim_given(struct store_writer *w, struct ckpt_err *err)
{
	int ret;

	store_remove_stale(w->jobfd, NULL);
	ret = claim(w);
	if (ret == -EAGAIN && is_taken(w)) {
		ckpt_err_set(err, EEXIST, "%s: is in store %s already", w->label, w->store->path);
		return -EEXIST;
	}
	if (ret && ret != -EAGAIN && ret != -ENOENT)
		return store_fail(w->store, err, ret, "cannot make a temporary file", w->name);
	return ret;
}

static int claim_given(struct store_writer *w, struct ckpt_err *err)
{
	int ret = -ENOENT;

	for (int i = 0; i < GIVEN_TRIES && (ret == -EAGAIN || ret == -ENOENT); i++) {
		ret = ret == -ENOENT ? open_job_dir(w, err) : 0;
		if (!ret)
			ret = try_claim_given(w, err);
	}
	if (ret != -EAGAIN && ret != -ENOENT)
		return ret;
	ckpt_err_set(err, EBUSY, "%s: somebody is writing that generation", w->label);
	ckpt_err_hint(err, "try again when that is done");
	return -EBUSY;
}

static struct store_writer *new_writer(struct store *store, const char *name, int old)
{
	struct store_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->store = store;
	w->jobfd = -1;
	w->fd = -1;
	w->old = old;
	strcpy(w->name, name);
	return w;
}

static void name_generation(struct store_writer *w)
{
	snprintf(w->label, sizeof(w->label), "%s@%llu", w->name,
		 (unsigned long long)w->generation);
	snprintf(w->path, sizeof(w->path), "%s/%s/%s", w->store->path, w->name, w->file);
}

static int check_name(const char *name, struct ckpt_err *err)
{
	if (store_name_valid(name))
		return 0;
	ckpt_err_set(err, EINVAL, "'%s': not a name for a job", name);
	ckpt_err_hint(err, "use up to %d of A-Z a-z 0-9 . _ - and no . or - in front", STORE_NAME_MAX);
	return -EINVAL;
}

int store_writer_open(struct store *store, const char *name, struct ckpt_err *err,
		      struct store_writer **ret_writer)
{
	struct store_writer *w;
	int ret = check_name(name, err);

	if (ret)
		return ret;
	w = new_writer(store, name, -1);
	if (!w)
		return ckpt_err_sys(err, ENOMEM, "%s", name);
	ret = open_claimed(w, err);
	if (ret) {
		store_writer_close(w);
		return ret;
	}
	name_generation(w);
	*ret_writer = w;
	return 0;
}

int store_writer_open_as(struct store *store, const char *name, uint64_t generation,
			 struct ckpt_err *err, struct store_writer **ret_writer)
{
	struct store_writer *w;
	int ret = check_name(name, err);

	if (ret)
		return ret;
	if (!generation || generation > STORE_GENERATION_MAX)
		return ckpt_err_set(err, EINVAL, "%s: no generation has number %llu", name,
				    (unsigned long long)generation);
	w = new_writer(store, name, -1);
	if (!w)
		return ckpt_err_sys(err, ENOMEM, "%s", name);
	w->generation = generation;
	store_temp_name(generation, w->temp);
	store_file_name(generation, w->file);
	name_generation(w);
	ret = claim_given(w, err);
	if (ret)
		store_writer_close(w);
	else
		*ret_writer = w;
	return ret;
}

static int claim_over(struct store_writer *w, struct ckpt_err *err)
{
	int ret;

	w->jobfd = store_open_job(w->store, w->name);
	if (w->jobfd < 0)
		return store_fail(w->store, err, w->jobfd, "cannot open the job", w->name);
	ret = check_dirs(w, err);
	if (ret)
		return ret;
	store_remove_stale(w->jobfd, NULL);
	store_temp_name(w->generation, w->temp);
	store_file_name(w->generation, w->file);
	name_generation(w);
	ret = claim(w);
	if (ret == -EAGAIN)
		return ckpt_err_set(err, EBUSY, "%s: another one is being put in its place",
				    w->label);
	return ret ? store_fail(w->store, err, ret, "cannot make a temporary file", w->name) : 0;
}

int store_writer_open_over(struct store *store, const struct store_ref *ref, int old,
			   struct ckpt_err *err, struct store_writer **ret_writer)
{
	struct store_writer *w = new_writer(store, ref->name, old);
	int ret;

	if (!w)
		return ckpt_err_sys(err, ENOMEM, "%s", ref->label);
	w->generation = ref->generation;
	ret = claim_over(w, err);
	if (ret)
		store_writer_close(w);
	else
		*ret_writer = w;
	return ret;
}

int store_writer_fd(const struct store_writer *w)
{
	return w->fd;
}

uint64_t store_writer_generation(const struct store_writer *w)
{
	return w->generation;
}

const char *store_writer_label(const struct store_writer *w)
{
	return w->label;
}

const char *store_writer_path(const struct store_writer *w)
{
	return w->path;
}

/*
 * Never over an existing file.  Some network file systems know no flags: there the claim alone
 * keeps others away, and the look before is for files that came by other ways.
 */
static int rename_new(int dirfd, const char *from, const char *to)
{
	struct stat st;

	if (!renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (!fstatat(dirfd, to, &st, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	if (errno != ENOENT)
		return -errno;
	return renameat(dirfd, from, dirfd, to) ? -errno : 0;
}

/* The store's directory too: another process may have made the job's and not synced it yet. */
static int sync_dirs(const struct store_writer *w)
{
	int ret = util_fsync_dir(w->jobfd);

	return ret ? ret : util_fsync_dir(w->store->fd);
}

/* Nobody builds on the old one, and nobody else takes it away, while this happens. */
static int rename_over(struct store_writer *w)
{
	int fd = openat(w->jobfd, w->file, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), ret;

	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	ret = store_lock(fd, LOCK_EX) == -EWOULDBLOCK ? -EBUSY : 0;
	if (!ret && !(store_same_file(fd, w->jobfd, w->file) &&
		      store_same_file(w->old, w->jobfd, w->file)))
		ret = -ESTALE;
	if (!ret && renameat(w->jobfd, w->temp, w->jobfd, w->file))
		ret = -errno;
	close(fd);
	return ret;
}

static int writer_failed(struct store_writer *w, int code, const char *what, struct ckpt_err *err)
{
	store_fail(w->store, err, code, what, w->name);
	ckpt_err_prefix(err, "%s", w->label);
	return code;
}

int store_writer_sync(struct store_writer *w, struct ckpt_err *err)
{
	if (!w->synced && !w->sync_failed)
		w->sync_failed = util_fsync(w->fd);
	if (w->sync_failed)
		return writer_failed(w, w->sync_failed, "cannot sync the image", err);
	w->synced = true;
	return 0;
}

int store_writer_commit(struct store_writer *w, struct ckpt_err *err)
{
	const char *what = "cannot rename the image into place";
	int ret;

	if (w->committed)
		return ckpt_err_set(err, EINVAL, "%s: committed already", w->label);
	ret = store_writer_sync(w, err);
	if (ret)
		return ret;
	ret = w->old < 0 ? rename_new(w->jobfd, w->temp, w->file) : rename_over(w);
	if (!ret) {
		what = "cannot sync the directory";
		ret = sync_dirs(w);
		/*
		 * Not known to be durable: then it must not be taken for it.  One that took the place
		 * of another holds the same, so either may come back.
		 */
		if (ret && w->old < 0)
			unlinkat(w->jobfd, w->file, 0);
	}
	if (ret)
		return writer_failed(w, ret, what, err);
	w->committed = true;
	return 0;
}

void store_writer_close(struct store_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0) {
		/* still locked, so the name is ours if it is there */
		if (!w->committed && store_same_file(w->fd, w->jobfd, w->temp))
			unlinkat(w->jobfd, w->temp, 0);
		close(w->fd);
	}
	if (w->jobfd >= 0)
		close(w->jobfd);
	if (!w->committed)
		store_drop_empty_job(w->store, w->name);
	free(w);
}
